package grant

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"wavryhost/session/api/durable"
)

const (
	// maxSpent bounds the grants for one session that are remembered. When it is reached no further one is taken.
	maxSpent = 10_000
	// maxAppended is how many lines are appended to the file before it is written anew, without those that have expired.
	maxAppended = 1000
	// maxLine bounds a line of the file, in bytes: names take six times their size where JSON escapes them.
	maxLine = 6*(maxIssuer+maxName) + 256
	// ledgerVersion is in the file's first line.
	ledgerVersion = 1
)

// ledger remembers the grants for one session that were used: in memory, and in a file for the time after a restart. The file has a line for each, and is appended to: sessions
// wait for it.
type ledger struct {
	path string // empty for no file

	// disk is held while the file is written, and taken before mu.
	disk sync.Mutex
	room int // lines that may be appended before the file is written anew; guarded by disk

	mu   sync.Mutex // guards used
	used map[spent]use
}

// spent is a grant that was used up. Issuers give ids without asking each other.
type spent struct{ issuer, id string }

// use is what is known of a grant that was used up.
type use struct {
	until time.Time // when it may be forgotten
	kept  bool      // its session came about, and the file has it or is to have it
}

// entry is a line of the file; the first one has the version alone.
type entry struct {
	Version int       `json:"version,omitempty"`
	Issuer  string    `json:"iss,omitempty"`
	ID      string    `json:"jti,omitempty"`
	Until   time.Time `json:"until,omitzero"`
}

// newLedger reads the file, which need not be there yet, and writes it without what has expired.
func newLedger(path string, now time.Time) (*ledger, error) {
	l := &ledger{path: path, used: make(map[spent]use)}
	if path == "" {
		return l, nil
	}
	durable.Tidy(path)
	if err := l.read(now); err != nil {
		return nil, fmt.Errorf("%s: %w; restore the file, or, to have the grants good again that were used for their one session, remove it", path, err)
	}
	// That it can be written is found out here, not when the first grant is used.
	if err := l.write(); err != nil {
		return nil, fmt.Errorf("write used grants: %w", err)
	}
	return l, nil
}

// read takes in the file. What the last line lacks of its end was being written when the daemon crashed, and its session never came about.
func (l *ledger) read(now time.Time) error {
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, maxLine)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) && n > 1 {
			return nil // the end, or half a line
		}
		var e entry
		if err == nil {
			d := json.NewDecoder(bytes.NewReader(line))
			d.DisallowUnknownFields()
			if err = d.Decode(&e); err == nil && d.More() {
				err = errors.New("it goes on")
			}
		}
		switch {
		case err == nil && n == 1 && e.Version != 0 && e.Version != ledgerVersion:
			return fmt.Errorf("it is a list of used grants of version %d; this daemon reads version %d", e.Version, ledgerVersion)
		case err != nil, (n == 1) != (e == entry{Version: ledgerVersion}), n > 1 && (e.ID == "" || e.Until.IsZero()):
			return fmt.Errorf("line %d is none of a list of used grants", n)
		case n > 1 && now.Before(e.Until):
			l.used[spent{e.Issuer, e.ID}] = use{e.Until, true}
		}
		if len(l.used) > maxSpent+maxAppended {
			return fmt.Errorf("it has more than %d grants", maxSpent+maxAppended)
		}
	}
}

// take uses a grant up, in memory. It returns an *Error when it was.
func (l *ledger) take(g Grant, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.used[spent{g.Issuer, g.ID}]; ok {
		return wrong(Replayed, "it was good for one session, and has been used")
	}
	if len(l.used) >= maxSpent {
		l.forget(now)
	}
	if len(l.used) >= maxSpent {
		// Forgetting one that is still good would let it be used again.
		return wrong(Busy, "%d grants for one session are remembered as used, and no more can be until some of them expire", maxSpent)
	}
	l.used[spent{g.Issuer, g.ID}] = use{until: g.Expires.Add(Leeway)}
	return nil
}

// forget gives up what is good no more. The caller holds mu.
func (l *ledger) forget(now time.Time) {
	for id, u := range l.used {
		if now.After(u.until) {
			delete(l.used, id)
		}
	}
}

// giveBack makes a grant good again that was taken and not kept.
func (l *ledger) giveBack(g Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.used, spent{g.Issuer, g.ID})
}

// keep has a grant that was taken outlast the daemon. After an error it is kept until the daemon ends, and written with the next one.
func (l *ledger) keep(g Grant) error {
	id := spent{g.Issuer, g.ID}
	l.disk.Lock()
	defer l.disk.Unlock()
	l.mu.Lock()
	u := use{g.Expires.Add(Leeway), true}
	l.used[id] = u
	l.mu.Unlock()
	if l.path == "" {
		return nil
	}
	if l.room > 0 {
		l.room--
		text, err := json.Marshal(entry{Issuer: id.issuer, ID: id.id, Until: u.until})
		if err == nil && durable.Append(l.path, append(text, '\n')) == nil {
			return nil
		}
		// It is not there any more, or ends with half a line.
	}
	l.room = 0
	return l.write()
}

// write writes the file anew. The caller holds disk, or has l for itself.
func (l *ledger) write() error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	err := e.Encode(entry{Version: ledgerVersion})
	l.mu.Lock()
	l.forget(time.Now())
	for id, u := range l.used {
		if u.kept {
			err = errors.Join(err, e.Encode(entry{Issuer: id.issuer, ID: id.id, Until: u.until}))
		}
	}
	l.mu.Unlock()
	if err == nil {
		err = durable.Replace(l.path, text.Bytes())
	}
	if err == nil {
		l.room = maxAppended
	}
	return err
}

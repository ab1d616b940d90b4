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
	// maxSpent bounds the used single-session grants that are kept. At the limit no further one is accepted.
	maxSpent = 10_000
	// maxAppended is how many lines are appended before the file is rewritten without the expired ones.
	maxAppended = 1000
	// maxLine bounds a line of the file, in bytes. JSON may escape a name to six times its size.
	maxLine = 6*(maxIssuer+maxName) + 256
	// ledgerVersion is in the first line of the file.
	ledgerVersion = 1
)

// ledger keeps the single-session grants that were used: in memory, and in a file for the time after a restart. The
// file has a line for each. Lines are appended, because opening a session waits for the disk.
type ledger struct {
	path string // empty for no file

	// disk is held while the file is written, and taken before mu.
	disk sync.Mutex
	room int // lines that may be appended before the file is rewritten; guarded by disk

	mu   sync.Mutex // guards used
	used map[spent]use
}

// spent identifies a used grant. Different issuers may use the same ID.
type spent struct{ issuer, id string }

// use is what is kept of a used grant.
type use struct {
	until time.Time // until when it is kept
	kept  bool      // its session was opened, and the file has it or will have it
}

// entry is a line of the file. The first line only has the version.
type entry struct {
	Version int       `json:"version,omitempty"`
	Issuer  string    `json:"iss,omitempty"`
	ID      string    `json:"jti,omitempty"`
	Until   time.Time `json:"until,omitzero"`
}

// newLedger reads the file, which need not exist yet, and rewrites it without the expired grants.
func newLedger(path string, now time.Time) (*ledger, error) {
	l := &ledger{path: path, used: make(map[spent]use)}
	if path == "" {
		return l, nil
	}
	durable.Tidy(path)
	if err := l.read(now); err != nil {
		return nil, fmt.Errorf("%s: %w; restore the file, or remove it to accept used single-session grants again", path, err)
	}
	// If the file cannot be written, the operator learns it here, not at the first use of a grant.
	if err := l.write(); err != nil {
		return nil, fmt.Errorf("write used grants: %w", err)
	}
	return l, nil
}

// read reads the file. An incomplete last line was being written when the daemon crashed; its session was never opened.
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
			return nil // the end, or an incomplete line
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
			return fmt.Errorf("it is a list of used grants of version %d; this daemon reads version %d",
				e.Version, ledgerVersion)
		case err != nil, (n == 1) != (e == entry{Version: ledgerVersion}), n > 1 && (e.ID == "" || e.Until.IsZero()):
			return fmt.Errorf("line %d is not an entry of a list of used grants", n)
		case n > 1 && now.Before(e.Until):
			l.used[spent{e.Issuer, e.ID}] = use{e.Until, true}
		}
		if len(l.used) > maxSpent+maxAppended {
			return fmt.Errorf("it has more than %d grants", maxSpent+maxAppended)
		}
	}
}

// take marks a grant as used, in memory. If it was used before, it returns an *Error.
func (l *ledger) take(g Grant, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.used[spent{g.Issuer, g.ID}]; ok {
		return wrong(Replayed, "it is for a single session, and was used before")
	}
	if len(l.used) >= maxSpent {
		l.forget(now)
	}
	if len(l.used) >= maxSpent {
		// Without its entry, a grant that is still valid could be used again.
		return wrong(Busy,
			"the host already keeps %d used single-session grants, and no more until some of them expire", maxSpent)
	}
	l.used[spent{g.Issuer, g.ID}] = use{until: g.Expires.Add(Leeway)}
	return nil
}

// forget removes the entries of grants that have expired. The caller holds mu.
func (l *ledger) forget(now time.Time) {
	for id, u := range l.used {
		if now.After(u.until) {
			delete(l.used, id)
		}
	}
}

// giveBack makes a grant usable again that was taken and not kept.
func (l *ledger) giveBack(g Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.used, spent{g.Issuer, g.ID})
}

// keep writes a used grant to the file. After an error it stays in memory, and is written with the next one.
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
		// The file does not exist any more, or ends with an incomplete line.
	}
	l.room = 0
	return l.write()
}

// write rewrites the file. The caller holds disk, or is the only user of l.
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

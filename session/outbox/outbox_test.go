package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/platform/guard"
	"wavryhost/session"
	"wavryhost/session/logtest"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// events is a journal.
type events struct {
	mu    sync.Mutex
	first uint64
	list  []session.EventRecord
	more  chan struct{}
}

func newEvents(first uint64) *events { return &events{first: first, more: make(chan struct{})} }

func (e *events) happen(kind string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for range n {
		e.list = append(e.list, session.EventRecord{
			ID: e.first + uint64(len(e.list)), At: time.Now(), Kind: kind, Session: "s1",
		})
	}
	close(e.more)
	e.more = make(chan struct{})
}

func (e *events) Events(after uint64) (list []session.EventRecord, lost bool, more <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, one := range e.list {
		if one.ID > after {
			list = append(list, one)
		}
	}
	return list, false, e.more
}

// receiver refuses items while it is away, and notes the others.
type receiver struct {
	mu    sync.Mutex
	away  int // so many attempts fail
	names []string
	first string // the data of the first item
}

func (r *receiver) deliver(_ context.Context, one Item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away > 0 {
		r.away--
		return errors.New("connection refused")
	}
	if len(r.names) == 0 {
		r.first = string(one.Data)
	}
	r.names = append(r.names, one.Name("rack-7"))
	return nil
}

func (r *receiver) accepted() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.names, " ")
}

// courier is a Courier of a test.
type courier struct {
	*Courier
	stop func()
	log  *logtest.Buffer
}

// launch runs a Courier. stop ends it in order.
func launch(t *testing.T, cfg Config, from Journal, r *receiver) *courier {
	t.Helper()
	log := &logtest.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	c := New(Setup{
		Receiver: "webhook", Runbook: "docs/operate/runbooks/webhook.md", From: from, Deliver: r.deliver,
		LongestPause: 5 * time.Minute, Guard: guard.New(logger, nil, nil), Metrics: NewMetrics("webhook"), Log: logger,
	}, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return &courier{c, func() {
		cancel()
		<-ended
		last, done := context.WithTimeout(context.Background(), time.Second)
		defer done()
		c.Flush(last)
	}, log}
}

// names are the IDs of events for receivers.
func names(first, last int) string {
	var list []string
	for n := first; n <= last; n++ {
		list = append(list, fmt.Sprintf("rack-7.%d", n))
	}
	return strings.Join(list, " ")
}

// What a daemon could not deliver, the next one delivers, whether the first ended in order or was killed at any point.
func TestOutboxSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "outbox")
		from := newEvents(1)
		away := &receiver{away: 100_000}
		s := launch(t, Config{Path: path}, from, away)
		from.happen("reserved", 2)
		time.Sleep(time.Minute)
		away.mu.Lock()
		away.away = 0
		away.mu.Unlock()
		time.Sleep(10 * time.Minute) // both are delivered, and the file knows
		away.mu.Lock()
		away.away = 100_000
		away.mu.Unlock()
		from.happen("drained", 3)
		time.Sleep(time.Minute)
		killed, err := os.ReadFile(path) // as a kill would leave it
		if err != nil {
			t.Fatal(err)
		}
		s.stop()
		ended, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			file []byte
			want string
		}{
			"ended in order":        {ended, names(3, 5) + " rack-7.100"},
			"killed":                {killed, names(3, 5) + " rack-7.gap.100 rack-7.100"},
			"killed while it wrote": {killed[:len(killed)-7], names(3, 4) + " rack-7.gap.100 rack-7.100"},
			"not an outbox":         {[]byte("hello\nworld\n"), "rack-7.gap.100 rack-7.100"},
			"of the future":         {[]byte(`{"version": 2}` + "\n"), "rack-7.gap.100 rack-7.100"},
			"emptied":               {nil, "rack-7.gap.100 rack-7.100"},
			"removed":               {[]byte("-"), "rack-7.100"},
		} {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if string(c.file) != "-" {
				if err := os.WriteFile(path, c.file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, from := new(receiver), newEvents(100)
			s := launch(t, Config{Path: path}, from, r)
			from.happen("drained", 1)
			time.Sleep(time.Minute)
			s.stop()
			if got := r.accepted(); got != c.want {
				t.Errorf("%s: accepted %s; want %s", name, got, c.want)
			}
			r = new(receiver)
			s = launch(t, Config{Path: path}, newEvents(200), r)
			time.Sleep(time.Minute)
			s.stop()
			if got := r.accepted(); got != "" {
				t.Errorf("%s: delivered once more: %s", name, got)
			}
		}
	})
}

// A disk that is full loses no event while the daemon runs, and is reported once.
func TestOutboxOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "sub", "outbox") // the folder is missing: nothing can be written
		r, from := &receiver{away: 20}, newEvents(1)
		s := launch(t, Config{Path: path}, from, r)
		for range 3 {
			from.happen("drained", 1)
			time.Sleep(10 * time.Second)
		}
		if n := strings.Count(s.log.String(), "outbox cannot be written"); n != 1 {
			t.Errorf("it is reported %d times: %s", n, s.log)
		}
		if testutil.ToFloat64(s.s.Metrics.unwritten) < 3 {
			t.Error("the metric does not count")
		}
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * tidyInterval)
		if n := strings.Count(s.log.String(), "is written again"); n != 1 {
			t.Errorf("the end is reported %d times", n)
		}
		text, err := os.ReadFile(path)
		if err != nil || strings.Count(string(text), `"item"`) != 3 {
			t.Errorf("the file has %s, %v", text, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("its mode is %v, %v", info, err)
		}
		time.Sleep(2 * time.Hour)
		s.stop()
		if got := r.accepted(); got != names(1, 3) {
			t.Errorf("accepted %s", got)
		}
	})
}

// An outbox is bounded: the oldest events give way to one gap, in memory and in the file.
func TestOutboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "outbox")
		r, from := &receiver{away: 1_000_000}, newEvents(1)
		s := launch(t, Config{Path: path}, from, r)
		const all = 30_500
		for n := 0; n < all; n += 500 {
			from.happen("quality_changed", 500)
			synctest.Wait()
		}
		_, box, _ := s.current()
		if n := box.len(); n > maxItems || n < maxItems*8/10 {
			t.Errorf("%d events wait", n)
		}
		info, err := os.Stat(path)
		if err != nil || info.Size() > 2*maxBytes {
			t.Errorf("the file has %d bytes, %v", info.Size(), err)
		}
		lost := int(testutil.ToFloat64(s.s.Metrics.lost))
		s.stop()
		r = new(receiver)
		s = launch(t, Config{Path: path}, newEvents(all+1), r)
		time.Sleep(time.Hour)
		s.stop()
		got := strings.Fields(r.accepted())
		first := fmt.Sprintf("rack-7.gap.%d", all-len(got)+2)
		if got[0] != first || got[len(got)-1] != fmt.Sprintf("rack-7.%d", all) ||
			len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("accepted %d, from %s to %s; want %s first", len(got), got[0], got[len(got)-1], first)
		}
		if !strings.Contains(r.first, fmt.Sprintf(`"after":0,"next":%d`, all-len(got)+2)) {
			t.Errorf("the gap is %s", r.first)
		}
		if lost < all-len(got) {
			t.Errorf("%d are lost by the metric; %d arrived", lost, len(got)-1)
		}
	})
}

func TestKindsAreChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, from := new(receiver), newEvents(1)
		s := launch(t, Config{Path: filepath.Join(t.TempDir(), "outbox"), Kinds: []string{"session_ended"}}, from, r)
		for _, kind := range []string{"session_created", "session_ended", "quality_changed", "session_ended"} {
			from.happen(kind, 1)
		}
		time.Sleep(time.Minute)
		s.stop()
		if got := r.accepted(); got != "rack-7.2 rack-7.4" {
			t.Errorf("accepted %s", got)
		}
	})
}

// The last events of a daemon are collected when its other parts have ended.
func TestLastEventsAreDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, from := new(receiver), newEvents(1)
		s := launch(t, Config{Path: filepath.Join(t.TempDir(), "outbox")}, from, r)
		synctest.Wait()
		from.happen("session_ended", 2)
		s.stop()
		if got := r.accepted(); got != names(1, 2) {
			t.Errorf("accepted %s", got)
		}
	})
}

package grant

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// once returns a grant for one session, with names that JSON spells longest.
func once(n int) Grant {
	return Grant{
		ID: fmt.Sprintf("%05d", n) + strings.Repeat("<", maxName-5), Issuer: strings.Repeat(">", maxIssuer),
		Once: true, Expires: time.Now().Add(time.Minute),
	}
}

func openLedger(t *testing.T, path string) *ledger {
	t.Helper()
	l, err := newLedger(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *ledger) good(n int) bool {
	if l.take(once(n), time.Now()) != nil {
		return false
	}
	l.giveBack(once(n))
	return true
}

func (l *ledger) use(t *testing.T, n int) {
	t.Helper()
	if err := l.take(once(n), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := l.keep(once(n)); err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

func TestUsedGrantsOutlastTheDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "used")
	synctest.Test(t, func(t *testing.T) {
		l := openLedger(t, path)
		l.use(t, 1)
		if err := l.take(once(2), time.Now()); err != nil { // its session never came about
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		l.use(t, 3)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("others may read it: %v, %v", info, err)
		}
		l = openLedger(t, path)
		if l.good(1) || !l.good(2) || l.good(3) {
			t.Errorf("after a restart: %v, %v, %v are good; want 2 alone", l.good(1), l.good(2), l.good(3))
		}
		time.Sleep(61 * time.Second) // the first has expired, whatever the clocks
		if l = openLedger(t, path); !l.good(1) || l.good(3) || lines(t, path) != 2 {
			t.Errorf("what has expired is in %d lines", lines(t, path))
		}
	})
}

// What a crash, or a full disk, left of a line costs that line alone, and the next ones are whole.
func TestHalfWrittenGrants(t *testing.T) {
	path := filepath.Join(t.TempDir(), "used")
	l := openLedger(t, path)
	l.use(t, 1)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, `{"iss":"https://gateway.example","jt`...), 0o600); err != nil {
		t.Fatal(err)
	}
	l = openLedger(t, path)
	l.use(t, 2)
	if l = openLedger(t, path); l.good(1) || l.good(2) || lines(t, path) != 3 {
		t.Errorf("%d lines", lines(t, path))
	}

	// A file that went is written whole; what could not be written is written with the next one.
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := l.take(once(3), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := l.keep(once(3)); err == nil || l.good(3) {
		t.Errorf("a grant that cannot be written: %v, good again: %v", err, l.good(3))
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l.use(t, 4)
	if l = openLedger(t, path); l.good(1) || l.good(2) || l.good(3) || l.good(4) {
		t.Error("a grant was forgotten when the file could not be written")
	}
}

func TestFileOfUsedGrantsIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "used")
	synctest.Test(t, func(t *testing.T) {
		l := openLedger(t, path)
		for n := range 20 {
			l.room = min(l.room, 5) // of a thousand, for which the disk would be asked as often
			l.use(t, n)
			time.Sleep(30 * time.Second)
			if got := lines(t, path); got > 1+4+5 {
				t.Fatalf("%d lines, of which 4 are of grants that are still good", got)
			}
		}
		for n := range maxSpent {
			l.used[spent{once(n).Issuer, once(n).ID}] = use{time.Now().Add(time.Minute), true}
		}
		l.room = 0
		if err := l.keep(once(0)); err != nil {
			t.Fatal(err)
		}
		if l = openLedger(t, path); len(l.used) != maxSpent {
			t.Errorf("of the largest file %d are read", len(l.used))
		}
	})
}

// To start with a part of the file would make good again what was used.
func TestBrokenFileOfUsedGrants(t *testing.T) {
	path := filepath.Join(t.TempDir(), "used")
	const head, line = `{"version":1}` + "\n", `{"iss":"a","jti":"b","until":"2099-01-01T00:00:00Z"}` + "\n"
	for _, text := range []string{
		"", "\n", "x\n", "null\n", line, head + head, head + "x\n" + line, head + `{"jti":"b"}` + "\n" + line,
		`{"version":2}` + "\n", head + `{"iss":"a","jti":"b","until":"x"}` + "\n",
		head + `{"iss":"a","jti":"b","until":"2099-01-01T00:00:00Z","more":1}` + "\n",
		head + strings.Repeat(" ", maxLine+1) + "\n", head + "\x00\x00\n", head + line[:len(line)-1] + line,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := newLedger(path, time.Now()); err == nil || !strings.Contains(err.Error(), path) ||
			!strings.Contains(err.Error(), "remove it") {
			t.Errorf("%.40q: %v", text, err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != text {
			t.Errorf("%.40q: the file was changed: %v", text, err)
		}
	}
	if err := os.WriteFile(path, []byte(head+line+head[:5]), 0o600); err != nil {
		t.Fatal(err)
	}
	if l := openLedger(t, path); len(l.used) != 1 {
		t.Errorf("of a good file %d are read", len(l.used))
	}
	if _, err := newLedger(filepath.Join(path, "none"), time.Now()); err == nil {
		t.Error("a file that cannot be written is found out when the first grant is used")
	}
}

package watched

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Times of this test are the files' own: it tells Changed what time it is.
func TestChanged(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	start := time.Now().Round(time.Second)
	write := func(path, text string, at time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		when := start.Add(at)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	write(a, "1", -time.Hour)
	write(b, "1", -time.Hour)
	f := New(a, "", b)
	const ms = time.Millisecond
	for _, c := range []struct {
		what string
		at   time.Duration
		do   func()
		want bool
	}{
		{what: "nothing", at: 0},
		{what: "written long before the look", at: 1100 * ms, do: func() { write(a, "22", 100*ms) }, want: true},
		{what: "told once", at: 2100 * ms},
		{what: "looked at again too soon", at: 2500 * ms, do: func() { write(a, "333", 2200*ms) }},
		{what: "then", at: 3100 * ms, want: true},
		{what: "just being written", at: 4100 * ms, do: func() { write(a, "", 4100*ms) }},
		{what: "not settled yet", at: 4200 * ms, do: func() { write(a, "4", 4200*ms) }},
		{what: "still being written", at: 4350 * ms},
		{what: "settled", at: 4600 * ms, want: true},
		{what: "back before it counted", at: 5600 * ms, do: func() { write(a, "5", 5600*ms) }},
		{what: "as it was", at: 5850 * ms, do: func() { write(a, "4", 4200*ms) }},
		{what: "from a clock that is ahead", at: 7 * time.Second, do: func() { write(b, "2", time.Hour) }},
		{what: "the same at a second look", at: 7250 * ms, want: true},
		{what: "an older file in its place", at: 9 * time.Second, do: func() { write(b, "3", -2*time.Hour) }, want: true},
		{what: "taken away", at: 10 * time.Second, do: func() { _ = os.Remove(b) }},
		{what: "gone for good", at: 10250 * ms, want: true},
		{what: "told once that it is gone", at: 12 * time.Second},
		{what: "there again", at: 13 * time.Second, do: func() { write(b, "3", -2*time.Hour) }, want: true},
		{what: "replaced: gone for a moment", at: 14 * time.Second, do: func() { _ = os.Remove(b) }},
		{what: "replaced", at: 14250 * ms, do: func() { write(b, "3", -2*time.Hour) }},
		{what: "asked for", at: 14300 * ms, do: f.Again, want: true},
		{what: "asked for once", at: 16 * time.Second},
	} {
		if c.do != nil {
			c.do()
		}
		if got := f.Changed(start.Add(c.at)); got != c.want {
			t.Errorf("%s: %v; want %v", c.what, got, c.want)
		}
	}
	var none Files
	if none.Changed(start) {
		t.Error("no files have changed")
	}
}

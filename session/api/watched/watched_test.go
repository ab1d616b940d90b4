package watched

import (
	"os"
	"os/exec"
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
		{
			what: "an older file in its place", at: 9 * time.Second, do: func() { write(b, "3", -2*time.Hour) },
			want: true,
		},
		{what: "taken away", at: 10 * time.Second, do: func() { _ = os.Remove(b) }},
		{what: "gone for good", at: 10250 * ms, want: true},
		{what: "told once that it is gone", at: 12 * time.Second},
		{what: "there again", at: 13 * time.Second, do: func() { write(b, "3", -2*time.Hour) }, want: true},
		{what: "replaced: gone for a moment", at: 14 * time.Second, do: func() { _ = os.Remove(b) }},
		{what: "replaced", at: 14250 * ms, do: func() { write(b, "3", -2*time.Hour) }},
		{what: "others may write it", at: 14260 * ms, do: func() { _ = os.Chmod(b, 0o666) }},
		{what: "asked for", at: 14300 * ms, do: f.Again, want: true},
		{what: "asked for once", at: 16 * time.Second},
		{what: "the mode is put right", at: 18 * time.Second, do: func() { _ = os.Chmod(b, 0o600) }, want: true},
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

// A file that is replaced by one of the same size and time, as package managers and file trees of images make them, is
// seen by what else the system knows of it.
func TestChangedOfEqualSizeAndTime(t *testing.T) {
	dir := t.TempDir()
	old := time.Unix(1, 0)
	put := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(dir, "link")
	point := func(to string) {
		t.Helper()
		if err := os.Symlink(to, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	a, b := put("a", "ann 1"), put("b", "ann 2")
	point(a)
	f := New(link)
	now := time.Now()
	for _, c := range []struct {
		what string
		do   func()
		want bool
	}{
		{"nothing", func() {}, false},
		{"a link to another file", func() { point(b) }, true},
		{"told once", func() {}, false},
		{"another file by the name", func() {
			if err := os.Rename(put("c", "ann 3"), b); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"written in place, and its time set back", func() { put("b", "ann 4") }, true},
		{"a link to a file with the same in it", func() { point(put("d", "ann 4")) }, false},
		{"touched", func() {
			if err := os.Chtimes(link, now.Add(-time.Hour), now.Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		c.do()
		now = now.Add(2 * Every)
		if got := f.Changed(now); got != c.want {
			t.Errorf("%s: %v; want %v", c.what, got, c.want)
		}
	}
}

// Where nothing tells that a file is another, its content does, within a minute.
func TestContentIsCompared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("ann 1")
	f := New(path)
	start := time.Now().Add(Every)
	if f.Changed(start) {
		t.Error("changed, though nothing was written")
	}
	put("ann 2")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f.files[0].seen.stat = stat{info.ModTime(), info.Size(), identify(info)} // a file system that tells nothing
	if f.Changed(start.Add(Reread / 2)) {
		t.Error("its content is read at each look")
	}
	if !f.Changed(start.Add(Reread)) {
		t.Error("its content was not compared")
	}
	if f.Changed(start.Add(2 * Reread)) {
		t.Error("told twice")
	}
}

// A pipe in the place of a file holds nobody up.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := exec.CommandContext(t.Context(), "mkfifo", path).Run(); err != nil {
		t.Skipf("no pipes by name here: %v", err)
	}
	f := New(path)
	if f.Changed(time.Now().Add(Reread)) {
		t.Error("it changed")
	}
}

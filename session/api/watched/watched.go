// Package watched tells when files have changed that a running daemon takes its credentials from.
package watched

import (
	"os"
	"time"
)

const (
	// Every is how often files are looked at: at most once in a second of requests.
	Every = time.Second
	// Settle is how long files must have been left alone before what is in them counts: somebody may be writing them, and the first half of a list of tokens is a
	// good list of fewer.
	Settle = Every / 4
)

// Files are files that are read again when they have changed. The zero value has none, and never changes.
// Who uses it keeps calls apart.
type Files struct {
	files []file
	next  time.Time // when they are looked at again
}

// file is a file as it was taken, and as it was when last looked at.
type file struct {
	path        string
	taken, seen state
}

// state tells one state of a file from another. The zero value is that of a file that cannot be looked at.
type state struct {
	time time.Time
	size int64
}

// New follows files from the state that they are in, which is to be read after it. Empty paths are left out.
func New(paths ...string) Files {
	var f Files
	for _, p := range paths {
		if p != "" {
			now := look(p)
			f.files = append(f.files, file{p, now, now})
		}
	}
	return f
}

// Changed tells whether the files are in another state than at New or when it last said so, and have been left alone since: each state is told once, so that a
// broken one is logged once. It looks at them at most once in Every, a second time after Settle when they have just been written.
func (f *Files) Changed(now time.Time) bool {
	if now.Before(f.next) {
		return false
	}
	f.next = now.Add(Every)
	changed, settled := false, true
	for i := range f.files {
		one := &f.files[i]
		before := one.seen
		one.seen = look(one.path)
		if one.seen == one.taken {
			continue
		}
		changed = true
		// By the file's own time a single look is enough, unless one of the clocks is wrong. Of a file that is not there only a second look tells.
		if age := now.Sub(one.seen.time); one.seen != before && (one.seen == state{} || age < Settle) {
			settled = false
		}
	}
	switch {
	case !changed:
		return false
	case !settled:
		f.next = now.Add(Settle)
		return false
	}
	for i := range f.files {
		f.files[i].taken = f.files[i].seen
	}
	return true
}

// Again has the next Changed say so, whatever state the files are in.
func (f *Files) Again() {
	f.next = time.Time{}
	for i := range f.files {
		f.files[i].seen = look(f.files[i].path)
		f.files[i].taken = state{size: -1}
	}
}

func look(path string) state {
	info, err := os.Stat(path)
	if err != nil {
		return state{}
	}
	return state{info.ModTime(), info.Size()}
}

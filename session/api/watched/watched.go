// Package watched tells when files have changed that a running daemon takes its credentials from.
package watched

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// Every is how often files are looked at: at most once in a second of requests.
	Every = time.Second
	// Settle is how long files must have been left alone before what is in them counts: somebody may be writing them, and the first half of a list of tokens is a
	// good list of fewer.
	Settle = Every / 4
	// Reread is how often the content of a file is compared that looks as it was. Some are replaced by one of the same time and size, and not every file system tells more.
	Reread = time.Minute
	// most bounds what is compared of a file. Lists of revoked certificates have some megabytes.
	most = 256 << 20
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
	read        time.Time // when its content was last read
}

// state tells one state of a file from another. The zero value is that of a file that cannot be looked at.
type state struct {
	stat
	// content is the hash of what is in the file. It alone says whether one state is another: whoever writes a file may set its time.
	content [sha256.Size]byte
}

// stat is what is known of a file without reading it.
type stat struct {
	time time.Time
	size int64
	// id is the file behind the name, and when it was last changed by the system's clock; empty where that is not known.
	id string
}

// New follows files from the state that they are in, which is to be read after it. Empty paths are left out.
func New(paths ...string) Files {
	var f Files
	for _, p := range paths {
		if p != "" {
			one := file{path: p}
			one.look(time.Time{})
			one.taken = one.seen
			f.files = append(f.files, one)
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
		one.look(now)
		if one.seen.content == one.taken.content {
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
		one := &f.files[i]
		one.look(time.Time{})
		// No content has this hash.
		one.taken = state{content: [sha256.Size]byte{1}}
	}
}

// look takes in the state of the file. Its content is read when it looks otherwise than before, and each Reread; always with the zero time.
func (f *file) look(now time.Time) {
	info, err := os.Stat(f.path)
	if err != nil {
		f.seen, f.read = state{}, now
		return
	}
	s := stat{info.ModTime(), info.Size(), identify(info)}
	if s == f.seen.stat && !now.IsZero() && !f.read.IsZero() && now.Sub(f.read) < Reread {
		return
	}
	f.seen, f.read = state{stat: s}, now
	if !info.Mode().IsRegular() { // reading a pipe would wait
		f.seen.content = sha256.Sum256(fmt.Append(nil, s))
		return
	}
	if f.seen.content, err = hash(f.path); err != nil {
		f.seen = state{}
		return
	}
	// Readers refuse files that others can change: one whose mode is put right is read again.
	f.seen.content = sha256.Sum256(fmt.Append(f.seen.content[:], info.Mode()))
}

// hash returns the hash of what is in a file.
func hash(path string) (sum [sha256.Size]byte, err error) {
	in, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(in, most)); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// Package watched notices changes of files from which a running daemon takes its credentials.
package watched

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// Every is the shortest time between two looks at the files.
	Every = time.Second
	// Settle is how long files must be unchanged before their content counts. Somebody may be writing them: the first
	// half of a list of tokens is a valid list of fewer tokens.
	Settle = Every / 4
	// Reread is how often the content of an apparently unchanged file is compared. A file may be replaced by one with
	// the same time and size, and not every file system has more to distinguish them.
	Reread = time.Minute
	// most bounds what is compared of a file. Lists of revoked certificates have several megabytes.
	most = 256 << 20
)

// Files are files that are read again after a change. The zero value has none, and never changes. A Files is not safe
// for concurrent use.
type Files struct {
	files []file
	next  time.Time // time of the next look
}

// file is a file with its state when it was last used, and when it was last looked at.
type file struct {
	path        string
	taken, seen state
	read        time.Time // time of the last look at its content
}

// state identifies the state of a file. The zero value is that of a file that cannot be read.
type state struct {
	stat
	// content is the hash of the file's content. Only the content distinguishes two states, because the writer of a
	// file may set its time.
	content [sha256.Size]byte
}

// stat is what is known of a file without reading it.
type stat struct {
	time time.Time
	size int64
	// id is the identity of the file behind the name, with the time of its last change by the system's clock. It is
	// empty if it is not known.
	id string
}

// New follows files from their current state on. The caller reads the files after the call. Empty paths are ignored.
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

// Changed reports whether the files have a different state than at New, or when it last returned true, and are
// unchanged since. It reports each state once, so an invalid file is logged once. It looks at the files at most once
// per Every, and a second time after Settle if they have just been written.
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
		// By the file's own time a single look is enough, unless one of the clocks is wrong. A missing file needs a
		// second look.
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

// Again makes the next Changed return true, whatever the state of the files is.
func (f *Files) Again() {
	f.next = time.Time{}
	for i := range f.files {
		one := &f.files[i]
		one.look(time.Time{})
		// No content has this hash.
		one.taken = state{content: [sha256.Size]byte{1}}
	}
}

// look reads the state of the file. It reads the content if the file looks changed, and once per Reread. With the zero
// time it always does.
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
	// Readers refuse files that other users can change. A file whose mode was corrected is read again.
	f.seen.content = sha256.Sum256(fmt.Append(f.seen.content[:], info.Mode()))
}

// hash returns the hash of the file's content.
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

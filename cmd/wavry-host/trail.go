package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// trail is the file of the audit log. A file that was moved away is opened anew, at most a second later.
type trail struct {
	mu   sync.Mutex // guards all following fields
	path string     // empty for no audit log
	file *os.File
	next time.Time // when to check it again
	half bool      // it ends with an incomplete line
}

// newTrail opens the file, and takes access from others; its group may read it. Without a path nothing is written.
func newTrail(path string) (*trail, error) {
	t := &trail{path: path}
	if path == "" {
		return t, nil
	}
	if err := t.open(); err != nil {
		return nil, fmt.Errorf("api.audit_file: %w", err)
	}
	return t, nil
}

func (t *trail) open() error {
	const mode = 0o640 // the group may collect logs
	f, err := os.OpenFile(t.path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_RDWR, mode)
	made := err == nil
	if errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(t.path, os.O_APPEND|os.O_RDWR, mode)
	}
	if err != nil {
		return err
	}
	// A file that exists may have been made by others, readable for all. A new one does not depend on the umask.
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && (made || info.Mode().Perm()&^mode != 0) {
		keep := info.Mode().Perm() & mode
		if made {
			keep = mode
		}
		if err := f.Chmod(keep); err != nil {
			return errors.Join(fmt.Errorf("take access to %s from others: %w", t.path, err), f.Close())
		}
	}
	if t.file != nil {
		_ = t.file.Close() // all of it was written at once
	}
	t.file, t.half = f, half(f)
	return nil
}

const (
	// recordStart begins each record of the audit log.
	recordStart = `{"time":"`
	// maxRecord is more than the longest record has.
	maxRecord = 64 << 10
)

// mend removes an incomplete record from the end of a file, and reports whether it did. Other text stays: the path may
// be the file of another program.
func mend(f *os.File) bool {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return false
	}
	at := max(0, size-maxRecord)
	tail := make([]byte, size-at)
	if _, err := f.ReadAt(tail, at); err != nil {
		return false
	}
	end := bytes.LastIndexByte(tail, '\n') + 1
	if end == 0 && at > 0 {
		return false
	}
	rest := string(tail[end:])
	if !strings.HasPrefix(rest, recordStart) && !strings.HasPrefix(recordStart, rest) {
		return false
	}
	return f.Truncate(at+int64(end)) == nil
}

// half reports whether a file ends without a newline, after a full disk or a crash.
func half(f *os.File) bool {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], end-1)
	return err == nil && last[0] != '\n'
}

// prepare opens another file, which apply puts in the place of the present one. The caller must call one of apply and
// drop.
func (t *trail) prepare(path string) (apply, drop func(), err error) {
	t.mu.Lock()
	same := path == t.path
	t.mu.Unlock()
	if same {
		return func() {}, func() {}, nil
	}
	next, err := newTrail(path)
	if err != nil {
		return nil, nil, err
	}
	apply = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		old := t.file
		t.path, t.file, t.next, t.half = next.path, next.file, next.next, next.half
		if old != nil {
			_ = old.Close() // all of it was written at once
		}
	}
	drop = func() {
		if next.file != nil {
			_ = next.file.Close() // nothing was written
		}
	}
	return apply, drop, nil
}

// Write appends a line.
func (t *trail) Write(line []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.path == "" {
		return len(line), nil
	}
	if now := time.Now(); !now.Before(t.next) {
		t.next = now.Add(time.Second)
		there, err := os.Stat(t.path)
		mine, err2 := t.file.Stat()
		if err != nil || err2 != nil || !os.SameFile(there, mine) {
			if err := t.open(); err != nil {
				return 0, err
			}
		}
	}
	if t.half && !mend(t.file) { // it must not be appended to the incomplete line
		line = append([]byte{'\n'}, line...)
	}
	n, err := t.file.Write(line)
	t.half = n > 0 && line[n-1] != '\n' || n == 0 && t.half
	return n, err
}

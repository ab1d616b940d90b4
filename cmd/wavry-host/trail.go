package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// trail is the file of the audit log. One that was moved away is opened anew, at the latest a second later.
type trail struct {
	path string
	file *os.File
	next time.Time // when it is looked at again
	half bool      // it ends with a part of a line
}

// newTrail opens the file, which it makes readable for its owner alone.
func newTrail(path string) (*trail, error) {
	t := &trail{path: path}
	if err := t.open(); err != nil {
		return nil, fmt.Errorf("audit_log: %w", err)
	}
	return t, nil
}

func (t *trail) open() error {
	f, err := os.OpenFile(t.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	// One that is there may have been made by others, for all to read. Its group may be the one that collects logs.
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&^0o640 != 0 {
		if err := f.Chmod(info.Mode().Perm() & 0o640); err != nil {
			return errors.Join(fmt.Errorf("take access to %s from others: %w", t.path, err), f.Close())
		}
	}
	if t.file != nil {
		_ = t.file.Close() // all of it was written at once
	}
	t.file, t.half = f, half(f)
	return nil
}

// half reports whether a file ends without a newline: what a full disk or a crash left of a line.
func half(f *os.File) bool {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], end-1)
	return err == nil && last[0] != '\n'
}

// Write appends a line. One goroutine at a time calls it.
func (t *trail) Write(line []byte) (int, error) {
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
	if t.half { // it must not run into the next one
		line = append([]byte{'\n'}, line...)
	}
	n, err := t.file.Write(line)
	t.half = n > 0 && line[n-1] != '\n' || n == 0 && t.half
	return n, err
}

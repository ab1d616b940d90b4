package main

import (
	"fmt"
	"os"
	"time"
)

// trail is the file of the audit log. One that was moved away is opened anew, at the latest a second later.
type trail struct {
	path string
	file *os.File
	next time.Time // when it is looked at again
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
	f, err := os.OpenFile(t.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if t.file != nil {
		_ = t.file.Close() // all of it was written at once
	}
	t.file = f
	return nil
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
	return t.file.Write(line)
}

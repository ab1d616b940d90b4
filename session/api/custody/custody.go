// Package custody tells whether a file that holds secrets, or decides who gets in, is in the hands of the daemon's user.
package custody

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Kind is what a file is for.
type Kind uint8

// The kinds of files.
const (
	// Decisive files say who gets in. Others may read them, and must not write them.
	Decisive Kind = iota
	// Secret files must not be read by others, either.
	Secret
)

// ErrExposed means that others have access to a file that they must not have.
var ErrExposed = errors.New("file is exposed")

// ErrLarge means that a file is too large to be what it should be.
var ErrLarge = errors.New("it is larger")

// exposure is an ErrExposed in words.
type exposure string

func (e exposure) Error() string        { return string(e) }
func (e exposure) Is(target error) bool { return target == ErrExposed }

// Read reads a file of at most so many bytes. The error is an ErrExposed when others have access that they must not have; warning says what the operator should know of one
// that is taken nevertheless, and is empty for none.
func Read(path string, most int64, kind Kind) (text []byte, warning string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	// What was opened is checked, not what has the name a moment later.
	if warning, err = Check(f, path, kind); err != nil {
		return nil, "", err
	}
	text, err = io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s: %w than %d bytes", path, ErrLarge, most)
	}
	return text, warning, err
}

// Check tells whether an open file is in safe hands; see Read.
func Check(f *os.File, path string, kind Kind) (warning string, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // a pipe of the shell, as in <(…), is its user's
		return "", nil
	}
	return judge(path, kind, facts{info.Mode().Perm(), owned(info), func() bool { return readOnly(f) }})
}

// owner is whose a file is.
type owner uint8

const (
	ours    owner = iota // the daemon's user's, or root's
	unknown              // the system cannot tell: it is of a user outside of the container
	another
)

// facts are what is known of a file.
type facts struct {
	mode     fs.FileMode
	owner    owner
	readOnly func() bool // whether nothing can be written where it is
}

func judge(path string, kind Kind, f facts) (warning string, err error) {
	readable := kind == Secret && f.mode&0o004 != 0
	writable := f.mode&0o022 != 0
	if f.owner == ours && !readable && !writable {
		return "", nil
	}
	// Secrets that Docker and Kubernetes mount belong to root, and can be read by whoever is in the container. Nobody there can change them.
	mounted := f.readOnly()
	switch {
	case f.owner == another && !mounted:
		return "", exposure(fmt.Sprintf("%s belongs to another user, who can change it: chown it to the daemon's user or root", path))
	case writable && !mounted:
		return "", exposure(fmt.Sprintf("others than its owner can write %s (mode %04o): chmod go-w %[1]s", path, f.mode))
	case readable && !mounted && f.mode&0o222 != 0:
		return "", exposure(fmt.Sprintf("every user can read %s (mode %04o): chmod 640 %[1]s", path, f.mode))
	case readable:
		return fmt.Sprintf("every user can read %s (mode %04o); it is taken because nobody can write it, as where secrets are mounted", path, f.mode), nil
	case f.owner == unknown && !mounted:
		return fmt.Sprintf("%s belongs to a user that this system does not know; whoever that is can change it", path), nil
	}
	return "", nil
}

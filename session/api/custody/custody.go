// Package custody checks that only the daemon's user can change, or read, a file that holds secrets or decides who is
// admitted.
package custody

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
)

// Kind is the purpose of a file.
type Kind uint8

// The kinds of files.
const (
	// Decisive files decide who is admitted. Other users may read them, but must not write them.
	Decisive Kind = iota
	// Other users must neither read nor write Secret files.
	Secret
)

// ErrExposed means that other users have access to a file that they must not have.
var ErrExposed = errors.New("file is exposed")

// ErrLarge means that a file is too large for its purpose.
var ErrLarge = errors.New("it is larger")

// exposure is an ErrExposed in words.
type exposure string

func (e exposure) Error() string        { return string(e) }
func (e exposure) Is(target error) bool { return target == ErrExposed }

// Read reads a file of at most so many bytes. If other users have access that they must not have, the error is an
// ErrExposed. A warning says what the operator should know of a file that is accepted; it is empty for none.
func Read(path string, most int64, kind Kind) (text []byte, warning string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	// The opened file is checked, not the name, which may refer to another file a moment later.
	if warning, err = Check(f, path, kind); err != nil {
		return nil, "", err
	}
	text, err = io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s: %w than %d bytes", path, ErrLarge, most)
	}
	return text, warning, err
}

// Check checks an open file; see Read.
func Check(f *os.File, path string, kind Kind) (warning string, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // a pipe of the shell, as in <(…), belongs to its user
		return "", nil
	}
	return judge(path, kind, facts{info.Mode().Perm(), owned(info), func() bool { return readOnly(f) }})
}

// owner is the owner of a file.
type owner uint8

const (
	ours    owner = iota // the daemon's user, or root
	unknown              // not known to the system: a user outside of the container
	another
)

// facts are the known properties of a file.
type facts struct {
	mode     fs.FileMode
	owner    owner
	readOnly func() bool // reports whether the file is on a read-only mount
}

func judge(path string, kind Kind, f facts) (warning string, err error) {
	readable := kind == Secret && f.mode&0o004 != 0
	writable := f.mode&0o022 != 0
	if f.owner == ours && !readable && !writable {
		return "", nil
	}
	// Secrets that Docker and Kubernetes mount belong to root. Every process in the container can read them, but none
	// can change them.
	mounted := f.readOnly()
	switch {
	case f.owner == another && !mounted:
		return "", exposure(path + " belongs to another user, who can change it: chown it to the daemon's user or root")
	case writable && !mounted:
		return "", exposure(fmt.Sprintf("other users can write %s (mode %04o): chmod go-w %[1]s",
			path, f.mode))
	case readable && !mounted && f.mode&0o222 != 0:
		return "", exposure(fmt.Sprintf("every user can read %s (mode %04o): chmod 640 %[1]s", path, f.mode))
	case readable:
		return fmt.Sprintf("every user can read %s (mode %04o); it is accepted because nobody can write it, "+
			"like a mounted secret", path, f.mode), nil
	case f.owner == unknown && !mounted:
		return path + " belongs to a user that this system does not know, and that can change it", nil
	}
	return "", nil
}

// Warn logs what the operator should know of a file of credentials. It logs nothing without a warning.
func Warn(log *slog.Logger, warning string) {
	if warning != "" {
		log.Warn("file of credentials", "problem", warning)
	}
}

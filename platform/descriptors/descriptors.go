// Package descriptors passes descriptors of files from one process to another, by a Unix socket.
package descriptors

import "errors"

// ErrTooMany means that the other process passes more files than expected.
var ErrTooMany = errors.New("descriptors: too many files")

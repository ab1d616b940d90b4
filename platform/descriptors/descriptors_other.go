//go:build !unix

package descriptors

import (
	"errors"
	"net"
	"os"
)

// Send sends bytes, with descriptors. It works on Unix systems only.
func Send(*net.UnixConn, []byte, []int) error { return errors.ErrUnsupported }

// Receive reads bytes, with descriptors. It works on Unix systems only.
func Receive(*net.UnixConn, []byte, int, string) (int, []*os.File, error) {
	return 0, nil, errors.ErrUnsupported
}

// Close closes files.
func Close([]*os.File) {}

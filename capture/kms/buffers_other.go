//go:build !linux

package kms

import (
	"fmt"

	"wavryhost/capture"
)

func checkSystem() error {
	return fmt.Errorf("%w: graphics cards are captured on linux only", capture.ErrUnsupported)
}

type buffers struct{}

func (*buffers) use(layout, int, func([]byte)) error { return checkSystem() }

func (*buffers) close() {}

func identify(int) (inode, size uint64, err error) { return 0, 0, checkSystem() }

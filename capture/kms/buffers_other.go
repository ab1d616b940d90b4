//go:build !linux

package kms

import (
	"fmt"
	"os"

	"wavryhost/capture"
	"wavryhost/platform/kms"
)

func checkSystem() error {
	return fmt.Errorf("%w: graphics cards are captured on linux only", capture.ErrUnsupported)
}

type buffers struct{}

func (*buffers) read(layout, *kms.Buffer, []*os.File, []byte) error { return checkSystem() }

func (*buffers) close() {}

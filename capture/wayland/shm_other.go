//go:build !linux

package wayland

import (
	"fmt"

	"wavryhost/capture"
)

func checkSystem() error {
	return fmt.Errorf("%w: Wayland compositors are captured on linux only", capture.ErrUnsupported)
}

func newMemory(int) (mem []byte, fd int, err error) { return nil, -1, checkSystem() }

func closeFile(int) {}

func freeMemory([]byte) {}

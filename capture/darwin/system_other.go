//go:build !darwin

package darwin

import (
	"fmt"

	"wavryhost/capture"
)

func open() (system, error) {
	return nil, fmt.Errorf("%w: ScreenCaptureKit is part of macOS", capture.ErrUnsupported)
}

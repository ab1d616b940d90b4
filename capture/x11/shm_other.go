//go:build !linux

package x11

import (
	"context"
	"fmt"
	"runtime"

	"wavryhost/capture"
	"wavryhost/platform/xproto"
)

func checkSystem() error {
	return fmt.Errorf("x11: %w: X displays are captured on linux only, this is %s", capture.ErrUnsupported, runtime.GOOS)
}

func newSegment(context.Context, *xproto.Conn, extensions, int) (*segment, error) {
	return nil, capture.ErrUnsupported
}

func (s *segment) detach() {}

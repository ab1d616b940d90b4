package x11

import (
	"context"
	"net"
)

// Screen describes the screen of a connection to an X server.
type Screen struct {
	Root          uint32
	Width, Height int // pixels, when the connection was opened
	// The screens of a server share one pointer, which may be on another screen.
	Several bool
}

// Dial connects to a display as a Source does, and returns the connection. The protocol is open on it, and no request
// was sent. Dial takes no longer than ctx and five seconds. It serves other uses of a captured display.
func Dial(ctx context.Context, display string, authority []string) (net.Conn, Screen, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	c, sc, err := connect(ctx, display, authority)
	if err != nil {
		return nil, Screen{}, err
	}
	return c.nc, Screen{Root: sc.root, Width: sc.width, Height: sc.height, Several: len(c.setup.screens) > 1}, nil
}

package x11

import (
	"context"
	"net"
)

// Screen is what a connection to an X server is for.
type Screen struct {
	Root          uint32
	Width, Height int // pixels, when the connection opened
	// Several servers' screens share one pointer, which may be on another screen.
	Several bool
}

// Dial connects to a display as a Source does, and leaves the connection to the caller: the protocol is open on it, and nothing was asked
// yet. It takes no longer than ctx and five seconds. It is for what else is done with a display that is captured.
func Dial(ctx context.Context, display string, authority []string) (net.Conn, Screen, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	c, sc, err := connect(ctx, display, authority)
	if err != nil {
		return nil, Screen{}, err
	}
	return c.nc, Screen{Root: sc.root, Width: sc.width, Height: sc.height, Several: len(c.setup.screens) > 1}, nil
}

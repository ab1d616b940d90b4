package x11

import (
	"context"
	"errors"
	"fmt"
	"image"

	"wavryhost/platform/xproto"
)

// errNoMonitor means that the monitor is not connected, or is off.
var errNoMonitor = errors.New("the screen has no such monitor at present")

// shownArea returns the part of a screen to capture: the monitor of that name, or the whole screen without one.
func shownArea(
	ctx context.Context, c *xproto.Conn, randr xproto.RandR, root uint32, monitor string,
) (image.Rectangle, error) {
	width, height, err := c.Geometry(ctx, root)
	screen := image.Rect(0, 0, width, height)
	if err != nil || monitor == "" {
		return screen, err
	}
	list, err := c.Monitors(ctx, randr, root)
	if err != nil {
		return screen, err
	}
	for _, m := range list {
		// While monitors are arranged, one may be partly outside the screen for a moment. An event follows.
		if m.Name == monitor && !m.Area.Intersect(screen).Empty() {
			return m.Area.Intersect(screen), nil
		}
	}
	return screen, fmt.Errorf("monitor %s: %w", monitor, errNoMonitor)
}

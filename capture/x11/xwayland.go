package x11

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"wavryhost/capture"
)

// errXwayland is the error of an X server inside a Wayland session. It has the windows of programs, but the compositor
// has the picture.
var errXwayland = fmt.Errorf(
	"%w: it is Xwayland, whose screen is black; the picture is the Wayland compositor's, which cannot be captured yet",
	capture.ErrUnsupported,
)

// rootless returns errXwayland for a server whose windows a Wayland compositor shows one by one. Such a server
// identifies itself by an extension (since version 23.1) or by its outputs. So does a server with a window of its own,
// which can be captured. The difference: a rootless server cannot copy its root window.
func (c *conn) rootless(ctx context.Context, sc screen, randr extension) error {
	xwayland, err := c.queryExtension(ctx, "XWAYLAND")
	if err != nil {
		return err
	}
	suspect := xwayland.present()
	if !suspect && randr.present() {
		if suspect, err = c.hasOutput(ctx, sc.root, randr, "XWAYLAND"); err != nil {
			return err
		}
	}
	if !suspect {
		return nil
	}
	shown, err := c.hasPicture(ctx, sc)
	if err == nil && !shown {
		err = errXwayland
	}
	return err
}

// hasOutput reports whether the name of an output has that prefix.
func (c *conn) hasOutput(ctx context.Context, root uint32, randr extension, prefix string) (bool, error) {
	b, err := c.await(ctx, c.send(randr.major, randrGetScreenResourcesCurrent, root))
	var refused requestError
	if errors.As(err, &refused) { // RandR 1.2
		return false, nil
	}
	if err != nil {
		return false, err
	}
	stamp, crtcs, outputs := le.Uint32(b[12:]), int(le.Uint16(b[16:])), int(le.Uint16(b[18:]))
	if len(b) < 32+4*(crtcs+outputs) {
		return false, nil
	}
	ids := make([]uint32, min(outputs, 16))
	for i := range ids {
		ids[i] = le.Uint32(b[32+4*(crtcs+i):])
	}
	for _, id := range ids {
		b, err := c.await(ctx, c.send(randr.major, randrGetOutputInfo, id, stamp))
		switch {
		case errors.As(err, &refused):
			continue // it has just gone
		case err != nil:
			return false, err
		}
		// CRTCs, modes and clones come before the name.
		n, at := int(le.Uint16(b[34:])), 36+4*(int(le.Uint16(b[26:]))+int(le.Uint16(b[28:]))+int(le.Uint16(b[32:])))
		if len(b) >= at+n && strings.HasPrefix(string(b[at:at+n]), prefix) {
			return true, nil
		}
	}
	return false, nil
}

// hasPicture reports whether a pixel of the root window can be copied. The server answers with an event of one of two
// kinds.
func (c *conn) hasPicture(ctx context.Context, sc screen) (bool, error) {
	const (
		includeInferiors            = 1
		gcSubwindowMode, gcExposure = 1 << 15, 1 << 16
	)
	var got byte
	before := c.onEvent
	defer func() { c.onEvent = before }()
	c.onEvent = func(b []byte) {
		if kind := b[0] & 0x7f; kind == eventGraphicsExposure || kind == eventNoExposure {
			got = kind
		}
	}
	pixmap, gc := c.id(), c.id()
	c.send(opCreatePixmap, sc.depth, pixmap, sc.root, pair(1, 1))
	c.send(opCreateGC, 0, gc, pixmap, gcSubwindowMode|gcExposure, includeInferiors, 1)
	err := c.check(ctx, c.send(opCopyArea, 0, sc.root, pixmap, gc, pair(0, 0), pair(0, 0), pair(1, 1)))
	c.send(opFreeGC, 0, gc)
	c.send(opFreePixmap, 0, pixmap)
	if err != nil {
		return false, err
	}
	for limit := time.Now().Add(time.Second); got == 0; {
		if err := c.wait(limit); errors.Is(err, errTimeout) || ctx.Err() != nil {
			break
		} else if err != nil && !errors.Is(err, errWoken) {
			return false, err
		}
	}
	return got != eventGraphicsExposure, ctx.Err()
}

package x11

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/xproto"
)

// errXwayland is the error of an X server inside a Wayland session. It has the windows of programs, but the compositor
// has the picture.
var errXwayland = fmt.Errorf(
	"%w: it is Xwayland, whose screen is black; the picture is that of the Wayland compositor, a display of its own",
	capture.ErrUnsupported,
)

// rootless returns errXwayland for a server whose windows a Wayland compositor shows one by one. Such a server
// identifies itself by an extension (since version 23.1) or by its outputs. So does a server with a window of its own,
// which can be captured. The difference: a rootless server cannot copy its root window.
func rootless(ctx context.Context, c *xproto.Conn, sc xproto.Screen, randr xproto.RandR) error {
	xwayland, err := c.QueryExtension(ctx, "XWAYLAND")
	if err != nil {
		return err
	}
	suspect := xwayland.Present()
	if !suspect && randr.Present() {
		if suspect, err = hasOutput(ctx, c, sc.Root, randr, "XWAYLAND"); err != nil {
			return err
		}
	}
	if !suspect {
		return nil
	}
	shown, err := hasPicture(ctx, c, sc)
	if err == nil && !shown {
		err = errXwayland
	}
	return err
}

// hasOutput reports whether the name of an output has that prefix.
func hasOutput(ctx context.Context, c *xproto.Conn, root uint32, randr xproto.RandR, prefix string) (bool, error) {
	b, err := c.Await(ctx, c.Send(randr.Major, randrGetScreenResourcesCurrent, root))
	var refused xproto.RequestError
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
		b, err := c.Await(ctx, c.Send(randr.Major, randrGetOutputInfo, id, stamp))
		switch {
		case errors.As(err, &refused):
			continue // it has just gone
		case err != nil:
			return false, err
		}
		if len(b) < 36 {
			continue
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
func hasPicture(ctx context.Context, c *xproto.Conn, sc xproto.Screen) (bool, error) {
	const (
		includeInferiors            = 1
		gcSubwindowMode, gcExposure = 1 << 15, 1 << 16
	)
	var got byte
	before := c.OnEvent
	defer func() { c.OnEvent = before }()
	c.OnEvent = func(b []byte) {
		if kind := xproto.Kind(b); kind == eventGraphicsExposure || kind == eventNoExposure {
			got = kind
		}
	}
	pixmap, gc := c.NewID(), c.NewID()
	c.Send(opCreatePixmap, sc.Depth, pixmap, sc.Root, xproto.Pair(1, 1))
	c.Send(opCreateGC, 0, gc, pixmap, gcSubwindowMode|gcExposure, includeInferiors, 1)
	at, size := xproto.Pair(0, 0), xproto.Pair(1, 1)
	err := c.Check(ctx, c.Send(opCopyArea, 0, sc.Root, pixmap, gc, at, at, size))
	c.Send(opFreeGC, 0, gc)
	c.Send(opFreePixmap, 0, pixmap)
	if err != nil {
		return false, err
	}
	for limit := time.Now().Add(time.Second); got == 0; {
		if err := c.Wait(limit); errors.Is(err, xproto.ErrTimeout) || ctx.Err() != nil {
			break
		} else if err != nil && !errors.Is(err, xproto.ErrWoken) {
			return false, err
		}
	}
	return got != eventGraphicsExposure, ctx.Err()
}

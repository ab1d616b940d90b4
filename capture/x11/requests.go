package x11

import (
	"context"
	"errors"
	"fmt"
	"image"

	"wavryhost/platform/xproto"
)

// Core requests and events (X Window System Protocol, appendix B).
const (
	opChangeWindowAttributes = 2
	opQueryPointer           = 38
	opCreatePixmap           = 53
	opFreePixmap             = 54
	opCreateGC               = 55
	opFreeGC                 = 60
	opCopyArea               = 62
	opGetImage               = 73

	eventGraphicsExposure = 13
	eventNoExposure       = 14
	eventConfigureNotify  = 22

	attributeEventMask  = 1 << 11
	maskStructureNotify = 1 << 17

	formatZPixmap = 2
	allPlanes     = 0xffffffff
)

// Requests of the extensions, by minor opcode.
const (
	queryVersion = 0 // of all except XInput

	shmAttach   = 1
	shmDetach   = 2
	shmGetImage = 4
	shmAttachFD = 6 // from 1.2 on

	damageCreate   = 1
	damageSubtract = 3
	damageNonEmpty = 3 // the report level: one event when damage appears

	fixesSelectCursorInput = 3
	fixesGetCursorImage    = 4
	fixesCreateRegion      = 5
	fixesFetchRegion       = 19

	randrGetOutputInfo             = 9
	randrGetScreenResourcesCurrent = 25

	xiSelectEvents     = 46
	xiQueryVersion     = 47
	xiAllMasterDevices = 1
	xiRawMotion        = 17
)

// version asks for an extension's version. Most extensions require this request first.
func version(ctx context.Context, c *xproto.Conn, e xproto.Extension, major, minor uint32) (uint32, error) {
	b, err := c.Await(ctx, c.Send(e.Major, queryVersion, major, minor))
	if err != nil {
		return 0, err
	}
	return le.Uint32(b[8:]), nil
}

// parsePointer reads the reply to QueryPointer. ok is false when the pointer is on another screen.
func parsePointer(b []byte) (p image.Point, ok bool) {
	return image.Pt(int(int16(le.Uint16(b[16:]))), int(int16(le.Uint16(b[18:])))), b[1] != 0
}

// parseRegion adds the rectangles of a region inside bounds to rects, seen from origin, or the region's extents when it
// has too many.
func parseRegion(rects []image.Rectangle, b []byte, bounds image.Rectangle, origin image.Point) []image.Rectangle {
	rectangle := func(b []byte) image.Rectangle {
		x, y := int(int16(le.Uint16(b))), int(int16(le.Uint16(b[2:])))
		return image.Rect(x, y, x+int(le.Uint16(b[4:])), y+int(le.Uint16(b[6:]))).Intersect(bounds).Sub(origin)
	}
	list := b[32:]
	if len(list)/8 > maxRects {
		list = b[8:16]
	}
	for ; len(list) >= 8; list = list[8:] {
		if r := rectangle(list); !r.Empty() {
			rects = append(rects, r)
		}
	}
	return rects
}

// extensions are the extensions that a Source uses.
type extensions struct {
	shm, damage, fixes, input xproto.Extension
	randr                     xproto.RandR
	// shmFD means that memory can be passed as an open file, across namespaces and users.
	shmFD bool
}

func queryExtensions(ctx context.Context, c *xproto.Conn) (extensions, error) {
	var e extensions
	for _, x := range []struct {
		name         string
		to           *xproto.Extension
		major, minor uint32
		least        uint32
	}{
		{"MIT-SHM", &e.shm, 0, 0, 1},
		{"XFIXES", &e.fixes, 5, 0, 2}, // version 2 added regions
		{"DAMAGE", &e.damage, 1, 1, 1},
	} {
		ext, err := c.QueryExtension(ctx, x.name)
		if err != nil {
			return e, err
		}
		if !ext.Present() {
			continue
		}
		var got uint32
		if x.to == &e.shm {
			b, err := c.Await(ctx, c.Send(ext.Major, queryVersion))
			if err != nil {
				return e, err
			}
			got = uint32(le.Uint16(b[8:]))
			e.shmFD = got > 1 || got == 1 && le.Uint16(b[10:]) >= 2
		} else if got, err = version(ctx, c, ext, x.major, x.minor); err != nil {
			return e, err
		}
		if got >= x.least {
			*x.to = ext
		}
	}
	var err error
	if e.randr, err = c.QueryRandR(ctx); err != nil {
		return e, err
	}
	e.input, err = inputExtension(ctx, c)
	return e, err
}

// inputExtension asks for XInput 2.2. Its raw events come even while another client has grabbed the pointer.
func inputExtension(ctx context.Context, c *xproto.Conn) (xproto.Extension, error) {
	ext, err := c.QueryExtension(ctx, "XInputExtension")
	if err != nil || !ext.Present() {
		return xproto.Extension{}, err
	}
	b, err := c.Await(ctx, c.Send(ext.Major, xiQueryVersion, xproto.Pair(2, 2)))
	var refused xproto.RequestError
	switch {
	case errors.As(err, &refused): // XInput 1
		return xproto.Extension{}, nil
	case err != nil:
		return xproto.Extension{}, fmt.Errorf("x11: ask for XInput's version: %w", err)
	case le.Uint16(b[8:]) < 2:
		return xproto.Extension{}, nil
	}
	return ext, nil
}

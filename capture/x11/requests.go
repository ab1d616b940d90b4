package x11

import (
	"context"
	"errors"
	"fmt"
	"image"
)

// Core requests and events (X Window System Protocol, appendix B).
const (
	opChangeWindowAttributes = 2
	opGetGeometry            = 14
	opQueryPointer           = 38
	opGetInputFocus          = 43
	opCreatePixmap           = 53
	opFreePixmap             = 54
	opCreateGC               = 55
	opFreeGC                 = 60
	opCopyArea               = 62
	opGetImage               = 73
	opQueryExtension         = 98
	opListExtensions         = 99

	eventGraphicsExposure = 13
	eventNoExposure       = 14
	eventConfigureNotify  = 22

	attributeEventMask  = 1 << 11
	maskStructureNotify = 1 << 17

	formatZPixmap = 2
	allPlanes     = 0xffffffff
)

// extension is an extension of the server. The zero value means that the server lacks it.
type extension struct {
	major, firstEvent byte
}

func (e extension) present() bool { return e.major != 0 }

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

	randrSelectInput               = 4
	randrGetOutputInfo             = 9
	randrGetScreenResourcesCurrent = 25

	xiSelectEvents     = 46
	xiQueryVersion     = 47
	xiAllMasterDevices = 1
	xiRawMotion        = 17
)

func (c *conn) queryExtension(ctx context.Context, name string) (extension, error) {
	c.out = append(c.out, opQueryExtension, 0)
	c.out = le.AppendUint16(c.out, uint16(2+pad4(len(name))/4))
	c.out = le.AppendUint32(c.out, uint32(len(name)))
	c.out = appendPadded(c.out, name)
	c.seq++
	b, err := c.await(ctx, c.seq)
	if err != nil || b[8] == 0 {
		return extension{}, err
	}
	return extension{major: b[9], firstEvent: b[10]}, nil
}

// version asks for an extension's version. Most extensions require this request first.
func (c *conn) version(ctx context.Context, e extension, major, minor uint32) (uint32, error) {
	b, err := c.await(ctx, c.send(e.major, queryVersion, major, minor))
	if err != nil {
		return 0, err
	}
	return le.Uint32(b[8:]), nil
}

func (c *conn) listExtensions(ctx context.Context) ([]string, error) {
	b, err := c.await(ctx, c.send(opListExtensions, 0))
	if err != nil {
		return nil, err
	}
	return parseNames(b[32:], int(b[1])), nil
}

func parseNames(b []byte, n int) []string {
	var names []string
	for range n {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			break
		}
		end := 1 + int(b[0])
		names = append(names, string(b[1:end]))
		b = b[end:]
	}
	return names
}

func (c *conn) geometry(ctx context.Context, window uint32) (width, height int, err error) {
	b, err := c.await(ctx, c.send(opGetGeometry, 0, window))
	if err != nil {
		return 0, 0, err
	}
	return int(le.Uint16(b[16:])), int(le.Uint16(b[18:])), nil
}

// parsePointer reads the reply to QueryPointer. ok is false when the pointer is on another screen.
func parsePointer(b []byte) (p image.Point, ok bool) {
	return image.Pt(int(int16(le.Uint16(b[16:]))), int(int16(le.Uint16(b[18:])))), b[1] != 0
}

// parseRegion adds the rectangles of a region inside bounds to rects, or the region's extents when it has too many.
func parseRegion(rects []image.Rectangle, b []byte, bounds image.Rectangle) []image.Rectangle {
	rectangle := func(b []byte) image.Rectangle {
		x, y := int(int16(le.Uint16(b))), int(int16(le.Uint16(b[2:])))
		return image.Rect(x, y, x+int(le.Uint16(b[4:])), y+int(le.Uint16(b[6:]))).Intersect(bounds)
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

// pair packs two 16-bit fields, signed or not.
func pair(a, b int) uint32 { return uint32(uint16(a)) | uint32(uint16(b))<<16 }

// extensions are the extensions that a Source uses.
type extensions struct {
	shm, damage, fixes, randr, input extension
	// shmFD means that memory can be passed as an open file, across namespaces and users.
	shmFD bool
}

func (c *conn) extensions(ctx context.Context) (extensions, error) {
	var e extensions
	for _, x := range []struct {
		name         string
		to           *extension
		major, minor uint32
		least        uint32
	}{
		{"MIT-SHM", &e.shm, 0, 0, 1},
		{"XFIXES", &e.fixes, 5, 0, 2}, // version 2 added regions
		{"DAMAGE", &e.damage, 1, 1, 1},
		{"RANDR", &e.randr, 1, 2, 1},
	} {
		ext, err := c.queryExtension(ctx, x.name)
		if err != nil {
			return e, err
		}
		if !ext.present() {
			continue
		}
		var got uint32
		if x.to == &e.shm {
			b, err := c.await(ctx, c.send(ext.major, queryVersion))
			if err != nil {
				return e, err
			}
			got = uint32(le.Uint16(b[8:]))
			e.shmFD = got > 1 || got == 1 && le.Uint16(b[10:]) >= 2
		} else if got, err = c.version(ctx, ext, x.major, x.minor); err != nil {
			return e, err
		}
		if got >= x.least {
			*x.to = ext
		}
	}
	var err error
	e.input, err = c.inputExtension(ctx)
	return e, err
}

// inputExtension asks for XInput 2.2. Its raw events come even while another client has grabbed the pointer.
func (c *conn) inputExtension(ctx context.Context) (extension, error) {
	ext, err := c.queryExtension(ctx, "XInputExtension")
	if err != nil || !ext.present() {
		return extension{}, err
	}
	b, err := c.await(ctx, c.send(ext.major, xiQueryVersion, pair(2, 2)))
	var refused requestError
	switch {
	case errors.As(err, &refused): // XInput 1
		return extension{}, nil
	case err != nil:
		return extension{}, fmt.Errorf("x11: ask for XInput's version: %w", err)
	case le.Uint16(b[8:]) < 2:
		return extension{}, nil
	}
	return ext, nil
}

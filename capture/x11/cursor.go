package x11

import (
	"context"
	"errors"
	"image"
	"time"

	"wavryhost/platform/xproto"
)

// Intervals for polling the pointer once it has been still for stillAfter. Raw motion events report movement by an
// input device at once, so polling only needs to catch programs that move the pointer. Without these events it must
// catch the hand.
const (
	stillAfter    = 2 * time.Second
	watchedPoll   = 500 * time.Millisecond
	unwatchedPoll = 100 * time.Millisecond
)

// Limits for frames that show only another shape of the cursor. A few may follow each other at once, as at the edges
// of windows. Animated cursors change 15 to 60 times a second as long as they are shown. At these limits such a cursor
// costs less than 50 kbit/s on a still screen.
const (
	shapeBurst = 4
	smallShape = 500 * time.Millisecond
	largeShape = time.Second
	largeArea  = 64 * 64 // pixels
	// shapeRetry is the wait before a shape is requested again that the server refused because its client has just
	// ended.
	shapeRetry = 250 * time.Millisecond
)

// cursor is the position and shape of the pointer.
type cursor struct {
	enabled  bool
	interval time.Duration // between polls while it moves

	stale         bool      // the server reported another shape
	budget        time.Time // a shape may be fetched shapeBurst intervals before it
	again         time.Time // when to request the shape again; zero for not at all
	onScreen      bool      // the pointer is on this screen
	at, hot       image.Point
	width, height int
	pix           []byte // premultiplied B, G, R, A; empty when the cursor is invisible

	shown    image.Rectangle // its place in the latest frame; empty when not there
	reshaped bool            // that frame needs another shape

	moved, looked time.Time
	watching      bool // raw motion events are requested
}

// rectangle is the cursor's place in a picture.
func (p *cursor) rectangle(bounds image.Rectangle) image.Rectangle {
	if !p.onScreen || len(p.pix) == 0 {
		return image.Rectangle{}
	}
	corner := p.at.Sub(p.hot)
	return image.Rectangle{Min: corner, Max: corner.Add(image.Pt(p.width, p.height))}.Intersect(bounds)
}

// due is when to poll the pointer or its shape next.
func (p *cursor) due() time.Time {
	due := p.pointerDue()
	for _, at := range []time.Time{p.shapeDue(), p.again} {
		if !at.IsZero() && at.Before(due) {
			due = at
		}
	}
	return due
}

// shapeEvery is the interval between shapes in the long run.
func (p *cursor) shapeEvery() time.Duration {
	if p.width*p.height > largeArea {
		return largeShape
	}
	return smallShape
}

// shapeDue is when another shape makes a frame. It is zero when the shape is known.
func (p *cursor) shapeDue() time.Time {
	if !p.stale {
		return time.Time{}
	}
	return p.budget.Add(-shapeBurst * p.shapeEvery())
}

// fetch records that the shape was requested.
func (p *cursor) fetch(now time.Time) {
	p.stale, p.again = false, time.Time{}
	if p.budget.Before(now) {
		p.budget = now
	}
	p.budget = p.budget.Add(p.shapeEvery())
}

// wanted reports whether the shape requires a frame.
func (p *cursor) wanted(now time.Time) bool {
	if !p.again.IsZero() && !now.Before(p.again) {
		p.stale, p.again = true, time.Time{}
	}
	return p.stale && !now.Before(p.shapeDue())
}

func (p *cursor) pointerDue() time.Time {
	switch {
	case p.looked.Sub(p.moved) < stillAfter:
		return p.looked.Add(p.interval)
	case p.watching:
		return p.looked.Add(watchedPoll)
	}
	return p.looked.Add(unwatchedPoll)
}

// changed reports whether the cursor looks different from the latest frame.
func (p *cursor) changed(bounds image.Rectangle) bool {
	r := p.rectangle(bounds)
	return r != p.shown || p.reshaped && !r.Empty()
}

// place records the position of the pointer.
func (p *cursor) place(at image.Point, onScreen bool, now time.Time) {
	if onScreen != p.onScreen || at != p.at {
		p.moved = now
	}
	p.looked, p.onScreen, p.at = now, onScreen, at
}

// shape stores the reply to GetCursorImage.
func (p *cursor) shape(b []byte) {
	p.width, p.height = int(le.Uint16(b[12:])), int(le.Uint16(b[14:]))
	p.hot = image.Pt(int(le.Uint16(b[16:])), int(le.Uint16(b[18:])))
	b = b[32:]
	n := p.width * p.height * 4
	if n > len(b) {
		n = 0
	}
	// ARGB words in little-endian order are B, G, R, A.
	p.pix = append(p.pix[:0], b[:n]...)
	visible := false
	for i := 3; i < n; i += 4 {
		visible = visible || p.pix[i] != 0
	}
	if !visible {
		p.pix = p.pix[:0]
	}
	p.reshaped = true
}

// draw blends the cursor into a picture and returns its place.
func (p *cursor) draw(pix []byte, stride int, bounds image.Rectangle) image.Rectangle {
	r := p.rectangle(bounds)
	corner := p.at.Sub(p.hot)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		from := ((y-corner.Y)*p.width + r.Min.X - corner.X) * 4
		to := y*stride + r.Min.X*4
		blend(pix[to:to+r.Dx()*4], p.pix[from:])
	}
	return r
}

// blend draws a row of premultiplied BGRA over dst.
func blend(dst, src []byte) {
	src = src[:len(dst)]
	for i := 0; i+3 < len(dst); i += 4 {
		switch a := src[i+3]; a {
		case 0:
		case 255:
			copy(dst[i:i+3], src[i:i+3])
		default:
			for j := i; j < i+3; j++ {
				under := uint32(dst[j]) * uint32(255-a)
				// A cursor whose colors exceed its alpha is not premultiplied. The sum must not wrap around.
				dst[j] = byte(min(255, uint32(src[j])+(under+127)/255))
			}
		}
	}
}

// watch requests raw motion events once the pointer is still, and cancels them while it moves. A fast mouse sends a
// thousand per second, of which only the first matters.
func (p *cursor) watch(c *xproto.Conn, input xproto.Extension, root uint32, now time.Time) {
	on := now.Sub(p.moved) >= stillAfter
	if !input.Present() || p.watching == on {
		return
	}
	var mask uint32
	if on {
		mask = 1 << xiRawMotion
	}
	c.Send(input.Major, xiSelectEvents, root, xproto.Pair(1, 0), xproto.Pair(xiAllMasterDevices, 1), mask)
	p.watching = on
}

// motion notes that an input device moves the pointer.
func (p *cursor) motion() { p.moved, p.looked = time.Now(), time.Time{} }

// isRawMotion reports whether watch has requested an event.
func isRawMotion(b []byte, input xproto.Extension) bool {
	return xproto.Kind(b) == xproto.KindGeneric && input.Present() && b[1] == input.Major &&
		le.Uint16(b[8:]) == xiRawMotion
}

// look polls the pointer's position. Without a cursor it only requests an answer. cursor.rectangle shows whether a
// frame must follow.
func (s *Source) look(ctx context.Context) error {
	now := time.Now()
	if !s.cursor.enabled {
		return s.conn.Sync(ctx)
	}
	s.cursor.watch(s.conn, s.ext.input, s.screen.Root, now)
	b, err := s.conn.Await(ctx, s.conn.Send(opQueryPointer, 0, s.screen.Root))
	if err != nil {
		return err
	}
	at, ok := parsePointer(b)
	s.cursor.place(at.Sub(s.origin), ok, now)
	return nil
}

// awaitShape reads the reply to GetCursorImage. If the server refuses because the shape's client has ended, the
// previous shape stays.
func (p *cursor) awaitShape(ctx context.Context, c *xproto.Conn, seq uint16) error {
	b, err := c.Await(ctx, seq)
	var refused xproto.RequestError
	switch {
	case errors.Is(err, xproto.ErrTooLong): // over 2000x2000 pixels: better no cursor than no picture
		p.pix, p.reshaped = p.pix[:0], true
	case errors.As(err, &refused):
		p.again = time.Now().Add(shapeRetry)
	case err != nil:
		return err
	default:
		p.shape(b)
	}
	return nil
}

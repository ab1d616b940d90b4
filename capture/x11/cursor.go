package x11

import (
	"context"
	"errors"
	"image"
	"time"
)

// How often the pointer is looked for once it has been still for stillAfter: raw motion events tell at once when it
// moves by an input device, so that the polling only has to catch programs that move it; without them it has to catch
// the hand.
const (
	stillAfter    = 2 * time.Second
	watchedPoll   = 500 * time.Millisecond
	unwatchedPoll = 100 * time.Millisecond
)

// How often another shape of the cursor alone makes a frame: a few follow each other at once, as at the edges of windows. Animated cursors
// change 15 to 60 times a second for as long as they are shown; at these rates one costs less than 50 kbit/s on a still screen.
const (
	shapeBurst = 4
	smallShape = 500 * time.Millisecond
	largeShape = time.Second
	largeArea  = 64 * 64 // pixels
	// shapeRetry is when a shape is asked for again that the server refused: that of a client which has just ended.
	shapeRetry = 250 * time.Millisecond
)

// cursor is the pointer's place and shape.
type cursor struct {
	enabled  bool
	interval time.Duration // between looks while it moves

	stale         bool      // the server has told of another shape
	budget        time.Time // a shape may be fetched shapeBurst intervals before it
	again         time.Time // when to ask for the shape again; zero when that is not to be
	onScreen      bool      // the pointer is on this screen
	at, hot       image.Point
	width, height int
	pix           []byte // premultiplied B, G, R, A; empty when nothing is to be seen

	shown    image.Rectangle // where the latest frame has it; empty when nowhere
	reshaped bool            // that frame has another shape

	moved, looked time.Time
	watching      bool // raw motion events are asked for
}

// rectangle is where the cursor belongs in a picture.
func (p *cursor) rectangle(bounds image.Rectangle) image.Rectangle {
	if !p.onScreen || len(p.pix) == 0 {
		return image.Rectangle{}
	}
	corner := p.at.Sub(p.hot)
	return image.Rectangle{Min: corner, Max: corner.Add(image.Pt(p.width, p.height))}.Intersect(bounds)
}

// due is when to look for the pointer or its shape next.
func (p *cursor) due() time.Time {
	due := p.pointerDue()
	for _, at := range []time.Time{p.shapeDue(), p.again} {
		if !at.IsZero() && at.Before(due) {
			due = at
		}
	}
	return due
}

// shapeEvery is how often the shape may change in the long run.
func (p *cursor) shapeEvery() time.Duration {
	if p.width*p.height > largeArea {
		return largeShape
	}
	return smallShape
}

// shapeDue is when another shape makes a frame; zero when the shape is known.
func (p *cursor) shapeDue() time.Time {
	if !p.stale {
		return time.Time{}
	}
	return p.budget.Add(-shapeBurst * p.shapeEvery())
}

// fetch notes that the shape is asked for.
func (p *cursor) fetch(now time.Time) {
	p.stale, p.again = false, time.Time{}
	if p.budget.Before(now) {
		p.budget = now
	}
	p.budget = p.budget.Add(p.shapeEvery())
}

// wanted reports whether a frame has to follow because of the shape.
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

// changed reports whether the cursor looks otherwise than in the latest frame.
func (p *cursor) changed(bounds image.Rectangle) bool {
	r := p.rectangle(bounds)
	return r != p.shown || p.reshaped && !r.Empty()
}

// place notes where the pointer is.
func (p *cursor) place(at image.Point, onScreen bool, now time.Time) {
	if onScreen != p.onScreen || at != p.at {
		p.moved = now
	}
	p.looked, p.onScreen, p.at = now, onScreen, at
}

// shape takes over GetCursorImage's reply.
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

// draw blends the cursor into a picture and returns where.
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

// blend puts a row of premultiplied BGRA over dst.
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
				// A cursor whose colours exceed its alpha is not premultiplied, and must not wrap around.
				dst[j] = byte(min(255, uint32(src[j])+(under+127)/255))
			}
		}
	}
}

// watch asks for raw motion events, or no more for them: a fast mouse sends a thousand a second, of which only the first
// matters.
func (s *Source) watch(on bool) {
	if !s.ext.input.present() || s.cursor.watching == on {
		return
	}
	var mask uint32
	if on {
		mask = 1 << xiRawMotion
	}
	s.conn.send(s.ext.input.major, xiSelectEvents, s.screen.root, pair(1, 0), pair(xiAllMasterDevices, 1), mask)
	s.cursor.watching = on
}

// look asks where the pointer is; without a cursor it asks for nothing but an answer. Whether a frame has to follow shows in cursor.rectangle.
func (s *Source) look(ctx context.Context) error {
	now := time.Now()
	if !s.cursor.enabled {
		_, err := s.conn.await(ctx, s.conn.send(opGetInputFocus, 0))
		return err
	}
	s.watch(now.Sub(s.cursor.moved) >= stillAfter)
	b, err := s.conn.await(ctx, s.conn.send(opQueryPointer, 0, s.screen.root))
	if err != nil {
		return err
	}
	at, ok := parsePointer(b)
	s.cursor.place(at, ok, now)
	return nil
}

// awaitShape reads the reply to GetCursorImage. A server that refuses has a shape whose client is gone: the one before stays meanwhile.
func (s *Source) awaitShape(ctx context.Context, seq uint16) error {
	b, err := s.conn.await(ctx, seq)
	var refused requestError
	switch {
	case errors.Is(err, errTooLong): // of more than 2000x2000 pixels: no cursor is better than no picture
		s.cursor.pix, s.cursor.reshaped = s.cursor.pix[:0], true
	case errors.As(err, &refused):
		s.cursor.again = time.Now().Add(shapeRetry)
	case err != nil:
		return err
	default:
		s.cursor.shape(b)
	}
	return nil
}

package pipewire

import (
	"fmt"
	"image"
	"time"

	"wavryhost/capture"
)

// held is a picture in memory, which frames share.
type held struct {
	pix    []byte
	stride int
	size   image.Point
	refs   int // frames, and the Source while it is the newest; Source.mu guards it
	from   *picture
}

// look takes what has come. With room it returns what a new picture changed, or nil if there is none.
func (s *Source) look(room bool) ([]image.Rectangle, error) {
	u := s.pipe.take(room)
	s.mu.Lock()
	if u.picture != nil || u.serial != 0 {
		s.heard, s.answers = time.Now(), 0
	}
	s.mu.Unlock()
	if u.pongs != s.pongs {
		s.pongs = u.pongs
		s.answered()
	}
	if u.serial != 0 {
		s.reform(u)
	}
	if u.err != nil {
		if u.picture != nil {
			s.giveBack(u.picture)
		}
		return nil, u.err
	}
	if s.formats != nil {
		return nil, s.formats
	}
	if u.dropped > s.dropped {
		if s.dropped == 0 {
			s.log.Warn("capture is degraded: the compositor sends pictures without data, which are left out",
				"display", s.what)
		}
		s.dropped = u.dropped
	}
	if u.picture == nil {
		return nil, nil
	}
	return s.accept(u.picture, u.buffers)
}

// reform reads another format.
func (s *Source) reform(u update) {
	before := s.format
	s.serial = u.serial
	s.format, s.formats = parseFormat(u.format)
	w, h := s.format.size.X, s.format.size.Y
	switch {
	case s.formats != nil:
		s.formats = capture.WithReason(s.formats, capture.ErrUnsupported)
	case w <= 0 || h <= 0 || w > maxSide || h > maxSide || w > maxSize/4/h:
		s.formats = fmt.Errorf("%w: a picture of %dx%d pixels", capture.ErrUnsupported, w, h)
	case s.format.pixels != videoBGRx && s.format.pixels != videoBGRA && s.format.pixels != videoRGBx &&
		s.format.pixels != videoRGBA:
		s.formats = fmt.Errorf("%w: pixels of the format %d of PipeWire", capture.ErrUnsupported, s.format.pixels)
	case before.size != (image.Point{}) && before.size != s.format.size:
		s.log.Info("display resized", "display", s.what, "width", w, "height", h)
	}
	s.mu.Lock()
	s.spare = nil
	s.mu.Unlock()
}

// swapped reports whether red comes before blue.
func (f format) swapped() bool { return f.pixels == videoRGBx || f.pixels == videoRGBA }

// check returns the bytes of a row of a picture, or what is wrong with it.
func (f format) check(p *picture) (stride int, err error) {
	stride = int(p.stride)
	if stride == 0 {
		stride = 4 * f.size.X
	}
	if stride < 4*f.size.X || stride > maxSize/f.size.Y {
		return 0, fmt.Errorf("rows of %d bytes in a picture of %dx%d pixels", stride, f.size.X, f.size.Y)
	}
	needed := uint64(stride*(f.size.Y-1) + 4*f.size.X)
	switch {
	case uint64(p.offset)+needed > p.length:
		return 0, fmt.Errorf("a picture of %d bytes at %d in a buffer of %d", needed, p.offset, p.length)
	case uint64(p.size) < needed:
		return 0, fmt.Errorf("%d bytes of a picture of %d", p.size, needed)
	}
	return stride, nil
}

// accept makes a picture the newest one. It returns what changed, or nil if nothing did.
func (s *Source) accept(p *picture, buffers int) ([]image.Rectangle, error) {
	if p.format != s.serial { // it came with a format that is not known yet, or is not valid any more
		s.giveBack(p)
		s.missed = true
		return nil, nil
	}
	stride, err := s.format.check(p)
	var h *held
	if err == nil {
		h, err = s.hold(p, stride, buffers)
	}
	if err != nil {
		s.giveBack(p)
		s.missed = true
		s.wrong = fmt.Errorf("the compositor sends pictures that make no sense: %w", err)
		if s.bad++; s.bad >= maxBad {
			return nil, s.wrong
		}
		return nil, nil
	}
	s.bad, s.wrong = 0, nil
	damage := s.changed(h, p)
	s.missed = false
	if len(damage) == 0 {
		s.drop(h)
		return nil, nil
	}
	if s.last != nil {
		s.drop(s.last)
	}
	s.last = h
	return damage, nil
}

// hold returns a picture in memory that nobody writes to.
func (s *Source) hold(p *picture, stride, buffers int) (*held, error) {
	size := s.format.size
	h := &held{size: size, refs: 1}
	direct := p.pix != nil && !s.format.swapped() && buffers >= maxFrames+spareBuffers
	if direct != s.direct || s.last == nil {
		s.log.Debug("pictures are read", "display", s.what, "copied", !direct, "buffers", buffers)
		s.direct = direct
	}
	if direct {
		h.pix, h.stride, h.from = p.pix[p.offset:], stride, p
		return h, nil
	}
	h.stride = 4 * size.X
	h.pix = s.buffer(h.stride * size.Y)
	if err := s.copy(h, p, stride); err != nil {
		return nil, err
	}
	s.giveBack(p)
	return h, nil
}

// buffer returns memory for a copy.
func (s *Source) buffer(size int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		if len(b) == size {
			return b
		}
	}
	return make([]byte, size)
}

// copy reads a picture, with blue first.
func (s *Source) copy(h *held, p *picture, stride int) error {
	if stride == h.stride {
		if err := s.pipe.copy(p, h.pix, uint64(p.offset)); err != nil {
			return err
		}
	} else {
		for y := range h.size.Y {
			row := h.pix[y*h.stride : (y+1)*h.stride]
			if err := s.pipe.copy(p, row, uint64(p.offset)+uint64(y)*uint64(stride)); err != nil {
				return err
			}
		}
	}
	if s.format.swapped() {
		for i := 0; i+4 <= len(h.pix); i += 4 {
			h.pix[i], h.pix[i+2] = h.pix[i+2], h.pix[i]
		}
	}
	return nil
}

// changed returns what a picture changed.
func (s *Source) changed(h *held, p *picture) []image.Rectangle {
	bounds := image.Rectangle{Max: h.size}
	last := s.last
	if last == nil || last.size != h.size {
		return []image.Rectangle{bounds}
	}
	if !p.whole && !s.missed {
		var damage []image.Rectangle
		for _, d := range p.damage {
			x, y := int(d[0]), int(d[1])
			damage = append(damage, image.Rect(x, y, x+int(uint32(d[2])), y+int(uint32(d[3]))).Intersect(bounds))
		}
		return capture.MergeDamage(nil, damage)
	}
	if last.stride != h.stride {
		return []image.Rectangle{bounds}
	}
	damage := capture.Diff(last.pix[:length(h)], h.pix[:length(h)], h.stride, h.size.Y, diffRows)
	for i := range damage { // rows may be padded
		damage[i] = damage[i].Intersect(bounds)
	}
	return damage
}

// length is the number of bytes from the first pixel to the last.
func length(h *held) int { return h.stride*(h.size.Y-1) + 4*h.size.X }

// frame returns the newest picture as a frame.
func (s *Source) frame(damage []image.Rectangle, whole bool, began time.Time) *capture.Frame {
	h := s.last
	if whole {
		s.refresh.Store(false)
	}
	s.mu.Lock()
	h.refs++
	s.out++
	s.mu.Unlock()
	f := capture.NewFrame(func(*capture.Frame) { s.release(h) })
	f.Pix, f.Stride, f.Width, f.Height = h.pix, h.stride, h.size.X, h.size.Y
	f.Damage, f.Exact = damage, true
	if whole {
		f.Damage = []image.Rectangle{f.Bounds()}
	}
	s.seq++
	f.Time, f.Seq = time.Now(), s.seq
	f.Took = f.Time.Sub(began)
	return f
}

// release ends a frame's hold of a picture.
func (s *Source) release(h *held) {
	s.mu.Lock()
	s.out--
	s.mu.Unlock()
	s.drop(h)
	s.wake()
}

// drop ends a hold of a picture.
func (s *Source) drop(h *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.refs--; h.refs > 0 {
		return
	}
	if h.from == nil {
		if !s.ended && len(s.spare) <= maxFrames {
			s.spare = append(s.spare, h.pix)
		}
		return
	}
	s.returned(h.from)
}

// giveBack returns a picture that no frame has.
func (s *Source) giveBack(p *picture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.returned(p)
}

// returned gives a picture's buffer to the producer, and unmaps its memory. The caller holds mu.
func (s *Source) returned(p *picture) {
	if !s.ended {
		s.pipe.giveBack(p)
	}
	unmap(p)
}

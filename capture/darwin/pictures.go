package darwin

import (
	"fmt"
	"image"
	"time"

	"wavryhost/capture"
)

// held is a picture, which frames share.
type held struct {
	buffer capture.PixelBuffer
	size   image.Point
	plane  // mapped, if the frames are in main memory
	shelf  *capture.Shelf
}

// look makes the newest picture the current one. It returns what that changed.
func (s *Source) look() ([]image.Rectangle, error) {
	s.mu.Lock()
	if err := s.failure; err != nil {
		s.mu.Unlock()
		return nil, err
	}
	m := s.pending
	s.pending = sample{}
	if m.buffer != 0 && s.whole {
		m.known, m.damage, s.whole = false, nil, false
	}
	s.mu.Unlock()
	if m.buffer == 0 {
		return nil, nil
	}
	h, err := s.hold(m)
	if err != nil {
		s.sys.release(m.buffer)
		s.mu.Lock()
		s.whole = true
		s.mu.Unlock()
		if s.bad++; s.bad >= maxBad {
			return nil, err
		}
		return nil, nil
	}
	s.bad = 0
	damage := s.changed(h, m)
	if len(damage) == 0 {
		h.shelf.Retire()
		return nil, nil
	}
	if s.last != nil {
		s.last.shelf.Retire()
	}
	s.last = h
	return damage, nil
}

// hold returns a picture whose buffer is given back once its frames are released.
func (s *Source) hold(m sample) (*held, error) {
	h := &held{buffer: m.buffer, size: m.size}
	if s.kind == capture.Metal {
		h.shelf = s.slots.NewShelf(func() { s.sys.release(m.buffer) })
		return h, nil
	}
	planes, err := s.sys.lock(m.buffer)
	if err != nil {
		return nil, fmt.Errorf("map a picture: %w", err)
	}
	if err := check(planes, m.size, 1); err != nil {
		s.sys.unlock(m.buffer)
		return nil, err
	}
	h.plane = planes[0]
	h.shelf = s.slots.NewShelf(func() {
		s.sys.unlock(m.buffer)
		s.sys.release(m.buffer)
	})
	return h, nil
}

// check returns what is wrong with the planes of a picture: one of BGRA, or the two of NV12.
func check(planes []plane, size image.Point, want int) error {
	if len(planes) != want || size.X <= 0 || size.Y <= 0 {
		return fmt.Errorf("a picture of %v has %d planes", size, len(planes))
	}
	for i, p := range planes {
		row, rows := 4*size.X, size.Y
		if want == 2 {
			row = (size.X + i) / (1 + i) * (1 + i)
			rows = (size.Y + i) / (1 + i)
		}
		if p.stride < row || len(p.pix) < p.stride*(rows-1)+row {
			return fmt.Errorf("a picture of %v has rows of %d bytes in %d bytes", size, p.stride, len(p.pix))
		}
	}
	return nil
}

// changed returns what a picture changed.
func (s *Source) changed(h *held, m sample) []image.Rectangle {
	bounds := image.Rectangle{Max: h.size}
	last := s.last
	if last == nil || last.size != h.size {
		return []image.Rectangle{bounds}
	}
	if m.known {
		var damage []image.Rectangle
		for _, r := range m.damage {
			if s.kind == capture.Metal { // pixels of NV12 share their color by fours
				r = image.Rect(r.Min.X&^1, r.Min.Y&^1, (r.Max.X+1)&^1, (r.Max.Y+1)&^1)
			}
			damage = append(damage, r.Intersect(bounds))
		}
		return capture.MergeDamage(nil, damage)
	}
	// The pixels of a surface are not worth a copy.
	if h.pix == nil || last.stride != h.stride {
		return []image.Rectangle{bounds}
	}
	length := h.stride*(h.size.Y-1) + 4*h.size.X
	damage := capture.Diff(last.pix[:length], h.pix[:length], h.stride, h.size.Y, diffRows)
	for i := range damage { // rows may be padded
		damage[i] = damage[i].Intersect(bounds)
	}
	return damage
}

// frame returns the current picture as a frame.
func (s *Source) frame(damage []image.Rectangle, whole bool, began time.Time) *capture.Frame {
	h, slot := s.last, 0
	for h.shelf.Held(slot) {
		slot++
	}
	f := h.shelf.Lend(slot)
	if s.kind == capture.Metal {
		held := f
		f = capture.NewSurfaceFrame(h.buffer, s.copier, func(*capture.Frame) { held.Release() })
	} else {
		f.Pix, f.Stride = h.pix, h.stride
	}
	f.Width, f.Height = h.size.X, h.size.Y
	f.Damage, f.Exact = damage, true
	if whole {
		f.Damage = []image.Rectangle{f.Bounds()}
	}
	s.seq++
	f.Time, f.Seq = time.Now(), s.seq
	f.Took = f.Time.Sub(began)
	return f
}

// copy copies a surface to main memory.
func (s *Source) copy(surface capture.Surface, dst []byte, stride int) error {
	b, ok := surface.(capture.PixelBuffer)
	if !ok {
		return fmt.Errorf("a %v is no pixel buffer", surface.Kind())
	}
	planes, err := s.sys.lock(b)
	if err != nil {
		return err
	}
	defer s.sys.unlock(b)
	size := image.Pt(stride/4, len(dst)/stride)
	if err := check(planes, size, 2); err != nil {
		return err
	}
	fromNV12(dst, stride, planes[0], planes[1], size)
	return nil
}

// fromNV12 writes a picture as BGRX. NV12 has the matrix of BT.601 and video range, as the stream is configured.
func fromNV12(dst []byte, stride int, luma, chroma plane, size image.Point) {
	for y := range size.Y {
		row, uv := luma.pix[y*luma.stride:], chroma.pix[y/2*chroma.stride:]
		to := dst[y*stride:]
		for x := range size.X {
			// Factors of BT.601 for video range, times 65536.
			c := 76309 * (int(row[x]) - 16)
			u, v := int(uv[x&^1])-128, int(uv[x|1])-128
			p := to[4*x : 4*x+4]
			p[0], p[1], p[2], p[3] = level(c+132201*u), level(c-25675*u-53279*v), level(c+104597*v), 0
		}
	}
}

// level rounds a value to a byte.
func level(v int) byte { return byte(min(max((v+1<<15)>>16, 0), 255)) }

package kms

import (
	"image"
	"os"

	"wavryhost/capture"
)

// diffRows is the height of the bands that are compared.
const diffRows = 16

// pictures are copies in main memory, of one size. One picture more than there are slots is free, whatever is held. So
// the next picture can be compared with the latest one.
type pictures struct {
	maps  buffers
	slots *capture.Slots

	size   image.Point
	shelf  *capture.Shelf
	memory [maxFrames][]byte
	free   []byte
	latest int // the slot of the latest picture, or -1
}

// accept implements store.
func (s *pictures) accept(p *picture, files []*os.File) (outcome, error) {
	l, err := layoutOf(p.Picture, p.Area, p.Driver)
	if err != nil {
		return outcome{}, err
	}
	s.reshape(l.size)
	fd := int(files[p.Picture.Parts[0].File].Fd())
	if err := s.maps.use(l, fd, func(mem []byte) { l.read(s.free, mem) }); err != nil {
		return outcome{}, err
	}
	if p.pointer != nil {
		draw(s.free, l.size, p.pointer, p.CursorAt)
	}
	return outcome{damage: s.damage(), compared: true}, nil
}

// reshape gets memory for pictures of a size, if it lacks that.
func (s *pictures) reshape(size image.Point) {
	if s.shelf != nil && s.size == size {
		return
	}
	s.close()
	s.size, s.shelf, s.latest = size, s.slots.NewShelf(func() {}), -1
	for i := range s.memory {
		s.memory[i] = make([]byte, 4*size.X*size.Y)
	}
	s.free = make([]byte, 4*size.X*size.Y)
}

// damage returns how the free picture differs from the latest one.
func (s *pictures) damage() []image.Rectangle {
	if s.latest < 0 {
		return []image.Rectangle{{Max: s.size}}
	}
	return capture.Diff(s.memory[s.latest], s.free, 4*s.size.X, s.size.Y, diffRows)
}

// repeat implements store.
func (s *pictures) repeat() bool {
	if s.latest < 0 {
		return false
	}
	copy(s.free, s.memory[s.latest])
	return true
}

// frame implements store.
func (s *pictures) frame() *capture.Frame {
	slot := freeSlot(s.shelf)
	s.memory[slot], s.free = s.free, s.memory[slot]
	s.latest = slot
	f := s.shelf.Lend(slot)
	f.Pix, f.Stride, f.Width, f.Height = s.memory[slot], 4*s.size.X, s.size.X, s.size.Y
	return f
}

// freeSlot returns a slot that no frame holds. There must be one.
func freeSlot(shelf *capture.Shelf) int {
	slot := 0
	for shelf.Held(slot) {
		slot++
	}
	return slot
}

// close implements store.
func (s *pictures) close() {
	s.maps.close()
	if s.shelf != nil {
		s.shelf.Retire()
	}
}

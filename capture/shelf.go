package capture

import "sync"

// Slots counts the frames of a Source that are not yet released, over all the memory that they are in.
type Slots struct {
	limit int
	wake  func()

	mu  sync.Mutex // guards out, and the fields of shelves
	out int
}

// NewSlots returns Slots for a number of frames. wake is called when there is room again.
func NewSlots(limit int, wake func()) *Slots { return &Slots{limit: limit, wake: wake} }

// Room reports whether another frame may be returned.
func (s *Slots) Room() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out < s.limit
}

// Shelf is memory for frames of one size. It is freed when it is retired and its frames are released. The display's
// size may change meanwhile, so a Source may have several.
type Shelf struct {
	slots   *Slots
	free    func()
	release []func(*Frame)

	// slots.mu guards the following fields.
	held    []bool
	out     int
	retired bool
}

// NewShelf returns a Shelf with as many slots as the Source has. free is called once.
func (s *Slots) NewShelf(free func()) *Shelf {
	b := &Shelf{slots: s, free: free, held: make([]bool, s.limit)}
	for i := range s.limit {
		b.release = append(b.release, func(*Frame) { b.giveBack(i) })
	}
	return b
}

// Held reports whether a slot is in a frame.
func (b *Shelf) Held(slot int) bool {
	b.slots.mu.Lock()
	defer b.slots.mu.Unlock()
	return b.held[slot]
}

// Lend returns a frame that holds a slot until it is released.
func (b *Shelf) Lend(slot int) *Frame {
	b.slots.mu.Lock()
	defer b.slots.mu.Unlock()
	b.held[slot] = true
	b.out++
	b.slots.out++
	return NewFrame(b.release[slot])
}

func (b *Shelf) giveBack(slot int) {
	b.slots.mu.Lock()
	b.held[slot] = false
	b.out--
	b.slots.out--
	waiting := b.slots.out == b.slots.limit-1
	free := b.retired && b.out == 0
	b.slots.mu.Unlock()
	if free {
		b.free()
	}
	if waiting {
		b.slots.wake()
	}
}

// Retire gives up the memory once its frames are released. It is called once.
func (b *Shelf) Retire() {
	b.slots.mu.Lock()
	b.retired = true
	free := b.out == 0
	b.slots.mu.Unlock()
	if free {
		b.free()
	}
}

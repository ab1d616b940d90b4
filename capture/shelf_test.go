package capture

import "testing"

// Memory is freed once, when it is retired and its last frame is released. Frames of all memory share the room.
func TestShelves(t *testing.T) {
	woken, freed := 0, 0
	s := NewSlots(3, func() { woken++ })
	old := s.NewShelf(func() { freed++ })
	a, b := old.Lend(0), old.Lend(2)
	if !old.Held(0) || old.Held(1) || !s.Room() {
		t.Error("want the first slot held, the second not, and room for a frame")
	}
	old.Retire()
	fresh := s.NewShelf(func() { freed++ })
	c := fresh.Lend(0)
	if s.Room() || freed != 0 {
		t.Errorf("three frames are held: got room, or %d frees", freed)
	}
	a.Release()
	if woken != 1 || freed != 0 || !s.Room() {
		t.Errorf("after a release: got %d wakes, %d frees", woken, freed)
	}
	b.Release()
	if woken != 1 || freed != 1 {
		t.Errorf("after the last release of the old memory: got %d wakes, %d frees", woken, freed)
	}
	c.Release()
	fresh.Retire()
	if freed != 2 {
		t.Errorf("got %d frees; want 2", freed)
	}
}

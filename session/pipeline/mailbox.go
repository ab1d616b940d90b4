package pipeline

import (
	"image"
	"sync"

	"wavryhost/capture"
)

// mailbox holds the one frame that waits between a capture loop and an encode loop. The newest frame wins. The damage
// of a frame that it replaces is added to its own, so that no change is lost with a dropped frame.
type mailbox struct {
	// full has room for one token; it wakes the encode loop.
	full chan struct{}

	mu    sync.Mutex
	frame *capture.Frame
}

func newMailbox() *mailbox { return &mailbox{full: make(chan struct{}, 1)} }

// put hands over f, and reports whether a frame that waited was dropped for it. It never blocks.
func (b *mailbox) put(f *capture.Frame) (dropped bool) {
	b.mu.Lock()
	old := b.frame
	if old != nil {
		f = withDamageOf(f, old)
	}
	b.frame = f
	b.mu.Unlock()
	if old != nil {
		old.Release()
	}
	select {
	case b.full <- struct{}{}:
	default:
	}
	return old != nil
}

// take returns the waiting frame, which the caller then owns, or nil.
func (b *mailbox) take() *capture.Frame {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.frame
	b.frame = nil
	return f
}

// waiting reports whether a frame waits.
func (b *mailbox) waiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.frame != nil
}

// withDamageOf returns f with old's damage added, and takes over the caller's hold of f. Other encodings may hold f too
// and have dropped other frames, so the result is a frame of its own over the same pixels.
func withDamageOf(f, old *capture.Frame) *capture.Frame {
	defer f.Release()
	if old.Width != f.Width || old.Height != f.Height {
		return f.WithDamage([]image.Rectangle{f.Bounds()}, f.Exact)
	}
	damage := capture.MergeDamage(append([]image.Rectangle(nil), old.Damage...), f.Damage)
	return f.WithDamage(damage, f.Exact && old.Exact)
}

// dirty returns the damaged fraction of f, 0 to 1; overlapping rectangles count twice.
func dirty(f *capture.Frame) float64 {
	if f == nil || f.Width == 0 || f.Height == 0 {
		return 0
	}
	area := 0
	for _, r := range f.Damage {
		area += r.Dx() * r.Dy()
	}
	return min(1, float64(area)/float64(f.Width*f.Height))
}

package capturetest

import (
	"bytes"
	"context"
	"image"
	"slices"
	"sync"
	"time"

	"wavryhost/capture"
)

// Screen is a fake display. Each Open returns another source of it. A test changes its picture and makes it fail.
type Screen struct {
	mu      sync.Mutex
	width   int
	height  int
	openErr error
	opens   int
	source  *ScreenSource
	// hung is what all calls that ask the display wait for, whatever becomes of their context. It is nil if they do
	// not wait.
	hung  chan struct{}
	heard time.Time // when hung was set
	// polled is set when the display does not report its changes.
	polled bool
}

// NewScreen returns a screen of a size in pixels.
func NewScreen(width, height int) *Screen { return &Screen{width: width, height: height} }

// Poll makes frames say that the display is polled.
func (s *Screen) Poll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polled = true
}

// Hang makes the display answer nothing until goOn is called.
func (s *Screen) Hang() (goOn func()) {
	s.mu.Lock()
	s.hung, s.heard = make(chan struct{}), time.Now()
	hung, source := s.hung, s.source
	s.mu.Unlock()
	if source != nil {
		source.hint() // so that Next asks the display
	}
	return func() {
		s.mu.Lock()
		s.hung = nil
		s.mu.Unlock()
		close(hung)
	}
}

// answer waits while the display hangs.
func (s *Screen) answer() {
	s.mu.Lock()
	hung := s.hung
	s.mu.Unlock()
	if hung != nil {
		<-hung
	}
}

// Open returns a source of the screen.
func (s *Screen) Open(_ context.Context, d capture.Demand) (capture.Source, error) {
	if err := d.MemoryOnly(); err != nil {
		return nil, err
	}
	s.answer()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	if s.openErr != nil {
		return nil, s.openErr
	}
	s.source = &ScreenSource{
		screen: s, changed: make(chan struct{}, 1), slots: make(chan struct{}, 3), done: make(chan struct{}),
	}
	s.source.damage = []image.Rectangle{image.Rect(0, 0, s.width, s.height)}
	return s.source, nil
}

// Source returns the source that was opened last, or nil.
func (s *Screen) Source() *ScreenSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source
}

// Opened returns how many times Open was called.
func (s *Screen) Opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}

// Size returns the size.
func (s *Screen) Size() (width, height int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.width, s.height
}

// Touch changes a part of the picture.
func (s *Screen) Touch(r image.Rectangle) { s.Source().Touch(r) }

// Refuse makes Open return an error, or succeed if err is nil.
func (s *Screen) Refuse(err error) {
	s.mu.Lock()
	s.openErr = err
	s.mu.Unlock()
}

// Lose makes the display go away, or come back if err is nil.
func (s *Screen) Lose(err error) {
	s.Refuse(err)
	if err != nil {
		s.Source().Fail(err)
	}
}

// SetSize sets the size that the next frame has.
func (s *Screen) SetSize(width, height int) {
	s.mu.Lock()
	s.width, s.height = width, height
	s.mu.Unlock()
}

// Resize changes the size at once.
func (s *Screen) Resize(width, height int) {
	s.SetSize(width, height)
	s.Touch(image.Rect(0, 0, width, height))
}

// ScreenSource is a source of a Screen. It keeps the contract of capture.Source; three frames can be held.
type ScreenSource struct {
	screen  *Screen
	changed chan struct{}
	slots   chan struct{}
	done    chan struct{} // closed by Close

	mu       sync.Mutex
	pix      []byte // the picture
	size     image.Point
	damage   []image.Rectangle
	touched  []image.Point // pixels that changed since the last frame
	copies   []*pictureCopy
	seq      uint64
	captured []time.Time
	err      error
	out      int
	closed   bool
}

// pictureCopy is the memory of a frame. Copying all of each picture would take most of the time of tests that run under
// the race detector.
type pictureCopy struct {
	pix  []byte
	held bool          // by a frame
	old  []image.Point // the pixels that have changed since
}

var _ capture.Source = (*ScreenSource)(nil)

// Touch changes a part of the picture.
func (s *ScreenSource) Touch(r image.Rectangle) {
	s.mu.Lock()
	s.touched = append(s.touched, r.Min)
	s.damage = capture.MergeDamage(s.damage, []image.Rectangle{r})
	s.mu.Unlock()
	s.hint()
}

// Fail makes Next return an error.
func (s *ScreenSource) Fail(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.hint()
}

func (s *ScreenSource) hint() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Next implements capture.Source.
func (s *ScreenSource) Next(ctx context.Context) (*capture.Frame, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.done:
		return nil, capture.ErrClosed
	}
	for {
		s.screen.answer()
		if err := ctx.Err(); err != nil {
			<-s.slots
			return nil, err
		}
		s.mu.Lock()
		if err := s.err; err != nil {
			s.mu.Unlock()
			<-s.slots
			return nil, err
		}
		if len(s.damage) > 0 {
			defer s.mu.Unlock()
			return s.frame(), nil
		}
		s.mu.Unlock()
		select {
		case <-s.changed:
		case <-ctx.Done():
			<-s.slots
			return nil, ctx.Err()
		}
	}
}

// frame returns the picture. The caller holds mu.
func (s *ScreenSource) frame() *capture.Frame {
	w, h := s.screen.Size()
	s.out++
	if s.size != image.Pt(w, h) {
		s.pix, s.size, s.copies = make([]byte, 4*w*h), image.Pt(w, h), nil
	}
	for _, p := range s.touched {
		if p.In(image.Rectangle{Max: s.size}) {
			s.pix[4*(p.Y*w+p.X)]++
		}
	}
	c := s.copy(w)
	s.touched = nil
	f := capture.NewFrame(func(*capture.Frame) {
		s.mu.Lock()
		s.out--
		c.held = false
		s.mu.Unlock()
		<-s.slots
	})
	s.screen.mu.Lock()
	f.Polled = s.screen.polled
	s.screen.mu.Unlock()
	s.seq++
	f.Pix, f.Stride, f.Width, f.Height = c.pix, 4*w, w, h
	f.Damage, f.Exact = s.damage, true
	f.Time, f.Seq, f.Took = time.Now(), s.seq, time.Millisecond
	s.damage = nil
	s.captured = append(s.captured, f.Time)
	return f
}

// copy returns a copy of the picture, of a width in pixels.
func (s *ScreenSource) copy(width int) *pictureCopy {
	var free *pictureCopy
	for _, c := range s.copies {
		c.old = append(c.old, s.touched...)
		if !c.held {
			free = c
		}
	}
	if free == nil {
		free = &pictureCopy{pix: bytes.Clone(s.pix)}
		s.copies = append(s.copies, free)
	}
	for _, p := range free.old {
		if p.In(image.Rectangle{Max: s.size}) {
			at := 4 * (p.Y*width + p.X)
			free.pix[at] = s.pix[at]
		}
	}
	free.old, free.held = nil, true
	return free
}

// Alive implements capture.Source.
func (s *ScreenSource) Alive() time.Time {
	s.screen.mu.Lock()
	defer s.screen.mu.Unlock()
	if s.screen.hung != nil {
		return s.screen.heard
	}
	return time.Now()
}

// Traits implements capture.Source. The picture has no pointer.
func (s *ScreenSource) Traits() capture.Traits {
	return capture.Traits{Slots: cap(s.slots), Damage: true, Cursor: capture.CursorHidden}
}

// Refresh implements capture.Source.
func (s *ScreenSource) Refresh() {
	w, h := s.screen.Size()
	s.Touch(image.Rect(0, 0, w, h))
}

// Close implements capture.Source.
func (s *ScreenSource) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	s.mu.Unlock()
	s.Fail(capture.ErrClosed)
	return nil
}

// Times returns when frames were captured.
func (s *ScreenSource) Times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.captured)
}

// Leaked returns how many frames are not released.
func (s *ScreenSource) Leaked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out
}

// Closed reports whether the source is closed.
func (s *ScreenSource) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

package synthetic

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"sync"
	"time"

	"wavryhost/capture"
)

// Motion is the kind of movement in the picture.
type Motion string

// The kinds of motion.
const (
	// Card is a test card with a few small moving parts, like a desktop at work: one twentieth of the picture.
	Card Motion = "card"
	// Scroll is the card with a panel of scrolling text over two fifths of the picture.
	Scroll Motion = "scroll"
	// Full moves nearly every pixel.
	Full Motion = "full"
	// Busy is like a game: nearly every pixel moves, under a grain that no encoder can predict. It needs as many bits as
	// it can get.
	Busy Motion = "busy"
	// Still draws one picture and then nothing, like an unused desktop.
	Still Motion = "still"
)

// Motions lists all kinds of motion.
func Motions() []Motion { return []Motion{Card, Scroll, Full, Busy, Still} }

// The limits of a Config.
const (
	maxSide = 8192 // the largest displays are 8K
	maxFPS  = 240
)

// slots is the number of frames that may be held at once.
const slots = 3

// Config says what to draw.
type Config struct {
	// Width and Height are the size of the picture in pixels, from 96x108 to 8192x8192. They default to 1280 and 720.
	Width, Height int
	// FPS is the number of frames per second, from 1 to 240. It defaults to 30.
	FPS int
	// Motion is the kind of movement. It defaults to Card.
	Motion Motion
	// Demand is what the frames are for.
	Demand capture.Demand
}

func (c Config) withDefaults() Config {
	if c.Width == 0 && c.Height == 0 {
		c.Width, c.Height = 1280, 720
	}
	if c.FPS == 0 {
		c.FPS = 30
	}
	if c.Motion == "" {
		c.Motion = Card
	}
	return c
}

// Validate names the first field that is out of range. Zero fields take their defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Width < minWidth || c.Width > maxSide:
		return fmt.Errorf("synthetic: width %d is not in %d..%d", c.Width, minWidth, maxSide)
	case c.Height < minHeight || c.Height > maxSide:
		return fmt.Errorf("synthetic: height %d is not in %d..%d", c.Height, minHeight, maxSide)
	case c.FPS < 1 || c.FPS > maxFPS:
		return fmt.Errorf("synthetic: fps %d is not in 1..%d", c.FPS, maxFPS)
	case !slices.Contains(Motions(), c.Motion):
		return fmt.Errorf("synthetic: motion %q is not one of %q", c.Motion, Motions())
	}
	return nil
}

// Source draws the frames of a synthetic display.
type Source struct {
	cfg     Config
	card    *card
	free    chan *slot    // slots that are not held
	refresh chan struct{} // one slot: a Refresh that no call of Next has answered
	closed  chan struct{}
	close   sync.Once

	// Only Next uses the following fields.
	timer *time.Timer
	start time.Time // of frame 1
	last  uint64    // number of the last frame
	shown time.Time // its time
	seq   uint64
}

var _ capture.Source = (*Source)(nil)

// slot is one buffer, with the frame it shows.
type slot struct {
	canvas  canvas
	shown   uint64 // 0: only the background
	damage  [2 * parts]image.Rectangle
	release func(*capture.Frame) // made once, so that a frame allocates only its own record
}

// New returns a source of synthetic frames. Next draws them, in the caller's goroutine.
func New(cfg Config) (*Source, error) {
	if err := errors.Join(cfg.Validate(), cfg.Demand.MemoryOnly()); err != nil {
		return nil, capture.WithReason(err, capture.ErrUnsupported)
	}
	cfg = cfg.withDefaults()
	s := &Source{
		cfg: cfg, card: newCard(cfg), free: make(chan *slot, slots), refresh: make(chan struct{}, 1),
		closed: make(chan struct{}),
	}
	for range slots {
		b := &slot{canvas: newCanvas(cfg.Width, cfg.Height)}
		b.release = func(*capture.Frame) { s.free <- b }
		copy(b.canvas.pix, s.card.background.pix)
		s.free <- b
	}
	return s, nil
}

// Next returns the picture at the next tick of the source's rate. It skips ticks that pass between calls.
func (s *Source) Next(ctx context.Context) (*capture.Frame, error) {
	if err := s.ended(ctx); err != nil {
		return nil, err
	}
	whole, err := s.waitTick(ctx)
	if err != nil {
		return nil, err
	}
	var b *slot
	select {
	case b = <-s.free:
	case <-s.closed:
		return nil, capture.ErrClosed
	case <-ctx.Done():
		if whole {
			s.Refresh() // this call did not answer it, so the next one must
		}
		return nil, ctx.Err()
	}
	return s.draw(b, whole), nil
}

func (s *Source) ended(ctx context.Context) error {
	select {
	case <-s.closed:
		return capture.ErrClosed
	default:
		return ctx.Err()
	}
}

// waitTick waits until the next frame is due, or for a Refresh. It reports whether the whole picture is requested.
func (s *Source) waitTick(ctx context.Context) (whole bool, err error) {
	if s.seq == 0 {
		select {
		case <-s.refresh: // the first frame is whole anyway
		default:
		}
		if s.start.IsZero() {
			s.start = time.Now()
		}
		return true, nil
	}
	select {
	case <-s.refresh:
		return true, nil
	default:
	}
	var tick <-chan time.Time
	if s.cfg.Motion != Still {
		wait := time.Until(s.due(s.last + 1))
		if wait <= 0 {
			return false, nil
		}
		if s.timer == nil {
			s.timer = time.NewTimer(wait)
		} else {
			s.timer.Reset(wait)
		}
		tick = s.timer.C
		defer s.timer.Stop()
	}
	select {
	case <-tick:
		return false, nil
	case <-s.refresh:
		return true, nil
	case <-s.closed:
		return false, capture.ErrClosed
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// due returns when a frame must be drawn. Seconds and fractions are separate, so that the product fits into 64 bits.
func (s *Source) due(n uint64) time.Time {
	fps := uint64(s.cfg.FPS)
	whole, part := (n-1)/fps, (n-1)%fps
	return s.start.Add(time.Duration(whole)*time.Second + time.Duration((part*uint64(time.Second)+fps-1)/fps))
}

// number returns the frame that is due at a time.
func (s *Source) number(t time.Time) uint64 {
	elapsed := max(t.Sub(s.start), 0)
	whole, part := uint64(elapsed/time.Second), uint64(elapsed%time.Second)
	return 1 + whole*uint64(s.cfg.FPS) + part*uint64(s.cfg.FPS)/uint64(time.Second)
}

// draw brings a slot up to date and returns it as a frame.
func (s *Source) draw(b *slot, whole bool) *capture.Frame {
	now := time.Now()
	n, shown := s.number(now), now
	if s.cfg.Motion == Still && s.seq > 0 {
		n, shown = s.last, s.shown
	}
	if b.shown != 0 {
		s.card.erase(&b.canvas, b.shown)
	}
	s.card.draw(&b.canvas, n, shown)
	b.shown = n

	f := capture.NewFrame(b.release)
	f.Pix, f.Stride, f.Width, f.Height = b.canvas.pix, b.canvas.stride, b.canvas.width, b.canvas.height
	if whole {
		f.Damage = append(b.damage[:0], b.canvas.bounds())
	} else {
		before, after := s.card.layout(s.last), s.card.layout(n)
		f.Damage = capture.MergeDamage(capture.MergeDamage(b.damage[:0], before[:]), after[:])
	}
	s.seq++
	s.last, s.shown = n, shown
	f.Exact = true
	f.Time, f.Seq, f.Took = now, s.seq, time.Since(now)
	return f
}

// Refresh makes Next return the whole picture at once.
func (s *Source) Refresh() {
	select {
	case s.refresh <- struct{}{}:
	default:
	}
}

// Traits implements capture.Source. The picture has no pointer.
func (s *Source) Traits() capture.Traits {
	return capture.Traits{Slots: slots, Damage: true, Cursor: capture.CursorHidden}
}

// Alive implements capture.Source. Nothing here can hang.
func (s *Source) Alive() time.Time { return time.Now() }

// Close ends a blocked Next. Frames stay valid until they are released.
func (s *Source) Close() error {
	s.close.Do(func() { close(s.closed) })
	return nil
}

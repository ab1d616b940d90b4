package synthetic

import (
	"context"
	"fmt"
	"image"
	"math"
	"sync"
	"time"

	"wavryhost/capture"
)

const (
	// maxSide bounds the picture: 8K displays are the largest there are.
	maxSide = 8192
	// slots is how many frames may be held at once (capture.Source).
	slots = 3
	// maxParts is how many rectangles move in a frame: the strip, the clock and the ball.
	maxParts = 3
)

// Config of a Source.
type Config struct {
	// Width and Height are in pixels, from 96x108 to 8192x8192. They default to 1280x720.
	Width, Height int
	// FPS is how often the picture changes. It defaults to 30.
	FPS int
	// Still keeps the first picture for ever.
	Still bool
}

// Source is a capture.Source that draws its frames itself.
type Source struct {
	cfg        Config
	interval   time.Duration
	background canvas
	free       chan *slot
	refreshed  chan struct{}
	closed     chan struct{}
	closeOnce  sync.Once

	// What follows is Next's alone.
	start time.Time
	tick  int64 // of the frame before, 0 before the first
	seq   uint64
	parts []image.Rectangle // of the frame before
}

var _ capture.Source = (*Source)(nil)

// slot is one picture's memory, with what was drawn over the background in it.
type slot struct {
	canvas
	drawn []image.Rectangle
}

// New returns a source that starts with its first Next.
func New(cfg Config) (*Source, error) {
	if cfg.Width == 0 && cfg.Height == 0 {
		cfg.Width, cfg.Height = 1280, 720
	}
	if cfg.FPS == 0 {
		cfg.FPS = 30
	}
	switch {
	case cfg.Width < minWidth || cfg.Width > maxSide || cfg.Height < minHeight || cfg.Height > maxSide:
		return nil, fmt.Errorf("synthetic: size %dx%d is not from %dx%d to %dx%d", cfg.Width, cfg.Height, minWidth, minHeight, maxSide, maxSide)
	case cfg.FPS < 1 || cfg.FPS > 240:
		return nil, fmt.Errorf("synthetic: frame rate %d is not from 1 to 240", cfg.FPS)
	}
	s := &Source{
		cfg: cfg, interval: time.Second / time.Duration(cfg.FPS), background: drawBackground(cfg.Width, cfg.Height),
		free: make(chan *slot, slots), refreshed: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	for range slots {
		c := newCanvas(cfg.Width, cfg.Height)
		copy(c.pix, s.background.pix)
		s.free <- &slot{canvas: c, drawn: make([]image.Rectangle, 0, maxParts)}
	}
	return s, nil
}

// Refresh implements capture.Source.
func (s *Source) Refresh() {
	select {
	case s.refreshed <- struct{}{}:
	default:
	}
}

// Close implements capture.Source.
func (s *Source) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	return nil
}

// Next implements capture.Source: it waits for the next tick of the source's rate.
func (s *Source) Next(ctx context.Context) (*capture.Frame, error) {
	if err := s.ended(ctx); err != nil {
		return nil, err
	}
	var here *slot
	select {
	case here = <-s.free:
	case <-s.closed:
		return nil, capture.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	whole, err := s.wait(ctx)
	if err != nil {
		s.free <- here
		return nil, err
	}
	return s.draw(here, whole), nil
}

func (s *Source) ended(ctx context.Context) error {
	select {
	case <-s.closed:
		return capture.ErrClosed
	default:
		return ctx.Err()
	}
}

// wait waits until there is something new to draw, and tells whether the whole picture is asked for.
func (s *Source) wait(ctx context.Context) (whole bool, err error) {
	if s.tick == 0 {
		s.start = time.Now()
		return true, nil
	}
	var due <-chan time.Time
	if !s.cfg.Still {
		timer := time.NewTimer(time.Until(s.start.Add(time.Duration(s.tick) * s.interval)))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-s.refreshed:
		return true, nil
	case <-due:
		return false, nil
	case <-s.closed:
		return false, capture.ErrClosed
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// draw makes the frame of this moment in a free slot.
func (s *Source) draw(here *slot, whole bool) *capture.Frame {
	now := time.Now()
	s.tick = int64(now.Sub(s.start)/s.interval) + 1
	s.seq++
	for _, r := range here.drawn {
		here.restore(&s.background, r)
	}
	here.drawn = here.drawn[:0]
	shown := now
	if s.cfg.Still {
		shown = s.start
	}
	s.drawParts(here, shown)

	f := capture.NewFrame(func(*capture.Frame) { s.free <- here })
	f.Pix, f.Stride, f.Width, f.Height = here.pix, here.stride, here.width, here.height
	f.Time, f.Seq, f.Took = now, s.seq, time.Since(now)
	if whole {
		f.Damage = []image.Rectangle{f.Bounds()}
	} else {
		f.Damage = capture.MergeDamage(append(make([]image.Rectangle, 0, 2*maxParts), s.parts...), here.drawn)
	}
	s.parts = append(s.parts[:0], here.drawn...)
	return f
}

// drawParts draws what moves.
func (s *Source) drawParts(here *slot, now time.Time) {
	strip := image.Rect(0, 0, here.width, CodeRows*here.height/CodeGrid)
	bits := Code{Frame: uint64(s.tick), Time: now}.bits()
	for row := range CodeRows {
		for column := range CodeColumns {
			colour := pixel(0)
			if cell(&bits, column, row) {
				colour = 0xffffff
			}
			here.fill(image.Rect(column*here.width/CodeColumns, row*here.height/CodeGrid,
				(column+1)*here.width/CodeColumns, (row+1)*here.height/CodeGrid), colour)
		}
	}

	clock := now.UTC().AppendFormat(make([]byte, 0, 16), "15:04:05.000")
	scale := max(1, here.width/160)
	size := textSize(len(clock), scale)
	at := image.Pt((here.width-size.X)/2, here.height*3/10)
	here.text(at, clock, scale, 0xf2f5f8)

	// A pendulum: two seconds from side to side.
	phase := math.Sin(now.Sub(s.start).Seconds() * math.Pi / 2)
	radius := float64(here.height) / 14
	x, y := float64(here.width)/2+phase*(float64(here.width)/2-2*radius), float64(here.height)*0.72
	here.disc(x, y, radius, 0xf4a340)

	for _, r := range [maxParts]image.Rectangle{strip, {Min: at, Max: at.Add(size)}, discBounds(x, y, radius)} {
		if r = r.Intersect(here.bounds()); !r.Empty() {
			here.drawn = append(here.drawn, r)
		}
	}
}

// drawBackground draws what does not move: bands of colour for the eye, a grid of fine lines for the encoder.
func drawBackground(width, height int) canvas {
	c := newCanvas(width, height)
	for y := range height {
		c.fill(image.Rect(0, y, width, y+1), mix(0x101820, 0x2b4460, float64(y)/float64(height)))
	}
	for x := 0; x < width; x += max(8, width/32) {
		c.fill(image.Rect(x, height/2, x+1, height), 0x3d5a78)
	}
	bars := [...]pixel{0xffffff, 0xe6d24a, 0x49c6d8, 0x55b848, 0xb254b0, 0xcc4444, 0x4460cc}
	for i, p := range bars {
		c.fill(image.Rect(i*width/len(bars), height*9/10, (i+1)*width/len(bars), height), p)
	}
	title := []byte("wavry-host")
	scale := max(1, width/320)
	c.text(image.Pt((width-textSize(len(title), scale).X)/2, height*2/10), title, scale, 0x8fb4d8)
	radius := float64(height) / 5
	c.ring(float64(width)/2, float64(height)*0.6, radius, max(2, float64(height)/180), 0x8fb4d8)
	return c
}

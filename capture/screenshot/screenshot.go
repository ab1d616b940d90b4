// Package screenshot captures a display by kbinani/screenshot: the portable fallback, for systems that have no backend of
// their own here. It costs about thirty times what x11 does, since each call connects anew, and it cannot tell whether
// anything changed, so that it looks ten times a second and compares.
//
// On X11 the library takes the display and the authority from the environment: DISPLAY and XAUTHORITY of the process. In a
// session that says XDG_SESSION_TYPE=wayland it asks the desktop portal, which prompts the user and writes a file for each
// picture. It changes global tables of jezek/xgb at each call, so nothing else in the process may use that package.
package screenshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"sync"
	"sync/atomic"
	"time"

	library "github.com/kbinani/screenshot"

	"wavryhost/capture"
)

const (
	// slots is how many frames may be held at once (capture.Source).
	slots = 3
	// bandRows is how many rows are compared, and damaged, together.
	bandRows = 16
	// defaultInterval is between two looks: at 24 ms of work each (1920x1080), a quarter of a core.
	defaultInterval = 100 * time.Millisecond
	// openLimit is how long the first picture may take.
	openLimit = 5 * time.Second
)

// Display is one that the library sees.
type Display struct {
	Index  int
	Bounds image.Rectangle
}

// Displays lists what can be captured; none where the library finds no display, or cannot work at all.
func Displays() (list []Display) {
	defer func() {
		if recover() != nil { // the library panics where it has no display server to ask
			list = nil
		}
	}()
	for i := range library.NumActiveDisplays() {
		list = append(list, Display{Index: i, Bounds: library.GetDisplayBounds(i)})
	}
	return list
}

// Config of a Source.
type Config struct {
	// Index is the display's, from Displays.
	Index int
	// Interval is between two looks. It defaults to 100 ms.
	Interval time.Duration
	// grab takes a picture of a display; tests replace it.
	grab func(index int) (*image.RGBA, error)
}

// Source is a capture.Source that takes screenshots.
type Source struct {
	cfg       Config
	free      chan []byte
	refreshed chan struct{}
	closed    chan struct{}
	closeOnce sync.Once
	looking   atomic.Pointer[time.Time] // when the look under way began; nil when none is

	// What follows is Next's alone.
	previous      []byte // BGRX, of the frame before
	width, height int
	seq           uint64
	looked        time.Time
	under         chan picture // a look that is under way, nil when none is
}

// picture is what one look gave.
type picture struct {
	img   *image.RGBA
	began time.Time
	err   error
}

// errGone is for a display that the library does not list any more.
var errGone = errors.New("no such display")

var _ capture.Source = (*Source)(nil)

// New returns a source of one display. It takes one picture, to tell at once when that cannot work.
func New(cfg Config) (*Source, error) {
	if cfg.Interval == 0 {
		cfg.Interval = defaultInterval
	}
	if cfg.Interval < 0 || cfg.Index < 0 {
		return nil, fmt.Errorf("screenshot: interval %v or display %d is negative", cfg.Interval, cfg.Index)
	}
	if cfg.grab == nil {
		cfg.grab = grabDisplay
	}
	// The library waits for ever on a server that hangs; then its goroutine is left behind.
	first := make(chan error, 1) // one result, never blocks
	go func() {                  // unguarded: grab recovers
		_, err := cfg.grab(cfg.Index)
		first <- err
	}()
	limit := time.NewTimer(openLimit)
	defer limit.Stop()
	select {
	case err := <-first:
		if err != nil {
			return nil, fmt.Errorf("screenshot: open display %d: %w: %w", cfg.Index, capture.ErrUnsupported, err)
		}
	case <-limit.C:
		return nil, fmt.Errorf("screenshot: open display %d: %w: no picture within %v; does the display server hang?", cfg.Index,
			capture.ErrUnsupported, openLimit)
	}
	s := &Source{cfg: cfg, free: make(chan []byte, slots), refreshed: make(chan struct{}, 1), closed: make(chan struct{})}
	for range slots {
		s.free <- nil
	}
	return s, nil
}

func grabDisplay(index int) (img *image.RGBA, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the library panicked: %v", r)
		}
	}()
	bounds := library.GetDisplayBounds(index)
	if bounds.Empty() { // of which the library would take an empty picture
		return nil, errGone
	}
	return library.CaptureRect(bounds)
}

// Refresh implements capture.Source.
func (s *Source) Refresh() {
	select {
	case s.refreshed <- struct{}{}:
	default:
	}
}

// Alive implements capture.Source. The library alone can hang.
func (s *Source) Alive() time.Time {
	if began := s.looking.Load(); began != nil {
		return *began
	}
	return time.Now()
}

// Close implements capture.Source. A look of the library that is under way ends by itself.
func (s *Source) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	return nil
}

// Next implements capture.Source.
func (s *Source) Next(ctx context.Context) (*capture.Frame, error) {
	var pix []byte
	select {
	case <-s.closed:
		return nil, capture.ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case pix = <-s.free:
	case <-s.closed:
		return nil, capture.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f, err := s.look(ctx, pix)
	if err != nil {
		s.free <- pix
	}
	return f, err
}

// look takes pictures until one differs from the frame before.
func (s *Source) look(ctx context.Context, pix []byte) (*capture.Frame, error) {
	timer := time.NewTimer(time.Until(s.looked.Add(s.cfg.Interval)))
	defer timer.Stop()
	whole := s.seq == 0
	for {
		if !whole {
			select {
			case <-timer.C:
			case <-s.refreshed:
				whole = true
			case <-s.closed:
				return nil, capture.ErrClosed
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		p, err := s.grab(ctx)
		if err != nil {
			if whole {
				s.Refresh() // this call did not honour it, so the next one has to
			}
			return nil, err
		}
		if f := s.frame(p.img, pix, whole, p.began); f != nil {
			return f, nil
		}
		timer.Reset(s.cfg.Interval)
	}
}

// grab takes a picture. The library cannot be interrupted, and waits for ever on a server that hangs, so it is called in a
// goroutine of its own. A Next that must return leaves it behind, at most one: the Next that follows waits for it.
func (s *Source) grab(ctx context.Context) (picture, error) {
	for {
		late := s.under != nil // what it takes is of a moment before this call
		if !late {
			under := make(chan picture, 1)
			s.under, s.looked = under, time.Now()
			p := picture{began: s.looked}
			s.looking.Store(&p.began)
			go func() { // unguarded: grab recovers
				p.img, p.err = s.cfg.grab(s.cfg.Index)
				s.looking.Store(nil)
				under <- p
			}()
		}
		select {
		case p := <-s.under:
			s.under = nil
			if p.err != nil {
				return p, fmt.Errorf("screenshot: capture display %d: %w: %w", s.cfg.Index, capture.ErrLost, p.err)
			}
			if !late {
				return p, nil
			}
		case <-s.closed:
			return picture{}, capture.ErrClosed
		case <-ctx.Done():
			return picture{}, ctx.Err()
		}
	}
}

// frame makes a frame of a picture, in pix where that is large enough; nil when nothing changed.
func (s *Source) frame(img *image.RGBA, pix []byte, whole bool, began time.Time) *capture.Frame {
	width, height := img.Rect.Dx(), img.Rect.Dy()
	stride, size := width*4, width*height*4
	if width != s.width || height != s.height {
		s.width, s.height, s.previous, whole = width, height, make([]byte, size), true
	}
	if len(pix) != size {
		pix = make([]byte, size)
	}
	for y := range height {
		convertRow(pix[y*stride:(y+1)*stride], img.Pix[y*img.Stride:])
	}
	var damage []image.Rectangle
	for top := 0; top < height; top += bandRows {
		bottom := min(top+bandRows, height)
		band := pix[top*stride : bottom*stride]
		if !bytes.Equal(band, s.previous[top*stride:bottom*stride]) {
			copy(s.previous[top*stride:], band)
			damage = addBand(damage, image.Rect(0, top, width, bottom))
		}
	}
	if whole {
		damage = []image.Rectangle{image.Rect(0, 0, width, height)}
	}
	if len(damage) == 0 {
		return nil
	}
	s.seq++
	f := capture.NewFrame(func(f *capture.Frame) { s.free <- f.Pix })
	f.Pix, f.Stride, f.Width, f.Height, f.Damage = pix, stride, width, height, capture.MergeDamage(nil, damage)
	f.Time, f.Seq, f.Took = began, s.seq, time.Since(began)
	return f
}

// addBand joins a band with the one right above it.
func addBand(damage []image.Rectangle, band image.Rectangle) []image.Rectangle {
	if n := len(damage); n > 0 && damage[n-1].Max.Y == band.Min.Y {
		damage[n-1].Max.Y = band.Max.Y
		return damage
	}
	return append(damage, band)
}

// convertRow writes R, G, B, A as B, G, R, X.
func convertRow(to, from []byte) {
	for i := 0; i+3 < len(to); i += 4 {
		to[i], to[i+1], to[i+2], to[i+3] = from[i+2], from[i+1], from[i], 0
	}
}

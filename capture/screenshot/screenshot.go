// Package screenshot captures a display with kbinani/screenshot. It is the portable fallback for systems without a
// backend of their own. It costs about thirty times as much as x11, because each call connects anew. It cannot detect
// changes, so it takes a picture ten times a second and compares.
//
// On X11 the library reads the display and the authority from the environment: DISPLAY and XAUTHORITY of the process.
// With XDG_SESSION_TYPE=wayland it asks the desktop portal, which prompts the user and writes a file for each picture.
// Each call changes global tables of jezek/xgb, so nothing else in the process may use that package.
package screenshot

import (
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
	// slots is the number of frames that may be held at once (capture.Source).
	slots = 3
	// bandRows is the number of rows that are compared, and damaged, together.
	bandRows = 16
	// defaultInterval is the time between two pictures. At 24 ms each (1920x1080) it costs a quarter of a core.
	defaultInterval = 100 * time.Millisecond
	// openLimit bounds the wait for the first picture.
	openLimit = 5 * time.Second
)

// Display is a display that the library lists.
type Display struct {
	Index  int
	Bounds image.Rectangle
}

// Displays lists the displays that can be captured. It is empty where the library finds none, or cannot work at all.
func Displays() (list []Display) {
	defer func() {
		if recover() != nil { // the library panics without a display server
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
	// Index identifies the display in the result of Displays.
	Index int
	// Interval is the time between two pictures. It defaults to 100 ms.
	Interval time.Duration
	// Demand is what the frames are for.
	Demand capture.Demand
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
	looking   atomic.Pointer[time.Time] // start of the current picture; nil when none is being taken

	// Only Next uses the following fields.
	previous      []byte // BGRX, of the previous frame
	width, height int
	seq           uint64
	looked        time.Time
	under         chan picture // the picture being taken; nil when there is none
}

// picture is the result of one call of the library.
type picture struct {
	img   *image.RGBA
	began time.Time
	err   error
}

// errGone means that the library no longer lists the display.
var errGone = errors.New("no such display")

var _ capture.Source = (*Source)(nil)

// New returns a source of one display. It takes one picture, so that it fails at once if this does not work.
func New(cfg Config) (*Source, error) {
	if cfg.Interval == 0 {
		cfg.Interval = defaultInterval
	}
	if cfg.Interval < 0 || cfg.Index < 0 {
		err := fmt.Errorf("screenshot: interval %v or display %d is negative", cfg.Interval, cfg.Index)
		return nil, capture.WithReason(err, capture.ErrUnsupported)
	}
	if err := cfg.Demand.MemoryOnly(); err != nil {
		return nil, err
	}
	if cfg.grab == nil {
		cfg.grab = grabDisplay
	}
	// The library waits forever on a server that hangs. Its goroutine is then left behind.
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
		return nil, fmt.Errorf(
			"screenshot: open display %d: %w: no picture within %v; does the display server hang?", cfg.Index,
			capture.ErrSilent, openLimit,
		)
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
	if bounds.Empty() { // the library would return an empty picture of it
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

// Traits implements capture.Source. The library leaves the pointer out.
func (s *Source) Traits() capture.Traits {
	return capture.Traits{Slots: slots, Damage: true, Cursor: capture.CursorHidden}
}

// Alive implements capture.Source. Only the library can hang.
func (s *Source) Alive() time.Time {
	if began := s.looking.Load(); began != nil {
		return *began
	}
	return time.Now()
}

// Close implements capture.Source. A running call of the library ends later, on its own.
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

// look takes pictures until one differs from the previous frame.
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
				s.Refresh() // this call did not answer it, so the next one must
			}
			return nil, err
		}
		if f := s.frame(p.img, pix, whole, p.began); f != nil {
			return f, nil
		}
		timer.Reset(s.cfg.Interval)
	}
}

// grab takes a picture. The library cannot be interrupted and waits forever on a server that hangs, so it runs in a
// goroutine of its own. If Next must return, it leaves this goroutine behind. At most one exists: the next call of
// Next waits for it.
func (s *Source) grab(ctx context.Context) (picture, error) {
	for {
		late := s.under != nil // its picture may be older than this call
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

// frame makes a frame from a picture, in pix if that is large enough. It returns nil when nothing changed.
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
	damage := capture.Diff(s.previous, pix, stride, height, bandRows)
	for _, band := range damage {
		copy(s.previous[band.Min.Y*stride:], pix[band.Min.Y*stride:band.Max.Y*stride])
	}
	if whole {
		damage = []image.Rectangle{image.Rect(0, 0, width, height)}
	}
	if len(damage) == 0 {
		return nil
	}
	s.seq++
	f := capture.NewFrame(func(f *capture.Frame) { s.free <- f.Pix })
	f.Pix, f.Stride, f.Width, f.Height, f.Damage, f.Exact = pix, stride, width, height, damage, true
	f.Time, f.Seq, f.Took = began, s.seq, time.Since(began)
	return f
}

// convertRow writes R, G, B, A as B, G, R, X.
func convertRow(to, from []byte) {
	for i := 0; i+3 < len(to); i += 4 {
		to[i], to[i+1], to[i+2], to[i+3] = from[i+2], from[i+1], from[i], 0
	}
}

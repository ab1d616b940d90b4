// Package capture is the contract between a display's source of pictures and the encoder.
//
// A Source delivers frames of one display, and a PointerSource its pointer. Implementations are in the folders below
// this one; cmd picks one and passes it to the session. The package is plain Go: it depends on no operating system,
// codec or network.
package capture

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"time"
)

// The reasons of errors. The list is closed: each error of a Source, a PointerSource and of their opening wraps
// exactly one of them, or is the error of the caller's context.
var (
	// ErrUnsupported means that the backend cannot work on this system, or cannot read this display, at all.
	ErrUnsupported = errors.New("capture: not supported on this system")
	// ErrDemand means that the backend cannot do what the Demand requires.
	ErrDemand = errors.New("capture: demand cannot be met")
	// ErrNotFound means that there is no such display, at present.
	ErrNotFound = errors.New("capture: no such display")
	// ErrDenied means that the daemon may not capture the display.
	ErrDenied = errors.New("capture: not permitted")
	// ErrSilent means that the display did not answer in time when it was opened.
	ErrSilent = errors.New("capture: display does not answer")
	// ErrLost means that the display is gone: its server ended, or it was unplugged. The Source is then useless.
	// Opening a new one may succeed later.
	ErrLost = errors.New("capture: display lost")
	// ErrClosed is the error during and after Close.
	ErrClosed = errors.New("capture: source closed")
)

// Reasons returns all reasons of errors.
func Reasons() []error {
	return []error{ErrUnsupported, ErrDemand, ErrNotFound, ErrDenied, ErrSilent, ErrLost, ErrClosed}
}

// WithReason adds a reason to an error, without changing its text. It returns err as it is if that has a reason
// already, or is nil.
func WithReason(err, reason error) error {
	if err == nil || slices.ContainsFunc(Reasons(), func(r error) bool { return errors.Is(err, r) }) {
		return err
	}
	return reasonError{err, reason}
}

type reasonError struct{ err, reason error }

func (e reasonError) Error() string   { return e.err.Error() }
func (e reasonError) Unwrap() []error { return []error{e.err, e.reason} }

// Demand is what the frames of a Source are for. The zero value demands the whole display, with its pointer, in main
// memory.
type Demand struct {
	// Kinds are the kinds of memory that the consumer accepts, the best first. It defaults to Memory.
	Kinds []Kind
	// Device is the device of the consumer. A surface of another device is of no use to it.
	Device Device
	// Size is the size that will be encoded. A Source that scales at no cost may deliver it.
	Size image.Point
	// Area is the part of the display to deliver, in its pixels. It defaults to all of it.
	Area image.Rectangle
	// Cursor says where the pointer goes.
	Cursor CursorMode
	// FPS is the highest rate at which frames will be asked for, or 0 if it is unknown.
	FPS int
}

// MemoryOnly returns an error that wraps ErrDemand, unless a backend can meet the demand that delivers the whole
// display in main memory.
func (d Demand) MemoryOnly() error {
	switch {
	case len(d.Kinds) > 0 && !slices.Contains(d.Kinds, Memory):
		return fmt.Errorf("%w: pictures are in main memory only, not in %v", ErrDemand, d.Kinds)
	case !d.Area.Empty():
		return fmt.Errorf("%w: only the whole display can be captured, not its part %v", ErrDemand, d.Area)
	}
	return nil
}

// CursorMode says where the pointer goes.
type CursorMode uint8

// The modes.
const (
	// CursorEmbedded draws it into the picture.
	CursorEmbedded CursorMode = iota
	// CursorHidden leaves it out.
	CursorHidden
)

// Traits are the properties of a Source. They do not change.
type Traits struct {
	// Kind is the kind of memory of its frames.
	Kind Kind
	// Surfaces reports whether the display's pictures can be had as surfaces, for a Demand that accepts them.
	Surfaces bool
	// Slots is the number of frames that may be held at once, three at least. While all are held, Next waits for a
	// release.
	Slots int
	// Volatile reports whether the display may write into a frame's pixels before its release, after about a frame
	// time.
	Volatile bool
	// Damage reports whether the Source knows what changed. Without it, Next returns a frame at each call, and the
	// caller paces its calls.
	Damage bool
	// Cursor is where the pointer goes.
	Cursor CursorMode
}

// Opener opens a display for a Demand. It takes no longer than ctx, which the Source outlives.
type Opener func(ctx context.Context, d Demand) (Source, error)

// Source delivers the frames of one display. Its methods may be called concurrently, except Next, which one goroutine
// at a time may call.
type Source interface {
	// Next blocks until the display differs from the frame that Next returned before. It then returns the display's
	// current picture. The first call returns the whole picture at once. A call while a change is pending returns
	// without waiting. What it does when the Source cannot tell changes, or when all of its buffers are held, Traits
	// say.
	//
	// The caller owns the returned frame and must Release it. Unless the Source is volatile, nothing writes into a
	// frame's pixels before its release.
	//
	// The size of frames may change, because the display's size may. Next returns ctx's error when ctx ends, ErrClosed
	// when the Source is closed, and an error that wraps ErrLost when the display is gone.
	Next(ctx context.Context) (*Frame, error)
	// Refresh makes the current or the next call of Next return at once, with the whole picture damaged.
	Refresh()
	// Traits returns the properties of the Source.
	Traits() Traits
	// Alive returns the time of the display's last answer. While Next runs, this is at most a second ago unless the
	// display hangs: a silent display is asked. Alive distinguishes a hung display from a still one, so it never
	// blocks.
	Alive() time.Time
	// Close releases the Source's resources, once all its frames are released. A blocked Next returns ErrClosed. A
	// second Close does nothing.
	Close() error
}

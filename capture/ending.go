package capture

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// Ending is how a Source or a PointerSource ends: it is closed, or its display is lost. The zero value has not ended.
// Err and Failed belong to the caller of Next. The other methods may be called concurrently.
type Ending struct {
	closed atomic.Bool
	lost   error
}

// Close notes that the Source is closed. It reports whether it was open.
func (e *Ending) Close() bool { return !e.closed.Swap(true) }

// Closed reports whether the Source is closed.
func (e *Ending) Closed() bool { return e.closed.Load() }

// Err returns why Next cannot wait for a frame, or nil.
func (e *Ending) Err(ctx context.Context) error {
	switch {
	case e.closed.Load():
		return ErrClosed
	case e.lost != nil:
		return e.lost
	}
	return ctx.Err()
}

// Failed returns the error of Next for an error of its wait. Unless a close or ctx ended the wait, the display is lost:
// end is called, to give up the connection, and Next has the same error from now on. what names the display for people.
func (e *Ending) Failed(ctx context.Context, err error, what string, end func()) error {
	switch {
	case e.closed.Load():
		return ErrClosed
	case e.lost != nil:
		return e.lost
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	}
	e.lost = fmt.Errorf("%s is lost: %w", what, WithReason(err, ErrLost))
	end()
	return e.lost
}

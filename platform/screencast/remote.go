package screencast

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// Remote sends input to mutter. Its methods but Sync queue it, and one goroutine calls them.
type Remote struct {
	*Session
	stream dbus.ObjectPath
	calls  []*dbus.Call // without an answer yet
}

// The axes of the wheel.
const (
	AxisVertical = iota
	AxisHorizontal
)

// Control has mutter take input whose positions are on a monitor. It outlives ctx.
func Control(ctx context.Context, bus, connector string) (*Remote, error) {
	s, err := connect(ctx, bus, remoteService, remoteSession, configService)
	if err != nil {
		return nil, err
	}
	s.closed = []string{remoteSession + ".Closed"}
	r := &Remote{Session: s}
	if err := r.open(ctx, connector); err != nil {
		s.Close()
		return nil, fmt.Errorf("control monitor %s of mutter: %w", connector, err)
	}
	s.start()
	return r, nil
}

func (r *Remote) open(ctx context.Context, connector string) error {
	if err := r.call(ctx, remotePath, remoteService+".CreateSession", nil, []any{&r.path}); err != nil {
		return err
	}
	id, err := r.conn.Object(remoteService, r.path).GetProperty(remoteSession + ".SessionId")
	if err != nil {
		return explain("ask for the session's number", err)
	}
	// Positions are on a stream, which belongs to a session for recording. Nobody need read it.
	options := map[string]dbus.Variant{"remote-desktop-session-id": id}
	var cast dbus.ObjectPath
	if err := r.call(ctx, castPath, castService+".CreateSession", []any{options}, []any{&cast}); err != nil {
		return err
	}
	if r.stream, err = r.monitor(ctx, cast, connector, CursorHidden); err != nil {
		return err
	}
	r.moved.Store(true)
	return r.call(ctx, r.path, remoteSession+".Start", nil, nil)
}

// Moved reports whether the monitors have changed since the last call.
func (r *Remote) Moved() bool { return r.moved.Swap(false) }

// Monitors returns the monitors that are on.
func (r *Remote) Monitors(ctx context.Context) ([]Monitor, error) { return r.monitors(ctx) }

// notify queues a call. Mutter works off calls in order.
func (r *Remote) notify(method string, args ...any) {
	call := r.conn.Object(remoteService, r.path).Go(remoteSession+"."+method, 0, make(chan *dbus.Call, 1), args...)
	r.calls = append(r.calls, call)
}

// Move moves the pointer to a position in the monitor's picture.
func (r *Remote) Move(x, y float64) { r.notify("NotifyPointerMotionAbsolute", string(r.stream), x, y) }

// MoveBy moves the pointer by pixels, or parts of them.
func (r *Remote) MoveBy(dx, dy float64) { r.notify("NotifyPointerMotionRelative", dx, dy) }

// Button presses or releases a button, by its Linux code.
func (r *Remote) Button(code int32, pressed bool) { r.notify("NotifyPointerButton", code, pressed) }

// Key presses or releases a key, by its Linux code.
func (r *Remote) Key(code uint32, pressed bool) { r.notify("NotifyKeyboardKeycode", code, pressed) }

// Symbol presses or releases the key of a symbol of X.
func (r *Remote) Symbol(symbol uint32, pressed bool) {
	r.notify("NotifyKeyboardKeysym", symbol, pressed)
}

// Scroll turns the wheel by notches, down or to the right.
func (r *Remote) Scroll(axis uint32, notches int32) {
	r.notify("NotifyPointerAxisDiscrete", axis, notches)
}

// ScrollSmooth scrolls by parts of notches, to the right and down, as a device does that is neither a wheel nor a
// finger. That needs no end: with the end of a finger's scrolling, programs go on by themselves.
func (r *Remote) ScrollSmooth(dx, dy float64) {
	const notch, continuous = 10, uint32(1 << 3)
	r.notify("NotifyPointerAxis", notch*dx, notch*dy, continuous)
}

// Sync waits until mutter has done everything. It returns how many calls mutter refused.
func (r *Remote) Sync(ctx context.Context) (refused int, err error) {
	for _, call := range r.calls {
		select {
		case <-call.Done:
			if call.Err != nil {
				refused++
			}
		case <-r.Lost():
			return refused, r.Err()
		case <-ctx.Done():
			return refused, ctx.Err()
		}
	}
	r.calls = r.calls[:0]
	return refused, nil
}

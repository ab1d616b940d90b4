package screencast

import (
	"context"
	"errors"
	"fmt"
	"image"

	"github.com/godbus/dbus/v5"
)

// Remote sends input to mutter. Its methods but Size and Sync queue it, and one goroutine calls them.
type Remote struct {
	*Session
	notifier
	monitor string
	size    image.Point
	stream  dbus.ObjectPath
}

// notifier queues calls of a session's service, which works them off in order.
type notifier struct {
	to    *Session
	at    dbus.ObjectPath
	of    string        // the interface
	calls []*dbus.Call  // without an answer yet
	over  chan struct{} // closed when the answers do not matter any more; nil for a session of its own
}

// The axes of the wheel.
const (
	AxisVertical = iota
	AxisHorizontal
)

var errOver = errors.New("closed")

// Control has mutter take input whose positions are on a monitor. It outlives ctx.
func Control(ctx context.Context, bus, connector string) (*Remote, error) {
	s, err := connect(ctx, bus, remoteService, remoteSession, configService)
	if err != nil {
		return nil, err
	}
	s.closed = []string{remoteSession + ".Closed"}
	r := &Remote{Session: s, monitor: connector}
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
	if r.stream, err = r.record(ctx, cast, connector, CursorHidden); err != nil {
		return err
	}
	r.notifier = notifier{to: r.Session, at: r.path, of: remoteSession}
	r.moved.Store(true)
	return r.call(ctx, r.path, remoteSession+".Start", nil, nil)
}

// Size returns the size of the monitor's picture. It asks mutter after a change of the monitors.
func (r *Remote) Size(ctx context.Context) (image.Point, error) {
	if !r.moved.Swap(false) && r.size != (image.Point{}) {
		return r.size, nil
	}
	list, err := r.monitors(ctx)
	if err != nil {
		return image.Point{}, err
	}
	for _, m := range list {
		if m.Name == r.monitor {
			r.size = m.Size
			return r.size, nil
		}
	}
	r.size = image.Point{}
	return image.Point{}, fmt.Errorf("GNOME has no monitor %s at present", r.monitor)
}

// notify queues a call.
func (n *notifier) notify(method string, args ...any) {
	call := n.to.conn.Object(n.to.service, n.at).Go(n.of+"."+method, 0, make(chan *dbus.Call, 1), args...)
	n.calls = append(n.calls, call)
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

// Sync waits until the desktop has done everything. It returns how many calls the desktop refused.
func (n *notifier) Sync(ctx context.Context) (refused int, err error) {
	for _, call := range n.calls {
		select {
		case <-call.Done:
			if call.Err != nil {
				refused++
			}
		case <-n.to.Lost():
			return refused, n.to.Err()
		case <-n.over:
			return refused, errOver
		case <-ctx.Done():
			return refused, ctx.Err()
		}
	}
	n.calls = n.calls[:0]
	return refused, nil
}

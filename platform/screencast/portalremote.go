package screencast

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"sync"

	"github.com/godbus/dbus/v5"
)

// PortalRemote sends input by xdg-desktop-portal. Its methods but Size and Sync queue it, and one goroutine calls them.
type PortalRemote struct {
	*Screen
	notifier
	close func()
	rest  [2]float64 // of steps, by axis; for a wheel with small ones
}

// Control has the portal take input. It waits until somebody has opened the screen: only pictures need the person.
func (p *Portal) Control(ctx context.Context) (*PortalRemote, error) {
	s, err := p.join(ctx)
	if err != nil {
		return nil, fmt.Errorf("control the screen by the desktop's portal: %w", err)
	}
	if s.devices == 0 {
		s.Close()
		return nil, fmt.Errorf("%w: the desktop shares this screen without input", ErrDenied)
	}
	over := make(chan struct{})
	return &PortalRemote{
		Screen:   s,
		notifier: notifier{to: s.Session, at: portalPath, of: portalRemote, over: over},
		close:    sync.OnceFunc(func() { close(over) }),
	}, nil
}

// Close ends a wait for answers too. Its other users keep the session.
func (r *PortalRemote) Close() {
	r.close()
	r.Screen.Close()
}

// Size returns the size of the screen, in the units of positions.
func (r *PortalRemote) Size(context.Context) (image.Point, error) {
	if r.size.X <= 0 || r.size.Y <= 0 {
		return image.Point{}, errors.New("the portal does not say how large the screen is")
	}
	return r.size, nil
}

// send queues an event.
func (r *PortalRemote) send(method string, args ...any) {
	r.notify(method, append([]any{r.path, map[string]dbus.Variant{}}, args...)...)
}

// state is the portal's number of a state.
func state(pressed bool) uint32 {
	if pressed {
		return 1
	}
	return 0
}

// Move moves the pointer to a position on the screen.
func (r *PortalRemote) Move(x, y float64) { r.send("NotifyPointerMotionAbsolute", r.node, x, y) }

// MoveBy moves the pointer by pixels, or parts of them.
func (r *PortalRemote) MoveBy(dx, dy float64) { r.send("NotifyPointerMotion", dx, dy) }

// Button presses or releases a button, by its Linux code.
func (r *PortalRemote) Button(code int32, pressed bool) {
	r.send("NotifyPointerButton", code, state(pressed))
}

// Key presses or releases a key, by its Linux code.
func (r *PortalRemote) Key(code uint32, pressed bool) {
	r.send("NotifyKeyboardKeycode", int32(code), state(pressed))
}

// Symbol presses or releases the key of a symbol of X.
func (r *PortalRemote) Symbol(symbol uint32, pressed bool) {
	r.send("NotifyKeyboardKeysym", int32(symbol), state(pressed))
}

// Scroll turns the wheel by notches, down or to the right.
func (r *PortalRemote) Scroll(axis uint32, notches int32) {
	r.send("NotifyPointerAxisDiscrete", axis, notches*r.steps)
}

// ScrollSmooth scrolls by parts of notches, to the right and down.
func (r *PortalRemote) ScrollSmooth(dx, dy float64) {
	if r.steps == 1 {
		const notch = 15 // libinput's angle of a wheel
		r.send("NotifyPointerAxis", notch*dx, notch*dy)
		return
	}
	for axis, notches := range [...]float64{AxisVertical: dy, AxisHorizontal: dx} {
		r.rest[axis] += notches * float64(r.steps)
		whole := math.Trunc(r.rest[axis])
		r.rest[axis] -= whole
		if whole != 0 {
			r.send("NotifyPointerAxisDiscrete", uint32(axis), int32(whole))
		}
	}
}

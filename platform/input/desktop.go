package input

import (
	"context"
	"image"
	"math"
	"time"

	"wavryhost/platform/screencast"
)

// desktopLimit is the limit for opening a desktop's input, and for its answers when monitors have changed.
const desktopLimit = 5 * time.Second

// remote sends input to a desktop's service. Its methods but Size and Sync queue it.
type remote interface {
	// Size returns the size of the display, in the units of Move.
	Size(ctx context.Context) (image.Point, error)
	Move(x, y float64)
	MoveBy(dx, dy float64)
	Button(code int32, pressed bool)
	Key(code uint32, pressed bool)
	Symbol(symbol uint32, pressed bool)
	Scroll(axis uint32, notches int32)
	ScrollSmooth(dx, dy float64)
	// Sync waits until the desktop has done everything. It returns how much the desktop refused.
	Sync(ctx context.Context) (refused int, err error)
	// Lost returns a channel that is closed when the desktop is lost. Err then says why.
	Lost() <-chan struct{}
	Err() error
	Close()
}

var (
	_ remote = (*screencast.Remote)(nil)
	_ remote = (*screencast.PortalRemote)(nil)
)

// desktop is a display of a desktop's service as a Device. It types letters by their symbols: the desktop looks for a
// key in its layout.
type desktop struct {
	bell

	remote remote
	size   image.Point // of the display
	lost   int         // refused calls
	keys   map[byte]desktopKey
}

// desktopKey is what a pressed key was sent as.
type desktopKey struct {
	code, symbol uint32 // one of them is set
}

var _ Device = (*desktop)(nil)

// GNOME opens a monitor of mutter, by its interface on a session bus.
func GNOME(bus, monitor string) func(ctx context.Context) (Device, error) {
	return onDesktop(func(ctx context.Context) (*screencast.Remote, error) {
		return screencast.Control(ctx, bus, monitor)
	})
}

// Portal opens the screen of xdg-desktop-portal, once it is captured.
func Portal(p *screencast.Portal) func(ctx context.Context) (Device, error) {
	return onDesktop(p.Control)
}

func onDesktop[R remote](open func(ctx context.Context) (R, error)) func(ctx context.Context) (Device, error) {
	return func(ctx context.Context) (Device, error) {
		limited, cancel := context.WithTimeout(ctx, desktopLimit)
		defer cancel()
		r, err := open(limited)
		if err != nil {
			return nil, err
		}
		return &desktop{bell: newBell(), remote: r, keys: make(map[byte]desktopKey)}, nil
	}
}

// arrange implements Device: it learns the size of the display.
func (d *desktop) arrange(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, desktopLimit)
	defer cancel()
	d.size, err = d.remote.Size(ctx)
	return err
}

// move implements Device.
func (d *desktop) move(x, y float64) {
	d.remote.Move(float64(pixel(x, d.size.X)), float64(pixel(y, d.size.Y)))
}

// motion implements Device. Desktops cannot limit it: on a desktop of several monitors the pointer may leave this one.
func (d *desktop) motion(_ context.Context, dx, dy float64) error {
	d.remote.MoveBy(dx, dy)
	return nil
}

// scroll implements Device. The desktop's wheel turns down and to the right.
func (d *desktop) scroll(_ context.Context, dx, dy float64) error {
	if x, y := math.Round(dx), math.Round(dy); math.Abs(dx-x) > roundOff || math.Abs(dy-y) > roundOff {
		d.remote.ScrollSmooth(dx, -dy)
		return nil
	}
	if n := int32(math.Round(dx)); n != 0 {
		d.remote.Scroll(screencast.AxisHorizontal, n)
	}
	if n := -int32(math.Round(dy)); n != 0 {
		d.remote.Scroll(screencast.AxisVertical, n)
	}
	return nil
}

// forget implements Device. Desktops take parts of pixels and notches.
func (d *desktop) forget() {}

// press implements Device. The locks of the viewer are in its letters, so its lock keys are left out.
func (d *desktop) press(_ context.Context, c command) (number byte, err error) {
	if c.kind == button {
		d.remote.Button(int32(buttons[c.code]), true)
		return byte(c.code), nil
	}
	k := desktopKey{code: c.code}
	switch {
	case c.letter != 0:
		k = desktopKey{symbol: keysymOf(c.letter)}
	case c.locks&LocksKnown != 0 && (c.code == capsLock || c.code == numLock):
		return 0, nil
	}
	for number = 1; number < maxKey; number++ {
		if _, taken := d.keys[number]; !taken {
			break
		}
	}
	d.keys[number] = k
	d.send(k, true)
	return number, nil
}

func (d *desktop) send(k desktopKey, pressed bool) {
	if k.symbol != 0 {
		d.remote.Symbol(k.symbol, pressed)
		return
	}
	d.remote.Key(k.code, pressed)
}

// release implements Device.
func (d *desktop) release(kind kind, number byte) {
	if kind == button {
		d.remote.Button(int32(buttons[uint32(number)]), false)
		return
	}
	if k, ok := d.keys[number]; ok {
		delete(d.keys, number)
		d.send(k, false)
	}
}

// text implements Device.
func (d *desktop) text(_ context.Context, text string) error {
	for _, r := range text {
		k := desktopKey{symbol: keysymOf(r)}
		if code := controlKeys[r]; code != 0 {
			k = desktopKey{code: code}
		}
		d.send(k, true)
		d.send(k, false)
	}
	return nil
}

func (d *desktop) sync(ctx context.Context) error {
	n, err := d.remote.Sync(ctx)
	d.lost += n
	return err
}

func (d *desktop) wait() error {
	select {
	case <-d.bell:
		return nil
	case <-d.remote.Lost():
		return d.remote.Err()
	}
}

// refused implements Device.
func (d *desktop) refused() int {
	n := d.lost
	d.lost = 0
	return n
}

// close implements Device. Mutter then releases what is pressed.
func (d *desktop) close() { d.remote.Close() }

package input

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"wavryhost/platform/wlproto"
)

// The protocols for input. wlroots and compositors like it have them; GNOME and KDE have neither.
const (
	pointerManager  = "zwlr_virtual_pointer_manager_v1"
	keyboardManager = "zwp_virtual_keyboard_manager_v1"
)

var errNoVirtualInput = errors.New("input: the compositor has no virtual-keyboard-unstable-v1 or no " +
	"wlr-virtual-pointer-unstable-v1 (GNOME and KDE have neither); this display can only be watched")

// compositor is the output of a Wayland compositor as a Device.
type compositor struct {
	conn    *wlproto.Conn
	outputs *wlproto.Outputs
	name    string          // of the output
	area    image.Rectangle // of the output
	desktop image.Rectangle // with all outputs
	seat    uint32
	pointer uint32
	keys    *virtualKeyboard
	born    time.Time

	pointers uint32 // the manager, of a version
	version  uint32
	output   uint32    // the object
	mover    uint32    // a pointer that stays on the output, for motions; 0 before the first
	pixels   remainder // of motions and of turns of the wheel, in parts of 256
	turns    remainder
}

var _ Device = (*compositor)(nil)

// Wayland opens an output of the compositor of a socket.
func Wayland(socket, output string) func(ctx context.Context) (Device, error) {
	return func(ctx context.Context) (Device, error) {
		limited, cancel := context.WithTimeout(ctx, wlproto.OpenTimeout)
		defer cancel()
		conn, err := wlproto.Dial(limited, socket)
		if err != nil {
			return nil, err
		}
		defer context.AfterFunc(limited, conn.Wake)()
		c := &compositor{conn: conn, name: output, born: time.Now()}
		if err := c.open(limited); err != nil {
			conn.Close()
			return nil, err
		}
		return c, nil
	}
}

func (c *compositor) open(ctx context.Context) error {
	pointers, ok := c.conn.Global(pointerManager)
	keyboards, also := c.conn.Global(keyboardManager)
	seat, seated := c.conn.Global("wl_seat")
	if !ok || !also || !seated {
		return errNoVirtualInput
	}
	c.seat, _ = c.conn.Bind(seat, 1, nil)
	c.pointers, c.version = c.conn.Bind(pointers, 2, nil)
	c.pointer = c.conn.New(nil)
	c.conn.Send(c.pointers, 0, c.seat, c.pointer)
	var err error
	if c.outputs, err = wlproto.NewOutputs(ctx, c.conn); err != nil {
		return err
	}
	manager, _ := c.conn.Bind(keyboards, 1, nil)
	if c.keys, err = newVirtualKeyboard(c, manager); err != nil {
		return err
	}
	return c.conn.Sync(ctx)
}

// arrange implements Device: it finds the output on the desktop.
func (c *compositor) arrange(context.Context) error {
	if !c.outputs.Changed {
		return nil
	}
	c.outputs.Changed = false
	out, ok := c.outputs.Find(c.name)
	if !ok {
		c.outputs.Changed = true
		return fmt.Errorf("the compositor has no output %s at present", c.name)
	}
	if c.output != out.ID {
		c.output = out.ID
		c.dropMover()
	}
	c.area, c.desktop = out.Area, image.Rectangle{}
	for _, o := range c.outputs.List() {
		c.desktop = c.desktop.Union(o.Area)
	}
	if c.area.Empty() {
		return fmt.Errorf("the output %s is off", c.name)
	}
	return nil
}

// now is the time of an event in milliseconds.
func (c *compositor) now() uint32 { return uint32(time.Since(c.born).Milliseconds()) }

// frame ends what belongs together.
func (c *compositor) frame() { c.conn.Send(c.pointer, 4) }

// parts are the parts of a unit of the desktop that positions may have.
const parts = 64

// move implements Device. Positions are on the desktop. A pointer of one output would be turned with it, by some
// compositors.
func (c *compositor) move(x, y float64) {
	at := func(f float64, from, n int) uint32 { return uint32(parts*from + pixel(f, parts*n)) }
	corner := c.area.Min.Sub(c.desktop.Min)
	c.conn.Send(
		c.pointer, 1, c.now(), at(x, corner.X, c.area.Dx()), at(y, corner.Y, c.area.Dy()),
		uint32(parts*c.desktop.Dx()), uint32(parts*c.desktop.Dy()),
	)
	c.frame()
}

// motion implements Device. Motions have a pointer of their own, which the compositor keeps on the output.
func (c *compositor) motion(_ context.Context, dx, dy float64) error {
	if c.mover == 0 {
		c.newMover()
	}
	x, y := c.pixels.whole(dx*fixed, dy*fixed)
	if x == 0 && y == 0 {
		return nil
	}
	c.conn.Send(c.mover, 0, c.now(), int32(x), int32(y))
	c.conn.Send(c.mover, 4)
	return nil
}

// fixed is 1 as a number of the protocol with a fraction.
const fixed = 256

// newMover makes the pointer for motions. With an older manager it may leave the output.
func (c *compositor) newMover() {
	c.mover = c.conn.New(nil)
	if c.version < 2 {
		c.conn.Send(c.pointers, 0, c.seat, c.mover)
		return
	}
	c.conn.Send(c.pointers, 2, c.seat, c.output, c.mover)
}

// dropMover removes the pointer for motions.
func (c *compositor) dropMover() {
	if c.mover != 0 {
		c.conn.Send(c.mover, 8)
		c.mover = 0
	}
}

// scroll implements Device. A notch is 15 units, as with a mouse. Whole notches come from a wheel. Parts come from a
// continuous source: it needs no end, and programs count no notches of it.
func (c *compositor) scroll(_ context.Context, dx, dy float64) error {
	const vertical, horizontal, wheel, continuous, notch = 0, 1, 0, 2, 15
	x, y := c.turns.turned(dx*notch*fixed, -dy*notch*fixed)
	turn := func(axis uint32, n int) {
		source := uint32(wheel)
		switch {
		case n == 0:
			return
		case n%(notch*fixed) == 0:
			c.conn.Send(c.pointer, 7, c.now(), axis, int32(n), int32(n/(notch*fixed)))
		default:
			source = continuous
			c.conn.Send(c.pointer, 3, c.now(), axis, int32(n))
		}
		c.conn.Send(c.pointer, 5, source) // wlroots takes it as that of the axis before
		c.frame()
	}
	turn(horizontal, x)
	turn(vertical, y)
	return nil
}

// forget implements Device.
func (c *compositor) forget() { c.pixels, c.turns = remainder{}, remainder{} }

// buttons are the Linux codes of buttons: BTN_LEFT and so on.
var buttons = map[uint32]uint32{1: 0x110, 2: 0x112, 3: 0x111, 8: 0x113, 9: 0x114}

// press implements Device.
func (c *compositor) press(_ context.Context, p command) (number byte, err error) {
	if p.kind == button {
		c.conn.Send(c.pointer, 2, c.now(), buttons[p.code], uint32(1))
		c.frame()
		return byte(p.code), nil
	}
	return c.keys.press(p)
}

// release implements Device.
func (c *compositor) release(k kind, number byte) {
	if k == button {
		c.conn.Send(c.pointer, 2, c.now(), buttons[uint32(number)], uint32(0))
		c.frame()
		return
	}
	c.keys.release(number)
}

// text implements Device.
func (c *compositor) text(_ context.Context, text string) error { return c.keys.text(text) }

func (c *compositor) sync(ctx context.Context) error {
	defer context.AfterFunc(ctx, c.conn.Wake)()
	return c.conn.Sync(ctx)
}

func (c *compositor) wait() error {
	if err := c.conn.Wait(time.Time{}); !errors.Is(err, wlproto.ErrWoken) {
		return err
	}
	return nil
}

func (c *compositor) wake() { c.conn.Wake() }

// refused implements Device. A compositor ends the connection instead.
func (c *compositor) refused() int { return 0 }

// close implements Device. The compositor releases what is pressed.
func (c *compositor) close() { c.conn.Close() }

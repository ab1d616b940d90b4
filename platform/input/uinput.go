package input

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// Requests of linux/uinput.h.
const (
	uinputCreate  = 0x5501
	uinputEvents  = 0x40045564 // UI_SET_EVBIT, and so on
	uinputKeys    = 0x40045565
	uinputMotions = 0x40045566
	uinputAxes    = 0x40045567
)

// Kinds and codes of linux/input-event-codes.h.
const (
	evSync, evKey, evMotion, evPosition, evRepeat = 0, 1, 2, 3, 0x14

	relX, relY, relHWheel, relWheel = 0, 1, 6, 8
	relWheelFine, relHWheelFine     = 11, 12

	shiftLeft, shiftRight = 42, 54
)

const (
	// uinputSettle is the time that programs have to find the new devices. The kernel does not tell when they have, and
	// what comes before is lost.
	uinputSettle = 500 * time.Millisecond
	// lastPosition is the last position on each axis. The first one is 0.
	lastPosition = 1<<16 - 1
	// The kernel keeps 64 events for each program, and drops all of them when one more comes. Nothing tells when they are
	// read. So no more than keyBurst events of keys come at once, and keyRate in a second. A key has 4 events, or 8 with
	// Shift.
	keyBurst, keyRate      = 32, 400
	keyEvents, shiftEvents = 4, 8
	// fineNotch is a notch of the wheel in the unit of the fine axes.
	fineNotch = 120
)

// node is an opened /dev/uinput. A process that dies closes it, and the kernel then releases what is pressed.
type node interface {
	control(request uint, value int) error
	io.WriteCloser
}

// UInputConfig configures UInput.
type UInputConfig struct {
	// Name is added to the names of the devices. A compositor can map them to an output by that.
	Name string
	// American reports whether the host has an American layout. Letters are then typed by it, whatever the viewer's
	// layout is. Otherwise keys have their places, and text cannot be typed.
	American bool

	open   func() (node, error) // for tests
	settle time.Duration
}

// uinput is two devices of the Linux kernel as a Device. Whatever runs on the host's screen takes their input: a
// compositor, an X server or the console. Positions are on all its screens.
//
// Programs read one device after the other, so the order of events on two devices is lost. The keyboard has the
// buttons, the positions and the wheel as well: a click comes before what is typed after it. The mouse is for motions,
// which a device with positions cannot have.
type uinput struct {
	bell

	keyboard, mouse        events
	pace                   *rate.Limiter
	american               bool
	keymap                 keymap
	down                   map[uint32]bool // keys
	pixels, turns, notches remainder       // of the mouse and its wheel
	lost                   int             // letters that the layout lacks
}

var _ Device = (*uinput)(nil)

// UInput makes a keyboard and a mouse by /dev/uinput.
func UInput(cfg UInputConfig) func(ctx context.Context) (Device, error) {
	if cfg.open == nil {
		cfg.open, cfg.settle = openUInput, uinputSettle
	}
	return func(ctx context.Context) (Device, error) {
		u := &uinput{
			bell: newBell(), american: cfg.American, keymap: americanKeymap(), down: make(map[uint32]bool),
			pace: rate.NewLimiter(keyRate, keyBurst),
		}
		err := u.open(cfg)
		if err == nil {
			settled := time.NewTimer(cfg.settle)
			defer settled.Stop()
			select {
			case <-settled.C:
				return u, nil
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		u.close()
		return nil, err
	}
}

// open makes the devices.
func (u *uinput) open(cfg UInputConfig) error {
	var keys, clicks []int
	for code := 1; code <= maxKey; code++ {
		keys = append(keys, code)
	}
	for _, code := range slices.Sorted(maps.Values(buttons)) {
		clicks = append(clicks, int(code))
	}
	for _, d := range []struct {
		to   *events
		name string
		caps []capability
	}{
		{&u.keyboard, "keyboard", []capability{
			{uinputEvents, []int{evKey, evMotion, evPosition, evRepeat}},
			{uinputKeys, append(keys, clicks...)},
			{uinputMotions, []int{relHWheel, relWheel, relWheelFine, relHWheelFine}},
			{uinputAxes, []int{relX, relY}},
		}},
		// A mouse without buttons would be none.
		{&u.mouse, "mouse", []capability{
			{uinputEvents, []int{evKey, evMotion}}, {uinputKeys, clicks}, {uinputMotions, []int{relX, relY}},
		}},
	} {
		n, err := cfg.open()
		if err == nil {
			d.to.node = n
			err = create(n, fmt.Sprintf("wavry-host %s %s", d.name, cfg.Name), d.caps)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("input: the kernel has no uinput (sudo modprobe uinput): %w", err)
		case errors.Is(err, fs.ErrPermission):
			return fmt.Errorf("input: the daemon may not make a %s: give its user the right to write /dev/uinput "+
				"(install.md, \"The screen of a graphics card\"): %w", d.name, err)
		case err != nil:
			return fmt.Errorf("input: make a %s: %w", d.name, err)
		}
	}
	return nil
}

// capability is what a device can do.
type capability struct {
	request uint
	codes   []int
}

// create makes a device of a node.
func create(n node, name string, caps []capability) error {
	for _, c := range caps {
		for _, code := range c.codes {
			if err := n.control(c.request, code); err != nil {
				return err
			}
		}
	}
	// The structure uinput_user_dev. Positions have a range on each of 64 axes.
	const nameSize, axes, virtual = 80, 64, 6
	b := make([]byte, nameSize, nameSize+8+4+4*4*axes)
	copy(b[:nameSize-1], name)
	b = binary.NativeEndian.AppendUint16(b, virtual) // the bus
	b = append(b, make([]byte, cap(b)-len(b))...)
	highest := b[nameSize+8+4:]
	binary.NativeEndian.PutUint32(highest[4*relX:], lastPosition)
	binary.NativeEndian.PutUint32(highest[4*relY:], lastPosition)
	if _, err := n.Write(b); err != nil {
		return err
	}
	return n.control(uinputCreate, 0)
}

// events are the events for a device that are not written yet.
type events struct {
	node
	queued []byte
}

// add adds an event.
func (e *events) add(kind, code uint16, value int) {
	e.queued = append(e.queued, make([]byte, eventTime)...)
	e.queued = binary.NativeEndian.AppendUint16(e.queued, kind)
	e.queued = binary.NativeEndian.AppendUint16(e.queued, code)
	e.queued = binary.NativeEndian.AppendUint32(e.queued, uint32(int32(value)))
}

// eventTime is the size of the time in an event, which the kernel fills in.
const eventTime = 16

// frame ends what belongs together.
func (e *events) frame() { e.add(evSync, 0, 0) }

// press adds a press or a release.
func (e *events) press(code uint32, pressed bool) {
	value := 0
	if pressed {
		value = 1
	}
	e.add(evKey, uint16(code), value)
	e.frame()
}

// write writes the events. They are in the programs' queues then.
func (e *events) write() error {
	if len(e.queued) == 0 {
		return nil
	}
	_, err := e.Write(e.queued)
	e.queued = e.queued[:0]
	return err
}

// arrange implements Device.
func (u *uinput) arrange(context.Context) error { return nil }

// move implements Device.
func (u *uinput) move(x, y float64) {
	u.keyboard.add(evPosition, relX, pixel(x, lastPosition+1))
	u.keyboard.add(evPosition, relY, pixel(y, lastPosition+1))
	u.keyboard.frame()
}

// motion implements Device.
func (u *uinput) motion(_ context.Context, dx, dy float64) error {
	x, y := u.pixels.whole(dx, dy)
	if x == 0 && y == 0 {
		return nil
	}
	u.mouse.add(evMotion, relX, x)
	u.mouse.add(evMotion, relY, y)
	u.mouse.frame()
	return nil
}

// scroll implements Device. Programs take either the fine turns or the notches.
func (u *uinput) scroll(_ context.Context, dx, dy float64) error {
	fineX, fineY := u.turns.turned(dx*fineNotch, dy*fineNotch)
	right, up := u.notches.turned(dx, dy)
	for _, axis := range []struct {
		code  uint16
		value int
	}{{relHWheelFine, fineX}, {relHWheel, right}, {relWheelFine, fineY}, {relWheel, up}} {
		if axis.value != 0 {
			u.keyboard.add(evMotion, axis.code, axis.value)
		}
	}
	u.keyboard.frame()
	return nil
}

// forget implements Device.
func (u *uinput) forget() { u.pixels, u.turns, u.notches = remainder{}, remainder{}, remainder{} }

// press implements Device. With a known layout the viewer's locks are in its letters, so its lock keys are left out.
func (u *uinput) press(ctx context.Context, c command) (number byte, err error) {
	if c.kind == button {
		u.keyboard.press(buttons[c.code], true)
		return byte(c.code), nil
	}
	switch {
	case !u.american:
	case c.letter != 0:
		if number, ok, err := u.letter(ctx, c.letter); ok || err != nil {
			return number, err
		}
	case c.locks&LocksKnown != 0 && (c.code == capsLock || c.code == numLock):
		return 0, nil
	}
	if c.code == 0 {
		u.lost++
		return 0, nil
	}
	if err := u.room(ctx, keyEvents); err != nil {
		return 0, err
	}
	u.strike(c.code, true)
	return byte(c.code), nil
}

// room waits until there is room for events of a key.
func (u *uinput) room(ctx context.Context, events int) error {
	if u.pace.AllowN(time.Now(), events) {
		return nil
	}
	if err := u.keyboard.write(); err != nil {
		return err
	}
	return u.pace.WaitN(ctx, events)
}

// letter presses the key of a letter, with Shift or without it. It returns the key's code.
func (u *uinput) letter(ctx context.Context, letter rune) (code byte, ok bool, err error) {
	var held []uint32
	var mods byte
	for _, shift := range []uint32{shiftLeft, shiftRight} {
		if u.down[shift] {
			held, mods = append(held, shift), modShift
		}
	}
	key, ok := u.keymap.find(letter, 0, mods)
	events, turned := keyEvents, !ok // whether Shift is to be the other way round
	if turned {
		key, ok = u.keymap.find(letter, 0, mods^modShift)
		events = shiftEvents
	}
	if !ok {
		return 0, false, nil
	}
	if err := u.room(ctx, events); err != nil {
		return 0, false, err
	}
	code = key - keyOffset
	if !turned {
		u.strike(uint32(code), true)
		return code, true, nil
	}
	press := len(held) == 0
	if press {
		held = []uint32{shiftLeft}
	}
	for _, shift := range held {
		u.keyboard.press(shift, press)
	}
	u.strike(uint32(code), true)
	for _, shift := range held {
		u.keyboard.press(shift, !press)
	}
	return code, true, nil
}

// strike presses or releases a key. A second letter of the same key begins with its release.
func (u *uinput) strike(code uint32, pressed bool) {
	if pressed && u.down[code] {
		u.keyboard.press(code, false)
	}
	u.keyboard.press(code, pressed)
	u.down[code] = pressed
}

// release implements Device.
func (u *uinput) release(k kind, number byte) {
	if k == button {
		u.keyboard.press(buttons[uint32(number)], false)
		return
	}
	if u.down[uint32(number)] {
		u.strike(uint32(number), false)
	}
}

// text implements Device.
func (u *uinput) text(ctx context.Context, text string) error {
	for _, r := range text {
		c := command{kind: key, code: controlKeys[r], letter: r}
		if c.code != 0 {
			c.letter = 0
		}
		number, err := u.press(ctx, c)
		if err != nil {
			return err
		}
		u.release(key, number)
	}
	return nil
}

// sync implements Device. The kernel has taken the events when they are written.
func (u *uinput) sync(context.Context) error {
	return errors.Join(u.keyboard.write(), u.mouse.write())
}

// wait implements Device.
func (u *uinput) wait() error {
	<-u.bell
	return nil
}

// refused implements Device.
func (u *uinput) refused() int {
	n := u.lost
	u.lost = 0
	return n
}

// close implements Device. The kernel then removes the devices.
func (u *uinput) close() {
	for _, e := range []*events{&u.keyboard, &u.mouse} {
		if e.node != nil {
			_ = e.Close()
		}
	}
}

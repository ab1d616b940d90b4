package input

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"time"

	"wavryhost/platform/xproto"
)

// Requests and values of the X protocol, version 11, and of its extension XTEST, version 2.2.
const (
	opChangeWindowAttributes = 2
	opQueryPointer           = 38
	opWarpPointer            = 41

	attributeEventMask  = 1 << 11
	maskStructureNotify = 1 << 17

	xtestFakeInput   = 2
	xtestGrabControl = 3

	eventKeyPress, eventKeyRelease       = 2, 3
	eventButtonPress, eventButtonRelease = 4, 5
	eventMotion                          = 6
	eventConfigureNotify                 = 22

	wheelUp, wheelDown, wheelLeft, wheelRight = 4, 5, 6, 7

	// keyOffset is the difference between X keycodes and Linux codes (xkeyboard-config's keycodes/evdev). A keycode
	// has 8 bits.
	keyOffset = 8
)

var le = binary.LittleEndian

// server is an X server with XTEST. One goroutine uses it.
type server struct {
	conn    *xproto.Conn
	root    uint32
	screen  image.Rectangle
	area    image.Rectangle // what positions are on: a monitor, or the screen
	x, y    uint16          // where the pointer was moved last, or found after a motion
	several bool            // the server has more screens, which share one pointer
	xtest   byte            // the opcode of the extension

	moving  bool      // the pointer's last change was a motion, so programs may have moved it
	pixels  remainder // of motions
	notches remainder

	monitor string // empty for the whole screen
	randr   xproto.RandR
	moved   bool // the server reported another arrangement of monitors

	keyboard *xkb // nil for a server without XKB, which gets keys by their places alone
}

var _ Device = (*server)(nil)

// XTEST opens an X server. Positions are on a monitor, or on the whole screen if that is empty. dial connects to the
// server; the Device then owns the connection. timeout is the limit for an answer.
func XTEST(
	dial func(ctx context.Context) (*xproto.Conn, error), monitor string, timeout time.Duration,
) func(ctx context.Context) (Device, error) {
	return func(ctx context.Context) (Device, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		conn.ReplyLimit = timeout
		limited, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		defer context.AfterFunc(limited, conn.Wake)()
		s, err := newServer(limited, conn, monitor)
		if err != nil {
			conn.Close()
			return nil, err
		}
		return s, nil
	}
}

// newServer queries XTEST, and the sizes of the screen and the monitor. The server reports later ones.
func newServer(ctx context.Context, conn *xproto.Conn, monitor string) (*server, error) {
	s := &server{conn: conn, root: conn.Screen.Root, several: len(conn.Setup.Screens) > 1, monitor: monitor}
	xtest, err := conn.QueryExtension(ctx, "XTEST")
	if err != nil {
		return nil, fmt.Errorf("ask for XTEST: %w", err)
	}
	if !xtest.Present() {
		return nil, errNoXTEST
	}
	s.xtest = xtest.Major
	// A client that has grabbed the server, such as a menu or a screen locker, must not make it look as if it hung.
	conn.Send(s.xtest, xtestGrabControl, 1)
	conn.OnEvent = s.event
	conn.Send(opChangeWindowAttributes, 0, s.root, attributeEventMask, maskStructureNotify)
	width, height, err := conn.Geometry(ctx, s.root)
	if err != nil {
		return nil, fmt.Errorf("ask for the screen's size: %w", err)
	}
	s.screen = image.Rect(0, 0, width, height)
	s.area = s.screen
	if s.keyboard, err = newXKB(ctx, conn); err != nil {
		return nil, fmt.Errorf("ask for the keymap: %w", err)
	}
	if monitor == "" {
		return s, nil
	}
	if s.randr, err = conn.QueryRandR(ctx); err != nil {
		return nil, fmt.Errorf("ask for RANDR: %w", err)
	}
	conn.WatchMonitors(s.randr, s.root)
	s.moved = true
	return s, nil
}

// event records another size of the screen, and that monitors were arranged.
func (s *server) event(b []byte) {
	if xproto.Kind(b) == eventConfigureNotify && le.Uint32(b[8:]) == s.root {
		s.screen = image.Rect(0, 0, int(le.Uint16(b[20:])), int(le.Uint16(b[22:])))
		if s.monitor == "" {
			s.area = s.screen
		}
	}
	if s.keyboard != nil {
		s.keyboard.event(b)
	}
	s.moved = s.moved || s.monitor != "" && (s.randr.Changed(b) || xproto.Kind(b) == eventConfigureNotify)
}

// arrange implements Device: it finds the monitor again, and learns the keymap again.
func (s *server) arrange(ctx context.Context) error {
	if s.keyboard != nil && s.keyboard.changed {
		if err := s.keyboard.load(ctx); err != nil {
			return fmt.Errorf("ask for the keymap: %w", err)
		}
	}
	if !s.moved {
		return nil
	}
	s.moved = false
	list, err := s.conn.Monitors(ctx, s.randr, s.root)
	if err != nil {
		return fmt.Errorf("ask for the monitors: %w", err)
	}
	for _, m := range list {
		if m.Name == s.monitor {
			s.area = m.Area
			return nil
		}
	}
	return fmt.Errorf("the screen has no monitor %s at present", s.monitor)
}

// refused implements Device.
func (s *server) refused() int {
	n := s.conn.Refused
	s.conn.Refused = 0
	return n
}

// move implements Device.
func (s *server) move(x, y float64) {
	s.moving = false
	s.x = uint16(max(0, s.area.Min.X+pixel(x, s.area.Dx())))
	s.y = uint16(max(0, s.area.Min.Y+pixel(y, s.area.Dy())))
	if s.several {
		s.warp()
		return
	}
	s.fakeInput(eventMotion, 0, s.x, s.y)
}

// warp queues a jump of the pointer to its position. It is for servers with several screens, which ignore the screen
// of XTEST's motion: the pointer would stay on its current screen.
func (s *server) warp() {
	s.conn.Send(opWarpPointer, 0, 0, s.root, 0, 0, xproto.Pair(int(s.x), int(s.y)))
}

// home queues what brings the pointer back to the screen. A viewer of another screen may have moved it there. After a
// motion a program may have moved it, so it stays where it is on this screen.
func (s *server) home(ctx context.Context) error {
	switch {
	case !s.several:
		return nil
	case !s.moving:
		s.warp()
		return nil
	}
	at, err := s.find(ctx)
	if err == nil && !at.here {
		s.warp()
	}
	return err
}

// found is where the pointer is.
type found struct {
	here bool // it is on the screen
	at   image.Point
}

// find asks for the pointer.
func (s *server) find(ctx context.Context) (found, error) {
	b, err := s.conn.Await(ctx, s.conn.Send(opQueryPointer, 0, s.root))
	if err != nil {
		return found{}, err
	}
	at := image.Pt(int(int16(le.Uint16(b[16:]))), int(int16(le.Uint16(b[18:]))))
	return found{here: b[1] != 0, at: at}, nil
}

// motion implements Device. The pointer stays on the screen, and on the monitor.
func (s *server) motion(ctx context.Context, dx, dy float64) error {
	x, y := s.pixels.whole(dx, dy)
	if x == 0 && y == 0 {
		return nil
	}
	if err := s.home(ctx); err != nil {
		return err
	}
	s.moving = true
	const relative = 1
	s.fakeInput(eventMotion, relative, uint16(x), uint16(y))
	if !s.several && s.monitor == "" {
		return nil // the server itself keeps it there
	}
	now, err := s.find(ctx)
	if err != nil {
		return err
	}
	inside := now.at.In(s.area)
	if now.here {
		s.x = uint16(max(s.area.Min.X, min(s.area.Max.X-1, now.at.X)))
		s.y = uint16(max(s.area.Min.Y, min(s.area.Max.Y-1, now.at.Y)))
	}
	if !now.here || !inside {
		s.warp() // it is no motion for programs
	}
	return nil
}

// pixel converts a fraction of a number of pixels to a pixel.
func pixel(f float64, n int) int { return max(0, min(n-1, int(f*float64(n)))) }

// press implements Device.
func (s *server) press(ctx context.Context, c command) (number byte, err error) {
	if err := s.home(ctx); err != nil {
		return 0, err
	}
	if c.kind == button {
		s.fakeInput(eventButtonPress, byte(c.code), 0, 0)
		return byte(c.code), nil
	}
	if s.keyboard == nil {
		number = byte(c.code + keyOffset)
		s.fakeInput(eventKeyPress, number, 0, 0)
		return number, nil
	}
	number, locked, err := s.keyboard.choose(ctx, c)
	if err != nil {
		return 0, err
	}
	s.fakeInput(eventKeyPress, number, 0, 0)
	s.keyboard.lock(locked, locked)
	return number, nil
}

// release implements Device.
func (s *server) release(k kind, number byte) {
	event := byte(eventKeyRelease)
	if k == button {
		event = eventButtonRelease
	}
	s.fakeInput(event, number, 0, 0)
}

// text implements Device. Without a keymap no letter can be typed.
func (s *server) text(ctx context.Context, text string) error {
	for _, r := range text {
		c := command{kind: key, code: controlKeys[r], letter: r}
		switch {
		case c.code != 0:
			c.letter = 0
		case s.keyboard == nil:
			continue
		}
		number, err := s.press(ctx, c)
		if err != nil {
			return err
		}
		s.release(key, number)
	}
	return nil
}

// scroll implements Device. The wheel's buttons count whole notches.
func (s *server) scroll(ctx context.Context, dx, dy float64) error {
	right, up := s.notches.turned(dx, dy)
	if right == 0 && up == 0 {
		return nil
	}
	if err := s.home(ctx); err != nil {
		return err
	}
	s.turn(right, wheelRight, wheelLeft)
	s.turn(up, wheelUp, wheelDown)
	return nil
}

// forget implements Device.
func (s *server) forget() { s.pixels, s.notches = remainder{}, remainder{} }

func (s *server) sync(ctx context.Context) error { return s.conn.Sync(ctx) }

func (s *server) wait() error {
	if err := s.conn.Wait(time.Time{}); !errors.Is(err, xproto.ErrWoken) {
		return err
	}
	return nil
}

func (s *server) wake() { s.conn.Wake() }

func (s *server) close() {
	if s.keyboard != nil {
		s.keyboard.restore()
	}
	s.conn.Close()
}

// turn queues notches of the wheel, which are presses of a button.
func (s *server) turn(notches int, positive, negative byte) {
	wheel := positive
	if notches < 0 {
		wheel, notches = negative, -notches
	}
	for range notches {
		s.fakeInput(eventButtonPress, wheel, 0, 0)
		s.fakeInput(eventButtonRelease, wheel, 0, 0)
	}
}

// fakeInput queues XTestFakeInput.
func (s *server) fakeInput(event, detail byte, x, y uint16) {
	var root uint32
	if event == eventMotion {
		root = s.root
	}
	s.conn.Send(s.xtest, xtestFakeInput,
		uint32(event)|uint32(detail)<<8, 0, root, 0, 0, xproto.Pair(int(x), int(y)), 0, 0)
}

//go:build integration && linux

package input

import (
	"context"
	"fmt"
	"image"
	"math"
	"os/exec"
	"testing"
	"time"

	"wavryhost/platform/xproto"
)

// player is an X client that reads the mouse as games do: its motion, by the raw events of XInput 2, and the wheel.
type player struct {
	t       *testing.T
	conn    *xproto.Conn
	raw     [2]float64 // the sum of the motion
	shown   [2]float64 // the same as the server has accelerated it
	buttons map[uint32]int
}

// newPlayer returns a client of a screen.
func newPlayer(t *testing.T, display string) *player {
	t.Helper()
	conn, err := xproto.Dial(t.Context(), display, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	p := &player{t: t, conn: conn, buttons: make(map[uint32]int)}
	input, err := conn.QueryExtension(t.Context(), "XInputExtension")
	if err != nil || !input.Present() {
		t.Fatalf("XInput: %v, %v", input, err)
	}
	const selectEvents, queryVersion, allMasters, rawButtonPress, rawMotion = 46, 47, 1, 15, 17
	if _, err := conn.Await(t.Context(), conn.Send(input.Major, queryVersion, xproto.Pair(2, 2))); err != nil {
		t.Fatal(err)
	}
	conn.OnEvent = func(b []byte) {
		if xproto.Kind(b) != xproto.KindGeneric || b[1] != input.Major {
			return
		}
		switch le.Uint16(b[8:]) {
		case rawButtonPress:
			p.buttons[le.Uint32(b[16:])]++
		case rawMotion:
			p.take(b)
		}
	}
	seq := conn.Send(input.Major, selectEvents, conn.Screen.Root, 1, xproto.Pair(allMasters, 1),
		1<<rawButtonPress|1<<rawMotion)
	if err := conn.Check(t.Context(), seq); err != nil {
		t.Fatal(err)
	}
	return p
}

// take adds a motion up.
func (p *player) take(b []byte) {
	words := int(le.Uint16(b[22:]))
	mask := b[32:][:4*words]
	n := 0
	for axis := range 32 * words {
		if mask[axis/8]>>(axis%8)&1 != 0 {
			n++
		}
	}
	values := b[32+4*words:]
	number := func(i int) float64 {
		return float64(int32(le.Uint32(values[8*i:]))) + float64(le.Uint32(values[8*i+4:]))/(1<<32)
	}
	for axis, i := 0, 0; axis < 2; axis++ {
		if mask[0]>>axis&1 != 0 {
			p.shown[axis] += number(i)
			p.raw[axis] += number(n + i)
			i++
		}
	}
}

// at returns where the pointer is, and whether that is on the client's screen.
func (p *player) at() (at image.Point, here bool) {
	p.t.Helper()
	b, err := p.conn.Await(p.t.Context(), p.conn.Send(opQueryPointer, 0, p.conn.Screen.Root))
	if err != nil {
		p.t.Fatal(err)
	}
	return image.Pt(int(int16(le.Uint16(b[16:]))), int(int16(le.Uint16(b[18:])))), b[1] != 0
}

// waits waits until the pointer is at a point.
func (p *player) waits(what string, want image.Point) {
	p.t.Helper()
	eventually(p.t, what, func() error {
		if at, here := p.at(); at != want || !here {
			return fmt.Errorf("the pointer is at %v, on the screen: %v; want %v", at, here, want)
		}
		return nil
	})
}

// moved waits until the motion since the last time is as given.
func (p *player) moved(what string, x, y float64) {
	p.t.Helper()
	eventually(p.t, what, func() error {
		p.at() // reads the events
		if p.raw != [2]float64{x, y} || p.shown != p.raw {
			return fmt.Errorf("the motion is %v, accelerated %v; want %v,%v", p.raw, p.shown, x, y)
		}
		return nil
	})
	p.raw, p.shown = [2]float64{}, [2]float64{}
}

// circle gives motions of a tenth of a pixel to 40 pixels, and returns their sum.
func circle(j *Injector, n int) (x, y float64) {
	for i := range n {
		dx, dy := math.Round(400*math.Cos(float64(i)/9))/10, math.Round(400*math.Sin(float64(i)/7))/10
		j.MoveBy(dx, dy)
		x, y = x+dx, y+dy
	}
	return x, y
}

// Motion reaches programs in full, whatever its parts are and wherever the pointer is. The pointer moves by it.
func TestMotionOnX(t *testing.T) {
	display := startXvfb(t)
	j, _ := injector(t, display, "")
	p := newPlayer(t, display)
	j.Move(.25, .25) // the server begins in the middle
	p.waits("a position", image.Pt(160, 120))
	p.raw, p.shown = [2]float64{}, [2]float64{}
	j.MoveBy(31, -17)
	p.waits("a motion", image.Pt(191, 103))
	p.moved("a motion", 31, -17)
	for range 1000 {
		j.MoveBy(-.1, .125)
	}
	p.waits("parts of a pixel", image.Pt(91, 228))
	p.moved("parts of a pixel", -100, 125)
	j.Button(1, true) // a camera is often turned with a button held
	x, y := circle(j, 500)
	j.Button(1, false)
	j.MoveBy(math.Round(x)-x, math.Round(y)-y)
	p.moved("a circle", math.Round(x), math.Round(y))
	for range 3 {
		j.MoveBy(-16000, 16000)
	}
	p.moved("motion at the edge", -48000, 48000)
	p.waits("the edge", image.Pt(0, 479))
	j.Move(.5, .5)
	p.waits("a position again", image.Pt(320, 240))
}

// Slow scrolling adds up to notches in each direction.
func TestSlowScrollingOnX(t *testing.T) {
	display := startXvfb(t)
	j, _ := injector(t, display, "")
	p := newPlayer(t, display)
	eventuallyServed(t, j)
	for range 3 * 120 { // a touchpad of 120 steps a notch
		j.Scroll(-1./120, 1./120)
	}
	for range 2 * 120 {
		j.Scroll(1./120, -1./120)
	}
	want := map[uint32]int{wheelUp: 3, wheelLeft: 3, wheelDown: 2, wheelRight: 2}
	eventually(t, "the notches", func() error {
		p.at()
		for button, n := range want {
			if p.buttons[button] != n {
				return fmt.Errorf("buttons %v; want %v", p.buttons, want)
			}
		}
		return nil
	})
}

// step does something with a device, and waits until the server has done it.
func step(t *testing.T, s *server, do func(ctx context.Context) error) {
	t.Helper()
	if err := do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Motion is on the screen of its viewer, wherever the pointer was, and a button after it stays where a program has put
// the pointer. There are no Injectors: two that work at the same time would move the one pointer back and forth.
func TestMotionOnTwoScreens(t *testing.T) {
	display := startXvfb(t, "-screen", "1", "800x600x24")
	open := func(display string) *server {
		d, err := XTEST(func(ctx context.Context) (*xproto.Conn, error) {
			return xproto.Dial(ctx, display, nil)
		}, "", 10*time.Second)(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.close)
		s, ok := d.(*server)
		if !ok {
			t.Fatalf("got %T", d)
		}
		return s
	}
	first, second := open(display+".0"), open(display+".1")
	one, two := newPlayer(t, display+".0"), newPlayer(t, display+".1")
	is := func(p *player, what string, want image.Point) {
		t.Helper()
		if at, here := p.at(); !here || at != want {
			t.Errorf("%s: the pointer is at %v, on the screen: %v; want %v", what, at, here, want)
		}
	}
	move := func(s *server) {
		t.Helper()
		step(t, s, func(context.Context) error { s.move(.5, .5); return nil })
	}
	by := func(s *server, dx, dy float64) {
		t.Helper()
		step(t, s, func(ctx context.Context) error { return s.motion(ctx, dx, dy) })
	}
	for range 2 {
		move(first)
		is(one, "a position on the first", image.Pt(320, 240))
		by(first, 10, 20)
		is(one, "a motion on the first", image.Pt(330, 260))
		move(second)
		is(two, "a position on the second", image.Pt(400, 300))
		by(first, 5, 5)
		is(one, "a motion on the first again", image.Pt(335, 265))
		by(second, -7, .5)
		by(second, 0, .5)
		is(two, "a motion on the second", image.Pt(393, 301))
		two.moved("what programs saw", 15-7, 25+1)
		warp := two.conn.Send(opWarpPointer, 0, 0, two.conn.Screen.Root, 0, 0, xproto.Pair(100, 200))
		if err := two.conn.Check(t.Context(), warp); err != nil {
			t.Fatal(err)
		}
		step(t, second, func(ctx context.Context) error {
			if _, err := second.press(ctx, command{kind: button, code: 1}); err != nil {
				return err
			}
			second.release(button, 1)
			return second.scroll(ctx, 0, 1)
		})
		is(two, "a program's position", image.Pt(100, 200))
		by(second, 2000, 0)
		is(two, "the edge", image.Pt(799, 200))
		two.moved("motion over the edge", 2000, 0)
	}
	if two.buttons[wheelUp] != 2 || two.buttons[1] != 2 {
		t.Errorf("buttons %v", two.buttons)
	}
}

// The pointer stays on the viewer's monitor. Programs get all of the motion.
func TestMotionOnAMonitor(t *testing.T) {
	display := startXvfb(t)
	for _, args := range [][]string{
		{"--setmonitor", "left", "320/100x480/150+0+0", "screen"}, {"--setmonitor", "right", "320/100x480/150+320+0", "none"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		cmd := exec.CommandContext(ctx, "xrandr", append([]string{"-display", display}, args...)...)
		out, err := cmd.CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("xrandr %v: %v: %s", args, err, out)
		}
	}
	j, _ := injector(t, display, "right")
	p := newPlayer(t, display)
	j.Move(.5, .5)
	p.waits("a position", image.Pt(480, 240))
	p.raw, p.shown = [2]float64{}, [2]float64{}
	j.MoveBy(-100, 10)
	p.waits("a motion", image.Pt(380, 250))
	j.MoveBy(-100, 10)
	p.waits("a motion to the other monitor", image.Pt(320, 260))
	p.moved("motion", -200, 20)
}

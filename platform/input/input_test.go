package input

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/platform/xproto"
	"wavryhost/platform/xproto/xprototest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const (
	fakeXTEST = 133
	root      = 77
)

// event is one XTestFakeInput as the server gets it.
type event struct {
	kind, detail byte
	x, y         uint16
}

// xserver is an X server of the few requests that an Injector makes.
type xserver struct {
	mu      sync.Mutex
	without bool          // it has no XTEST
	hangs   bool          // it answers nothing
	stands  chan struct{} // it does nothing until this is closed; nil for not
	several bool          // it has more screens
	away    bool          // the pointer is on another one
	at      image.Point   // the pointer
	asked   int           // for the pointer
	width   uint16
	events  []event
	dials   int
	conns   []net.Conn
}

func (x *xserver) dial(ctx context.Context) (*xproto.Conn, error) {
	x.mu.Lock()
	x.dials++
	if x.width == 0 {
		x.mu.Unlock()
		return nil, errors.New("nobody listens")
	}
	ours, theirs := net.Pipe()
	x.conns = append(x.conns, ours)
	screens := []xprototest.Screen{{Root: root, Width: int(x.width), Height: 100}}
	if x.several {
		screens = append(screens, screens[0])
	}
	x.mu.Unlock()
	go x.serve(ours, xprototest.Greeting(screens...))
	return xproto.Handshake(ctx, theirs, "", 0)
}

func (x *xserver) serve(nc net.Conn, greeting []byte) {
	defer nc.Close()
	if _, err := io.ReadFull(nc, make([]byte, 12)); err != nil {
		return
	}
	if _, err := nc.Write(greeting); err != nil {
		return
	}
	for seq := uint16(1); ; seq++ {
		head := make([]byte, 4)
		if _, err := io.ReadFull(nc, head); err != nil {
			return
		}
		body := make([]byte, 4*int(le.Uint16(head[2:]))-4)
		if _, err := io.ReadFull(nc, body); err != nil {
			return
		}
		x.mu.Lock()
		if stands := x.stands; stands != nil {
			x.mu.Unlock()
			<-stands
			x.mu.Lock()
		}
		reply := x.do(head, body)
		if x.hangs {
			reply = nil
		}
		x.mu.Unlock()
		if reply != nil {
			reply[0] = 1
			le.PutUint16(reply[2:], seq)
			if _, err := nc.Write(reply); err != nil {
				return
			}
		}
	}
}

// do executes a request, and returns its reply if it has one. The caller holds mu.
func (x *xserver) do(head, body []byte) []byte {
	const opGetGeometry, opGetInputFocus, opQueryExtension = 14, 43, 98
	reply := make([]byte, 32)
	switch {
	case head[0] == opQueryExtension:
		if name := string(body[4:][:le.Uint16(body)]); name == "XTEST" && !x.without {
			reply[8], reply[9] = 1, fakeXTEST
		}
	case head[0] == opGetGeometry:
		le.PutUint16(reply[16:], x.width)
		le.PutUint16(reply[18:], 100)
	case head[0] == opGetInputFocus:
	case x.hangs:
		return nil
	case head[0] == opQueryPointer:
		x.asked++
		if !x.away {
			reply[1] = 1
		}
		le.PutUint16(reply[16:], uint16(x.at.X))
		le.PutUint16(reply[18:], uint16(x.at.Y))
	case head[0] == opWarpPointer:
		x.away, x.at = false, image.Pt(int(le.Uint16(body[16:])), int(le.Uint16(body[18:])))
		x.events = append(x.events, event{opWarpPointer, body[4], le.Uint16(body[16:]), le.Uint16(body[18:])})
		return nil
	case head[0] == fakeXTEST && head[1] == xtestFakeInput:
		switch at := image.Pt(int(int16(le.Uint16(body[20:]))), int(int16(le.Uint16(body[22:])))); {
		case body[0] == eventMotion && body[1] == 0:
			x.at = at
		case body[0] == eventMotion:
			x.at = x.at.Add(at)
		}
		x.events = append(x.events, event{body[0], body[1], le.Uint16(body[20:]), le.Uint16(body[22:])})
		return nil
	default:
		return nil
	}
	return reply
}

// resize changes the screen's width and reports it.
func (x *xserver) resize(t *testing.T, width uint16) {
	t.Helper()
	b := make([]byte, 32)
	b[0] = eventConfigureNotify
	le.PutUint32(b[8:], root)
	le.PutUint16(b[20:], width)
	le.PutUint16(b[22:], 100)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.width = width
	for _, nc := range x.conns {
		if _, err := nc.Write(b); err != nil {
			t.Error(err)
		}
	}
}

func (x *xserver) set(change func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change()
}

// crash ends all connections.
func (x *xserver) crash() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.conns {
		c.Close()
	}
	x.conns = nil
}

// got returns the events since the last time, once nothing is under way.
func (x *xserver) got() []event {
	synctest.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	events := x.events
	x.events = nil
	return events
}

// rig runs an Injector for an X server within a bubble.
func rig(t *testing.T, run func(t *testing.T, x *xserver, j *Injector, m *Metrics)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &xserver{width: 200}
		m := NewMetrics(prometheus.NewRegistry())
		j := New(Config{Display: "x11:7", Open: XTEST(x.dial, "", 10*time.Second)}, slog.New(slog.DiscardHandler), m)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- j.Run(ctx) }()
		run(t, x, j, m)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// fresh is New for a test that needs neither log nor metrics.
func fresh(cfg Config) *Injector {
	return New(cfg, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
}

func want(t *testing.T, what string, got []event, want ...event) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: the display got %v; want %v", what, got, want)
	}
}

func TestInputBecomesEvents(t *testing.T) {
	rig(t, func(t *testing.T, x *xserver, j *Injector, m *Metrics) {
		j.Move(.5, .25)
		want(t, "a move", x.got(), event{eventMotion, 0, 100, 25})
		j.Move(1, 1)
		want(t, "a move to the corner", x.got(), event{eventMotion, 0, 199, 99})
		j.Button(3, true)
		j.Button(3, false)
		want(t, "a click", x.got(), event{eventButtonPress, 3, 0, 0}, event{eventButtonRelease, 3, 0, 0})
		j.Key(30, true, 0, 0)
		j.Key(30, true, 0, 0) // who repeats keys does not press them again
		j.Key(30, false, 0, 0)
		j.Key(30, false, 0, 0)
		want(t, "a key", x.got(), event{eventKeyPress, 38, 0, 0}, event{eventKeyRelease, 38, 0, 0})
		j.Key(247, true, 0, 0)
		want(t, "the highest key", x.got(), event{eventKeyPress, 255, 0, 0})
		j.Key(248, true, 0, 0)
		j.Key(0, true, 0, 0)
		j.Button(4, true) // the wheel is no button
		j.Button(10, true)
		want(t, "what the display has no number for", x.got())
		if n := testutil.ToFloat64(m.lost.WithLabelValues(lostUnsupported)); n != 4 {
			t.Errorf("%v are counted as unsupported; want 4", n)
		}
		x.resize(t, 400)
		j.Move(.5, .5)
		want(t, "a move after the screen has grown", x.got(), event{eventMotion, 0, 200, 50})
	})
}

func TestScrollAddsUp(t *testing.T) {
	rig(t, func(t *testing.T, x *xserver, j *Injector, _ *Metrics) {
		third := float64(float32(1) / 3)
		j.Scroll(0, third)
		j.Scroll(0, third)
		want(t, "two thirds of a notch", x.got())
		j.Scroll(0, third)
		want(t, "three thirds", x.got(), event{eventButtonPress, wheelUp, 0, 0}, event{eventButtonRelease, wheelUp, 0, 0})
		j.Scroll(0, .9)
		j.Scroll(0, -1)
		want(t, "a notch back", x.got(), event{eventButtonPress, wheelDown, 0, 0}, event{eventButtonRelease, wheelDown, 0, 0})
		// as Scroll, and wakes nobody who could take it before the next
		j.queue.put(command{kind: scroll, x: 1, at: time.Now()})
		j.Scroll(-1, 0)
		want(
			t, "right and left before the display looks", x.got(),
			event{eventButtonPress, wheelRight, 0, 0}, event{eventButtonRelease, wheelRight, 0, 0},
			event{eventButtonPress, wheelLeft, 0, 0}, event{eventButtonRelease, wheelLeft, 0, 0},
		)
		j.Scroll(1, 0)
		want(t, "right", x.got(), event{eventButtonPress, wheelRight, 0, 0}, event{eventButtonRelease, wheelRight, 0, 0})
		j.Scroll(-1, 0)
		want(t, "left", x.got(), event{eventButtonPress, wheelLeft, 0, 0}, event{eventButtonRelease, wheelLeft, 0, 0})
		const slowly = 1024 // exact in binary
		for range 5 * slowly {
			j.Scroll(1./slowly, -1./slowly)
		}
		count := map[byte]int{}
		for _, e := range x.got() {
			if e.kind == eventButtonPress {
				count[e.detail]++
			}
		}
		if len(count) != 2 || count[wheelRight] != 5 || count[wheelDown] != 5 {
			t.Errorf("five slow notches to the right and down are presses %v; want 5 of each", count)
		}
		j.Scroll(0, .5)
		j.Release()
		j.Scroll(0, .5)
		want(t, "half a notch after a release", x.got())
		j.Release()
		j.Scroll(0, 1e9)
		if n := len(x.got()); n != 2*maxNotches {
			t.Errorf("a turn of the wheel without end makes %d events; want %d", n, 2*maxNotches)
		}
	})
}

func TestHeldIsReleased(t *testing.T) {
	rig(t, func(t *testing.T, x *xserver, j *Injector, m *Metrics) {
		j.Key(42, true, 0, 0)
		j.Key(30, true, 0, 0)
		j.Button(1, true)
		if !j.Holding() {
			t.Error("nothing is held")
		}
		x.got()
		j.Release()
		want(
			t, "a release", x.got(), event{eventButtonRelease, 1, 0, 0}, event{eventKeyRelease, 38, 0, 0},
			event{eventKeyRelease, 50, 0, 0},
		)
		if j.Holding() {
			t.Error("something is held after a release")
		}
		j.Key(30, false, 0, 0)
		want(t, "the key's own release, later", x.got())
		if n := testutil.ToFloat64(m.released); n != 3 {
			t.Errorf("%v releases are counted; want 3", n)
		}
	})
}

func TestEndReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &xserver{width: 200}
		j := fresh(Config{Open: XTEST(x.dial, "", 10*time.Second)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- j.Run(ctx) }()
		j.Key(17, true, 0, 0)
		x.got()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want(t, "the end", x.got(), event{eventKeyRelease, 25, 0, 0})
	})
}

// give puts n letters in as somebody does who types without a pause: each waits for room.
func give(t *testing.T, j *Injector, n int) {
	t.Helper()
	for i := range n {
		for _, down := range []bool{true, false} {
			if err := j.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			j.Key(uint32(16+i%10), down, 0, 0)
		}
	}
}

// letters returns what the display got for keys that went down.
func letters(events []event) (text []byte) {
	for _, e := range events {
		if e.kind == eventKeyPress {
			text = append(text, 'a'+e.detail-16-keyOffset)
		}
	}
	return text
}

func TestNothingThatIsTypedIsLost(t *testing.T) {
	rig(t, func(t *testing.T, x *xserver, j *Injector, m *Metrics) {
		const n = 10_000
		want := bytes.Repeat([]byte("abcdefghij"), n/10)
		give(t, j, n)
		if got := letters(x.got()); !bytes.Equal(got, want) {
			t.Errorf("%d of %d letters, or in another order", len(got), n)
		}
		x.set(func() { x.stands = make(chan struct{}) })
		time.AfterFunc(3*time.Second, func() {
			if j.Err() == nil {
				t.Error("nothing is told of a display that does not answer")
			}
			x.set(func() { close(x.stands); x.stands = nil })
		})
		start := time.Now()
		give(t, j, n)
		if took := time.Since(start); took < 3*time.Second {
			t.Errorf("whoever types was held up for %v; want for as long as the server stood", took)
		}
		if got := letters(x.got()); !bytes.Equal(got, want) {
			t.Errorf("%d of %d letters after the server stood for 3 s, or in another order", len(got), n)
		}
		if j.Err() != nil || j.Losses() != 0 {
			t.Errorf("error %v, %d losses", j.Err(), j.Losses())
		}
		for _, why := range []string{lostOverflow, lostUnavailable} {
			if n := testutil.ToFloat64(m.lost.WithLabelValues(why)); n != 0 {
				t.Errorf("%v are counted as lost by %s", n, why)
			}
		}
	})
}

// A caller that waits for room waits no longer than the server may take, and not at all once the server is given up.
func TestServerThatHangs(t *testing.T) {
	rig(t, func(t *testing.T, x *xserver, j *Injector, _ *Metrics) {
		j.Key(17, true, 0, 0)
		want(t, "a key", x.got(), event{eventKeyPress, 25, 0, 0})
		x.set(func() { x.hangs = true })
		j.Move(.1, .1)
		synctest.Wait()
		for i := range 1000 {
			j.Move(float64(i)/1000, 0)
		}
		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for i := 0; j.Wait(short) == nil; i++ {
			j.Key(30, i%2 == 0, 0, 0)
		}
		j.Release()
		if m := j.Losses(); m != 0 {
			t.Errorf("a release finds no room: %d losses", m)
		}
		if j.Holding() {
			t.Error("something counts as held after a release")
		}
		start := time.Now()
		if err := j.Wait(t.Context()); err != nil || time.Since(start) > 10*time.Second {
			t.Errorf("waited %v, %v", time.Since(start), err)
		}
		if _, ok := errors.AsType[xproto.SilentError](j.Err()); !ok || j.Losses() != 1 {
			t.Errorf("error %v, %d losses; want one, for a server that does not answer", j.Err(), j.Losses())
		}
		x.set(func() { x.hangs = false })
		time.Sleep(5 * time.Second)
		got := x.got()
		if !slices.Contains(got, event{eventKeyRelease, 25, 0, 0}) {
			t.Errorf("the key that was held when the server hung is not released: %v", got)
		}
		if slices.ContainsFunc(got, func(e event) bool { return e.kind == eventKeyPress }) {
			t.Errorf("what was typed while the server hung is typed afterwards: %v", got)
		}
		if j.Err() != nil {
			t.Errorf("error %v once the server answers", j.Err())
		}
		j.Button(1, true)
		want(t, "a button afterwards", x.got(), event{eventButtonPress, 1, 0, 0})
	})
}

// A daemon that ends does not wait long for a server that hangs.
func TestEndWithAServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &xserver{width: 200}
		j := fresh(Config{Open: XTEST(x.dial, "", 10*time.Second)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- j.Run(ctx) }()
		j.Key(17, true, 0, 0)
		x.got()
		x.set(func() { x.hangs = true })
		j.Key(18, true, 0, 0)
		synctest.Wait()
		start := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 3*endTimeout {
			t.Errorf("the end took %v", took)
		}
	})
}

func TestServerThatRestarts(t *testing.T) {
	rig(t, func(t *testing.T, x *xserver, j *Injector, m *Metrics) {
		j.Button(1, true)
		x.got()
		x.crash()
		x.set(func() { x.width = 0 })
		synctest.Wait()
		j.Key(30, true, 0, 0)
		want(t, "a key while there is no server", x.got())
		if n := testutil.ToFloat64(m.lost.WithLabelValues(lostUnavailable)); n != 1 {
			t.Errorf("%v are counted as lost; want 1", n)
		}
		time.Sleep(5 * time.Second)
		x.set(func() { x.width = 300 })
		time.Sleep(2 * time.Second)
		want(t, "the new server", x.got(), event{eventButtonRelease, 1, 0, 0})
		j.Move(.5, 0)
		want(t, "a move", x.got(), event{eventMotion, 0, 150, 0})
	})
}

func TestServerWithoutXTEST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &xserver{width: 200, without: true}
		j := fresh(Config{Open: XTEST(x.dial, "", 10*time.Second)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- j.Run(ctx) }()
		j.Key(30, true, 0, 0)
		want(t, "a key", x.got())
		if !errors.Is(j.Err(), errNoXTEST) {
			t.Errorf("error %v; want %v", j.Err(), errNoXTEST)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestQueueKeepsOrder(t *testing.T) {
	q := newQueue()
	q.put(command{kind: move, x: .1})
	q.put(command{kind: move, x: .2})
	q.put(command{kind: button, code: 1, pressed: true})
	q.put(command{kind: move, x: .3})
	q.put(command{kind: move, x: .4})
	q.put(command{kind: button, code: 1})
	var kinds []kind
	var xs []float64
	for _, c := range q.take() {
		kinds = append(kinds, c.kind)
		if c.kind == move {
			xs = append(xs, c.x)
		}
	}
	if !slices.Equal(kinds, []kind{move, button, move, button}) || !slices.Equal(xs, []float64{.2, .4}) {
		t.Errorf("got kinds %v at %v; want the newest move before each button", kinds, xs)
	}
}

func TestQueueDoesNotAllocate(t *testing.T) {
	q := newQueue()
	n := testing.AllocsPerRun(1000, func() {
		q.put(command{kind: move, x: .5})
		q.put(command{kind: key, code: 40, pressed: true})
		q.put(command{kind: key, code: 40})
		q.take()
	})
	if n > 0 {
		t.Errorf("%v allocations for a move and a key", n)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	NewMetrics(reg)
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// Where a server has several screens, XTEST's motion stays on the one where the pointer is, so it is warped to the
// viewer's; and again before a click or a key, as it may have left meanwhile.
func TestPointerGoesToItsOwnScreen(t *testing.T) {
	rig(t, func(t *testing.T, x *xserver, j *Injector, _ *Metrics) {
		x.crash()
		x.set(func() { x.several = true })
		eventuallyServed(t, j)
		x.got()
		j.Move(.5, .25)
		j.Button(1, true)
		j.Button(1, false)
		j.Key(30, true, 0, 0)
		j.Key(30, false, 0, 0)
		j.Scroll(0, 1)
		warp := event{opWarpPointer, 77, 100, 25}
		want := []event{
			warp,
			warp,
			{eventButtonPress, 1, 0, 0},
			{eventButtonRelease, 1, 0, 0},
			warp,
			{eventKeyPress, 38, 0, 0},
			{eventKeyRelease, 38, 0, 0},
		}
		got := x.got()
		if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("got %v; want %v", got, want)
		}
		if wheel := got[min(len(want), len(got)):]; len(wheel) < 2 || wheel[0] != warp {
			t.Errorf("got %v for the wheel; want a warp first", wheel)
		}
	})
}

// eventuallyServed waits until the injector has a server.
func eventuallyServed(t *testing.T, j *Injector) {
	t.Helper()
	for range 100 {
		time.Sleep(100 * time.Millisecond)
		if j.Err() == nil {
			return
		}
	}
	t.Fatal(j.Err())
}

// by is a relative motion as the server gets it.
func by(dx, dy int16) event { return event{eventMotion, 1, uint16(dx), uint16(dy)} }

// The pixels that the server gets add up to the motion, whatever its parts are.
func TestMotionAddsUp(t *testing.T) {
	rig(t, func(t *testing.T, x *xserver, j *Injector, _ *Metrics) {
		j.MoveBy(3, -2)
		want(t, "whole pixels", x.got(), by(3, -2))
		j.MoveBy(.5, .25)
		want(t, "parts of a pixel", x.got())
		j.MoveBy(.5, .25)
		want(t, "a whole pixel", x.got(), by(1, 0))
		j.MoveBy(0, -.5)
		j.MoveBy(-.75, 0)
		want(t, "parts back", x.got())
		j.MoveBy(-.25, -1)
		want(t, "a pixel back", x.got(), by(-1, -1))
		third := float64(float32(1) / 3)
		j.MoveBy(third, 0)
		j.MoveBy(third, 0)
		j.MoveBy(third, 0)
		want(t, "three thirds", x.got(), by(1, 0))
		j.MoveBy(.75, .75)
		j.Release()
		j.MoveBy(.75, .75)
		want(t, "a part after a release", x.got())
		j.Release()
		x.set(func() { x.stands = make(chan struct{}) })
		j.Key(30, true, 0, 0)
		synctest.Wait()
		for range 1000 { // they wait, and no command has room for all
			j.MoveBy(100, -100.5)
		}
		j.Key(30, false, 0, 0)
		x.set(func() { close(x.stands); x.stands = nil })
		var sum image.Point
		events := x.got()
		for _, e := range events[1 : len(events)-1] {
			if e.kind != eventMotion || e.detail != 1 {
				t.Fatalf("got %v", e)
			}
			sum = sum.Add(image.Pt(int(int16(e.x)), int(int16(e.y))))
		}
		if want := image.Pt(100_000, -100_500); sum != want || len(events) > 10 {
			t.Errorf("%d events move by %v; want %v", len(events), sum, want)
		}
		if x.asked > 0 {
			t.Error("the server was asked for the pointer, which costs a round trip")
		}
	})
}

// A motion on a server with several screens begins and ends on the viewer's. It leaves the pointer where a program has
// put it.
func TestMotionStaysOnItsScreen(t *testing.T) {
	rig(t, func(t *testing.T, x *xserver, j *Injector, _ *Metrics) {
		x.crash()
		x.set(func() { x.several = true })
		eventuallyServed(t, j)
		x.got()
		j.Move(.5, .25)
		want(t, "a position", x.got(), event{opWarpPointer, 77, 100, 25})
		j.MoveBy(10, 5)
		want(t, "a motion after it", x.got(), event{opWarpPointer, 77, 100, 25}, by(10, 5))
		x.set(func() { x.at = image.Pt(20, 30) })
		j.Button(1, true)
		want(t, "a button where a program has put the pointer", x.got(), event{eventButtonPress, 1, 0, 0})
		j.Release()
		x.got()
		x.set(func() { x.away = true })
		j.Scroll(0, 1)
		want(
			t, "the wheel after another viewer's motion", x.got(), event{opWarpPointer, 77, 110, 30},
			event{eventButtonPress, wheelUp, 0, 0}, event{eventButtonRelease, wheelUp, 0, 0},
		)
		x.set(func() { x.away = true })
		j.MoveBy(1, 1)
		want(t, "a motion after another viewer's", x.got(), event{opWarpPointer, 77, 110, 30}, by(1, 1))
		j.MoveBy(500, 0)
		want(t, "a motion over the edge", x.got(), by(500, 0), event{opWarpPointer, 77, 199, 31})
	})
}

package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/session/logtest"
	"wavryhost/session/peer"
	"wavryhost/session/rift"
)

// keyboard is an Injector for tests.
type keyboard struct {
	mu     sync.Mutex
	did    []string
	held   map[string]bool
	err    error
	opened int
	closed int
	losses uint64
	full   chan struct{} // there is room once this is closed; nil for at once
}

func (k *keyboard) Wait(ctx context.Context) error {
	k.mu.Lock()
	full := k.full
	k.mu.Unlock()
	if full == nil {
		return nil
	}
	select {
	case <-full:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *keyboard) Losses() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.losses
}

func (k *keyboard) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func (k *keyboard) note(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.did = append(k.did, what)
}

func (k *keyboard) press(what string, pressed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if pressed {
		k.held[what] = true
		k.did = append(k.did, what+" down")
	} else {
		delete(k.held, what)
		k.did = append(k.did, what+" up")
	}
}

func (k *keyboard) Move(x, y float64)          { k.note(fmt.Sprintf("move %v %v", x, y)) }
func (k *keyboard) MoveBy(dx, dy float64)      { k.note(fmt.Sprintf("move by %v %v", dx, dy)) }
func (k *keyboard) Button(n uint32, down bool) { k.press(fmt.Sprintf("button %d", n), down) }
func (k *keyboard) Key(code uint32, down bool, letter rune, locks uint8) {
	what := fmt.Sprintf("key %d", code)
	if down && (letter != 0 || locks != 0) {
		k.note(fmt.Sprintf("%s is %q, locks %d", what, letter, locks))
	}
	k.press(what, down)
}
func (k *keyboard) Text(text string)      { k.note("text " + text) }
func (k *keyboard) Scroll(dx, dy float64) { k.note(fmt.Sprintf("scroll %v %v", dx, dy)) }
func (k *keyboard) Run(ctx context.Context) error {
	<-ctx.Done()
	k.Release()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed++
	return nil
}

func (k *keyboard) Release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.held) > 0 {
		k.did = append(k.did, "release")
	}
	clear(k.held)
}

func (k *keyboard) Holding() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.held) > 0
}

func (k *keyboard) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// got returns what was done since the last time.
func (k *keyboard) got() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	did := k.did
	k.did = nil
	return did
}

func (k *keyboard) open() Injector {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.opened++
	k.held = map[string]bool{}
	return k
}

// counter is a floor with one display, and viewers without a connection.
type counter struct {
	*floor
	keys   *keyboard
	conf   *live
	events []Event
}

func newCounter() *counter {
	c := &counter{keys: &keyboard{}, conf: newLive(Config{}.withDefaults())}
	c.floor = newFloor(c.conf, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
	return c
}

func (c *counter) emit(e Event) uint64 {
	c.events = append(c.events, e)
	return uint64(len(c.events))
}

// fakeViewer is all that a floor sees of a viewer.
type fakeViewer struct {
	*inputChannel

	sees  Display
	lost  bool
	heard time.Time
	of    *counter // keeps its events
}

func (v *fakeViewer) watching() Display    { return v.sees }
func (v *fakeViewer) away() bool           { return v.lost }
func (v *fakeViewer) lastHeard() time.Time { return v.heard }

func (v *fakeViewer) announce(e Event) uint64 { return v.of.emit(e) }

// shows makes the viewer see a display.
func (v *fakeViewer) shows(d Display) { v.sees = d }

func (c *counter) viewer(id string, role Role) *fakeViewer {
	v := &fakeViewer{sees: Display{ID: "test", Input: c.keys.open}, heard: time.Now(), of: c}
	v.inputChannel = newInputChannel(id, role, v, c.floor, slog.New(slog.DiscardHandler), c.guard)
	return v
}

func (c *counter) key(v *fakeViewer, code uint32, down bool) string {
	return c.deliver(v.inputChannel, rift.Event{Kind: rift.Key, Code: code, Pressed: down}, time.Now())
}

// changes returns the changes of control since the last time, as from, to and why.
func (c *counter) changes() []string {
	var list []string
	for _, e := range c.events {
		if e.Kind == EventControl {
			list = append(list, strings.TrimSpace(e.From+">"+e.To+" "+e.Reason))
		}
	}
	c.events = nil
	return list
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q; want %q", what, got, want)
	}
}

func TestOneControlsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.close()
		a, b, w := c.viewer("a", RoleController), c.viewer("b", RoleOperator), c.viewer("w", RoleViewer)

		if why := c.key(w, 30, true); why != inputNotAllowed {
			t.Errorf("a viewer's key: %q; want %q", why, inputNotAllowed)
		}
		if why := c.key(a, 30, true); why != "" {
			t.Errorf("the first controller's key: %q", why)
		}
		if why := c.key(b, 31, true); why != inputNoControl {
			t.Errorf("the second's key: %q; want %q", why, inputNoControl)
		}
		same(t, "keys", c.keys.got(), "key 30 down")
		same(t, "control", c.changes(), ">a taken")
		if s := c.view(b.inputChannel); !s.may || s.has || !s.taken {
			t.Errorf("the second sees %+v", s)
		}
		turn := rift.Event{Kind: rift.Relative, X: 3.5, Y: -2}
		for v, want := range map[*fakeViewer]string{w: inputNotAllowed, b: inputNoControl, a: ""} {
			if why := c.deliver(v.inputChannel, turn, time.Now()); why != want {
				t.Errorf("relative motion of %s: %q; want %q", v.session, why, want)
			}
		}
		same(t, "the motion of who has control", c.keys.got(), "move by 3.5 -2")

		// A key that is held is input, however long.
		time.Sleep(time.Minute)
		a.heard = time.Now()
		c.sweep(time.Now())
		if why := c.key(b, 31, true); why != inputNoControl {
			t.Errorf("a key while the first holds one: %q; want %q", why, inputNoControl)
		}
		c.key(a, 30, false)
		time.Sleep(c.conf.get().ControlIdle - time.Millisecond)
		c.sweep(time.Now())
		if why := c.key(b, 31, true); why != inputNoControl {
			t.Errorf("a key just before the first is idle: %q; want %q", why, inputNoControl)
		}
		time.Sleep(time.Millisecond)
		if why := c.key(b, 31, true); why != "" {
			t.Errorf("a key once the first is idle: %q", why)
		}
		same(t, "control", c.changes(), "a> idle", ">b taken")
		same(t, "keys", c.keys.got(), "key 30 up", "key 31 down")
		c.key(b, 31, false)
		time.Sleep(c.conf.get().ControlIdle)
		c.sweep(time.Now())
		same(t, "control once nobody does anything", c.changes(), "b> idle")
		if c.holder("test") != "" {
			t.Error("somebody has control")
		}
		time.Sleep(injectorLinger)
		c.sweep(time.Now())
		synctest.Wait()
		if c.keys.closed != 1 {
			t.Errorf("the injector was closed %d times; want once", c.keys.closed)
		}
	})
}

func TestOperatorGivesAndWithdraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.close()
		a, b, w := c.viewer("a", RoleController), c.viewer("b", RoleController), c.viewer("w", RoleViewer)
		c.key(a, 42, true)
		if err := c.give(b.inputChannel, true); err != nil {
			t.Fatal(err)
		}
		same(t, "keys when control is given to another", c.keys.got(), "key 42 down", "release")
		if why := c.key(a, 30, true); why != inputNoControl {
			t.Errorf("a key of who had control: %q; want %q", why, inputNoControl)
		}
		c.key(b, 31, true)
		if err := c.give(b.inputChannel, false); err != nil {
			t.Fatal(err)
		}
		same(t, "keys when control is withdrawn", c.keys.got(), "key 31 down", "release")
		if why := c.key(b, 31, true); why != inputNoControl {
			t.Errorf("a key after control was withdrawn: %q; want %q", why, inputNoControl)
		}
		same(t, "control", c.changes(), ">a taken", "a>b given", "b> withdrawn")
		if err := c.give(b.inputChannel, true); err != nil {
			t.Fatal(err)
		}
		if why := c.key(b, 31, true); why != "" {
			t.Errorf("a key after control was given back: %q", why)
		}
		if err := c.give(w.inputChannel, true); !errors.Is(err, ErrNoControl) {
			t.Errorf("control for a viewer: %v; want %v", err, ErrNoControl)
		}
		w.shows(Display{ID: "deaf"})
		a.shows(Display{ID: "deaf"})
		if err := c.give(a.inputChannel, true); !errors.Is(err, ErrNoControl) {
			t.Errorf("control of a display that takes none: %v; want %v", err, ErrNoControl)
		}
		if why := c.key(a, 30, true); why != inputUnsupported {
			t.Errorf("a key for a display that takes none: %q; want %q", why, inputUnsupported)
		}
	})
}

func TestKeysAreReleased(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(c *counter, v *fakeViewer)
		why     string // of the loss of control; empty when it is kept
	}{
		"the session ends": {func(c *counter, v *fakeViewer) { c.leave(v.inputChannel) }, controlEnded},
		"the path is " +
			"lost": {func(c *counter, v *fakeViewer) { v.lost = true; c.sweep(time.Now()) }, controlDisconnected},
		"it sees another " +
			"display": {
			func(c *counter, v *fakeViewer) { v.shows(Display{ID: "other"}); c.sweep(time.Now()) },
			controlMoved,
		},
		"input is turned off": {func(c *counter, _ *fakeViewer) {
			c.conf.p.Store(&Config{Input: InputOff})
			c.sweep(time.Now())
		}, controlOff},
		"input is for operators": {func(c *counter, _ *fakeViewer) {
			c.conf.p.Store(&Config{Input: InputOperators})
			c.sweep(time.Now())
		}, controlOff},
		"nothing is heard": {func(c *counter, _ *fakeViewer) { time.Sleep(heldSilence); c.sweep(time.Now()) }, ""},
		"the channel " +
			"closes": {func(c *counter, v *fakeViewer) { c.channelClosed(v.inputChannel, v.input) }, controlClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rig := newCounter()
				defer rig.close()
				v := rig.viewer("a", RoleController)
				v.input = &peer.Channel{}
				rig.key(v, 17, true)
				time.Sleep(time.Second)
				rig.sweep(time.Now())
				same(t, "before", rig.keys.got(), "key 17 down")
				rig.changes()
				c.happens(rig, v)
				same(t, "after", rig.keys.got(), "release")
				if c.why == "" {
					same(t, "control", rig.changes())
					if rig.holder("test") != "a" {
						t.Error("control is lost with it")
					}
					return
				}
				same(t, "control", rig.changes(), "a> "+c.why)
				if n := testutil.ToFloat64(rig.met.controlChanges.WithLabelValues(c.why)); n != 1 {
					t.Errorf("%v changes are counted; want 1", n)
				}
			})
		})
	}
}

// The input of a display is open as long as a viewer may control it, so that programs know its keyboard before the
// first key.
func TestInputIsOpenBeforeTheFirstKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.close()
		watcher, v := c.viewer("a", RoleViewer), c.viewer("b", RoleController)
		open := func(v *fakeViewer) {
			v.input = &peer.Channel{}
			c.open[v.inputChannel] = true
			c.prepare(v.inputChannel)
		}
		open(watcher)
		if c.keys.opened != 0 {
			t.Error("input is opened for a viewer who may not control")
		}
		open(v)
		if c.keys.opened != 1 || c.holder("test") != "" || len(c.changes()) != 0 {
			t.Errorf("input is opened %d times, and %q has control; want once, and nobody", c.keys.opened, c.holder("test"))
		}
		sweep := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				c.sweep(time.Now())
			}
			synctest.Wait()
		}
		sweep(3 * injectorLinger)
		if c.key(v, 30, true); c.keys.opened != 1 || c.keys.closed != 0 {
			t.Errorf("input is opened %d times and closed %d times; want that of the beginning", c.keys.opened, c.keys.closed)
		}
		other := &keyboard{}
		v.shows(Display{ID: "other", Input: other.open})
		sweep(time.Second)
		if other.opened != 1 {
			t.Error("input of the display to which the viewer moved is not open")
		}
		c.channelClosed(v.inputChannel, v.input)
		sweep(2 * injectorLinger)
		if c.keys.closed != 1 || other.closed != 1 {
			t.Errorf("%d and %d inputs are closed without viewers; want both", c.keys.closed, other.closed)
		}

		// The server of a display that runs while something holds it may end soon.
		desk := &keyboard{}
		v.shows(Display{ID: "desk", Input: desk.open, Hold: func(context.Context, bool) (func(), error) { return nil, nil }})
		open(v)
		sweep(3 * injectorLinger)
		if desk.opened != 1 || desk.closed != 0 {
			t.Errorf("with a viewer, input is opened %d times and closed %d times", desk.opened, desk.closed)
		}
		c.channelClosed(v.inputChannel, v.input)
		sweep(time.Second)
		if desk.closed != 1 {
			t.Error("input of a display that may end stays open without viewers")
		}
	})
}

func TestEndReleasesForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.close()
		v := c.viewer("a", RoleController)
		c.leave(v.inputChannel)
		if why := c.key(v, 30, true); why != inputNoControl {
			t.Errorf("a key of a session that ends: %q; want %q", why, inputNoControl)
		}
	})
}

// What comes faster than it is taken waits; nothing is left out.
func TestInputIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.close()
		v := c.viewer("a", RoleController)
		b, err := hex.DecodeString("0801120a0d0000003f150000803e")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for range 3000 {
			v.receive(t.Context(), b)
		}
		if took, want := time.Since(start), (3000-inputBurst)*inputEvery; took < want || took > want+want/10 {
			t.Errorf("3000 messages took %v; want %v", took, want)
		}
		if n := testutil.ToFloat64(c.met.input.WithLabelValues("move")); n != 3000 {
			t.Errorf("%v of 3000 are given", n)
		}
		v.receive(t.Context(), make([]byte, rift.MaxMessage+1))
		v.receive(t.Context(), []byte{1, 2, 3})
		v.receive(t.Context(), []byte{0x32, 0}) // a gamepad's
		over, cancel := context.WithCancel(t.Context())
		cancel()
		v.receive(over, b) // the session ends
		for range 2 * reportBurst {
			v.report(nil)
		}
		if n := testutil.ToFloat64(c.met.inputDropped.WithLabelValues(inputRate)); n != reportBurst {
			t.Errorf("%v messages of what is held are left out; want %d", n, reportBurst)
		}
		for _, why := range []string{rift.FaultTooLong.String(), rift.FaultMalformed.String(), inputUnsupported} {
			if n := testutil.ToFloat64(c.met.inputDropped.WithLabelValues(why)); n != 1 {
				t.Errorf("%v dropped as %s; want 1", n, why)
			}
		}
	})
}

// dial opens a data channel before the offer is made.
func (r *remote) dial(label string) *webrtc.DataChannel {
	r.t.Helper()
	d, err := r.PC.CreateDataChannel(label, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// control connects as a controller, and returns the channel once it is open.
func (r *remote) control(h *house) *webrtc.DataChannel {
	r.t.Helper()
	d := r.dial("input")
	open := make(chan struct{})
	d.OnOpen(func() { close(open) })
	r.steer(h, RoleController)
	<-open
	return d
}

// steer connects as somebody of a role.
func (r *remote) steer(h *house, role Role) {
	r.t.Helper()
	a, err := h.Create(context.Background(), Offer{
		Display: "default", SDP: r.offer(false), Role: role,
		RemoteAddr: "test",
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.accept(a)
}

func openSteered(t *testing.T, keys *keyboard, change func(*Config)) *house {
	t.Helper()
	return openSteeredWith(t, slog.DiscardHandler, keys, change)
}

// openSteeredWith is openSteered with a log.
func openSteeredWith(t *testing.T, log slog.Handler, keys *keyboard, change func(*Config)) *house {
	t.Helper()
	return openHouseWith(t, log, func(c *Config) {
		if change != nil {
			change(c)
		}
		displays := c.Displays
		c.Displays = func(ctx context.Context) []Display {
			list := displays(ctx)
			for i := range list {
				list[i].Input = keys.open
			}
			return list
		}
	})
}

func TestInputByDataChannel(t *testing.T) {
	keys := &keyboard{}
	h := openSteered(t, keys, nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	d := r.control(h)
	for _, text := range []string{
		"0801120a0d0000003f150000803e", "08011a0408011001", "08012204081e1001",
		"2a05150000c0bf", "720a0d0000c0bf150000003e", "720a0d0000c07f1500000000", // the last one is not a number
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Send(b); err != nil {
			t.Fatal(err)
		}
	}
	var did []string
	eventually(t, "input arrives", func() bool { did = append(did, keys.got()...); return len(did) >= 5 })
	same(t, "input", did, "move 0.5 0.25", "button 1 down", "key 30 down", "scroll 0 -1.5", "move by -1.5 0.125")
	eventually(t, "the motion that is not a number is refused", func() bool {
		return testutil.ToFloat64(h.met.inputDropped.WithLabelValues(rift.FaultRange.String())) == 1
	})
	s, err := h.Session(r.id)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Control || !s.MayControl || !s.Controlled || !s.Relative || s.Role != "controller" ||
		h.Host().Displays[0].Control != r.id {
		t.Errorf("the session shows %+v, the display %+v", s, h.Host().Displays[0])
	}
	r.playing(t, 1) // pictures come as before
	if err := h.End(t.Context(), r.id, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	same(t, "the end", keys.got(), "release")
	if n := h.events(EventControl); n != 2 {
		t.Errorf("%d events of control; want 2", n)
	}
}

func TestDataChannelsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		label  string
		role   Role
		policy InputPolicy
		deaf   bool
		want   string
	}{
		"a viewer's":           {"input", RoleViewer, InputControllers, false, channelRole},
		"another label":        {"chat", RoleOperator, InputControllers, false, channelLabel},
		"input is off":         {"input", RoleOperator, InputOff, false, channelOff},
		"a display takes none": {"input", RoleOperator, InputControllers, true, channelDisplay},
		"operators alone":      {"input", RoleController, InputOperators, false, channelRole},
	} {
		t.Run(name, func(t *testing.T) {
			keys := &keyboard{}
			h := openSteered(t, keys, func(cfg *Config) { cfg.Input = c.policy })
			defer h.close(t)
			if c.deaf {
				next := *h.conf.get()
				next.Displays = func(context.Context) []Display { return []Display{h.screen.display()} }
				h.conf.p.Store(&next)
			}
			r := newRemote(t)
			defer r.close()
			first, second := r.dial(c.label), r.dial(c.label)
			closed := make(chan struct{}, 2)
			first.OnClose(func() { closed <- struct{}{} })
			second.OnClose(func() { closed <- struct{}{} })
			r.steer(h, c.role)
			<-closed
			<-closed
			if n := testutil.ToFloat64(h.met.channelsRefused.WithLabelValues(c.want)); n != 2 {
				t.Errorf("%v are counted as refused by %s; want 2", n, c.want)
			}
			if n := h.events(EventInputRefused); n != 1 {
				t.Errorf("%d events; want one for the session", n)
			}
			r.playing(t, 1)
			if s, err := h.Session(r.id); err != nil || s.Relative == c.deaf {
				t.Errorf("the display accepts relative motion: %v, %v; want %v", s.Relative, err, !c.deaf)
			}
			if keys.opened != 0 {
				t.Error("the display's input was opened")
			}
		})
	}
}

func TestOneChannelASession(t *testing.T) {
	keys := &keyboard{}
	h := openSteered(t, keys, nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	closed := make(chan struct{}, 2)
	for range 2 {
		r.dial("input").OnClose(func() { closed <- struct{}{} })
	}
	r.steer(h, RoleOperator)
	<-closed
	if n := testutil.ToFloat64(h.met.channelsRefused.WithLabelValues(channelSecond)); n != 1 {
		t.Errorf("%v are refused as second; want 1", n)
	}
}

func TestDataChannelsWithoutEnd(t *testing.T) {
	h := openSteered(t, &keyboard{}, nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	for i := range maxChannels + 1 {
		r.dial(fmt.Sprint("x", i))
	}
	r.steer(h, RoleOperator)
	eventually(t, "the session ends", func() bool { return len(h.Sessions()) == 0 })
}

// What is typed is in no log, event, metric, recording or answer. The numbers are such as come up nowhere else.
func TestNothingTypedIsTold(t *testing.T) {
	keys := &keyboard{}
	var log logtest.Buffer
	h := openSteeredWith(t, slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}), keys, nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	d := r.control(h)
	const far = 4123456789
	send := func(b []byte) {
		t.Helper()
		if err := d.Send(b); err != nil {
			t.Fatal(err)
		}
	}
	send(riftPress(713))
	send(riftPress(far)) // no such key
	send(append(riftPress(713), 0x38, 1))
	send([]byte("hunter2 hunter2 hunter2"))
	send(riftPress(714))
	eventually(t, "input arrives", func() bool { return len(keys.got()) > 0 || keys.Holding() })
	eventually(t, "what is wrong is counted", func() bool {
		return testutil.ToFloat64(h.met.inputDropped.WithLabelValues(rift.FaultKey.String())) == 1
	})
	var told bytes.Buffer
	s, err := h.Session(r.id)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.WriteRecording(r.id, &told); err != nil {
		t.Fatal(err)
	}
	if err := h.End(t.Context(), r.id, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	list, _, _ := h.journal.Events(0)
	fmt.Fprintf(&told, "%+v %+v %s", s, list, log.String())
	families, err := h.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		told.WriteString(f.String())
	}
	if !strings.Contains(log.String(), "control changed") || !strings.Contains(told.String(), "taken") {
		t.Error("the log does not tell of control, so this shows nothing")
	}
	for _, secret := range []string{
		fmt.Sprint(int64(plantedTime)), fmt.Sprint(int64(far)), "hunter2",
		hex.EncodeToString([]byte("hunter2")), "key 713", "Code:713",
	} {
		if strings.Contains(told.String(), secret) {
			t.Errorf("%q is told", secret)
		}
	}
}

// plantedTime is the time in the messages of riftPress.
const plantedTime = 918273645546372819

// riftPress is a message for a key that goes down.
func riftPress(code uint64) []byte {
	key := append(binary.AppendUvarint([]byte{0x08}, code), 0x10, 1)
	b := binary.AppendUvarint([]byte{0x08}, plantedTime)
	b = append(b, 0x22, byte(len(key)))
	return append(b, key...)
}

package floor

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/platform/guard"
	"wavryhost/session/floor/floortest"
	"wavryhost/session/lockorder/lockordertest"
	"wavryhost/session/peer"
	"wavryhost/session/rift"
)

func TestMain(m *testing.M) { lockordertest.Main(m, "../doc.go") }

var _ Injector = (*floortest.Keyboard)(nil)

// sweepInterval is the time between two sweeps, as of the janitor of sessions.
const sweepInterval = 250 * time.Millisecond

// counter is a Control with one display, and viewers without a connection.
type counter struct {
	*Control
	keys     *floortest.Keyboard
	settings Settings
	panics   atomic.Int64
	changed  []Change
}

func newCounter() *counter {
	c := &counter{keys: &floortest.Keyboard{}, settings: Settings{Idle: 15 * time.Second}}
	log := slog.New(slog.DiscardHandler)
	g := guard.New(log, func(string) { c.panics.Add(1) }, nil)
	c.Control = New(func() Settings { return c.settings }, log, NewMetrics(prometheus.NewRegistry()), g)
	return c
}

// input is a display that a keyboard gives input to.
func input(id string, k *floortest.Keyboard) Display {
	return Display{ID: id, Open: func() Injector { return k.Open() }}
}

// fakeViewer is all that floor control sees of a viewer.
type fakeViewer struct {
	*Participant

	sees  Display
	lost  bool
	heard time.Time
	of    *counter // keeps its events
}

func (v *fakeViewer) Display() Display     { return v.sees }
func (v *fakeViewer) Away() bool           { return v.lost }
func (v *fakeViewer) LastHeard() time.Time { return v.heard }

func (v *fakeViewer) ControlChanged(c Change) uint64 {
	v.of.changed = append(v.of.changed, c)
	return uint64(len(v.of.changed))
}

func (v *fakeViewer) ChannelRefused(string, string) uint64 { return 0 }

// shows makes the viewer see a display.
func (v *fakeViewer) shows(d Display) { v.sees = d }

func (c *counter) viewer(id string, role Role) *fakeViewer {
	v := &fakeViewer{sees: input("test", c.keys), heard: time.Now(), of: c}
	v.Participant = c.Join(id, role, v, slog.New(slog.DiscardHandler), c.guard)
	return v
}

func (c *counter) key(v *fakeViewer, code uint32, down bool) string {
	return c.deliver(v.Participant, rift.Event{Kind: rift.Key, Code: code, Pressed: down}, time.Now())
}

// changes returns the changes of control since the last time, as from, to and why.
func (c *counter) changes() []string {
	var list []string
	for _, e := range c.changed {
		list = append(list, strings.TrimSpace(e.From+">"+e.To+" "+e.Reason))
	}
	c.changed = nil
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
		defer c.Close()
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
		same(t, "keys", c.keys.Got(), "key 30 down")
		same(t, "control", c.changes(), ">a taken")
		if s := b.View(); !s.May || s.Has || !s.Taken {
			t.Errorf("the second sees %+v", s)
		}
		turn := rift.Event{Kind: rift.Relative, X: 3.5, Y: -2}
		for v, want := range map[*fakeViewer]string{w: inputNotAllowed, b: inputNoControl, a: ""} {
			if why := c.deliver(v.Participant, turn, time.Now()); why != want {
				t.Errorf("relative motion of %s: %q; want %q", v.session, why, want)
			}
		}
		same(t, "the motion of who has control", c.keys.Got(), "move by 3.5 -2")

		// A key that is held is input, however long.
		time.Sleep(time.Minute)
		a.heard = time.Now()
		c.Sweep(time.Now())
		if why := c.key(b, 31, true); why != inputNoControl {
			t.Errorf("a key while the first holds one: %q; want %q", why, inputNoControl)
		}
		c.key(a, 30, false)
		time.Sleep(c.settings.Idle - time.Millisecond)
		c.Sweep(time.Now())
		if why := c.key(b, 31, true); why != inputNoControl {
			t.Errorf("a key just before the first is idle: %q; want %q", why, inputNoControl)
		}
		time.Sleep(time.Millisecond)
		if why := c.key(b, 31, true); why != "" {
			t.Errorf("a key once the first is idle: %q", why)
		}
		same(t, "control", c.changes(), "a> idle", ">b taken")
		same(t, "keys", c.keys.Got(), "key 30 up", "key 31 down")
		c.key(b, 31, false)
		time.Sleep(c.settings.Idle)
		c.Sweep(time.Now())
		same(t, "control once nobody does anything", c.changes(), "b> idle")
		if c.Holder("test") != "" {
			t.Error("somebody has control")
		}
		time.Sleep(injectorLinger)
		c.Sweep(time.Now())
		synctest.Wait()
		if c.keys.Closed != 1 {
			t.Errorf("the injector was closed %d times; want once", c.keys.Closed)
		}
	})
}

func TestOperatorGivesAndWithdraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.Close()
		a, b, w := c.viewer("a", RoleController), c.viewer("b", RoleController), c.viewer("w", RoleViewer)
		c.key(a, 42, true)
		if err := b.Give(true); err != nil {
			t.Fatal(err)
		}
		same(t, "keys when control is given to another", c.keys.Got(), "key 42 down", "release")
		if why := c.key(a, 30, true); why != inputNoControl {
			t.Errorf("a key of who had control: %q; want %q", why, inputNoControl)
		}
		c.key(b, 31, true)
		if err := b.Give(false); err != nil {
			t.Fatal(err)
		}
		same(t, "keys when control is withdrawn", c.keys.Got(), "key 31 down", "release")
		if why := c.key(b, 31, true); why != inputNoControl {
			t.Errorf("a key after control was withdrawn: %q; want %q", why, inputNoControl)
		}
		same(t, "control", c.changes(), ">a taken", "a>b given", "b> withdrawn")
		if err := b.Give(true); err != nil {
			t.Fatal(err)
		}
		if why := c.key(b, 31, true); why != "" {
			t.Errorf("a key after control was given back: %q", why)
		}
		if err := w.Give(true); !errors.Is(err, ErrNoControl) {
			t.Errorf("control for a viewer: %v; want %v", err, ErrNoControl)
		}
		w.shows(Display{ID: "deaf"})
		a.shows(Display{ID: "deaf"})
		if err := a.Give(true); !errors.Is(err, ErrNoControl) {
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
		"the session ends": {func(_ *counter, v *fakeViewer) { v.Leave() }, controlEnded},
		"the path is " +
			"lost": {func(c *counter, v *fakeViewer) { v.lost = true; c.Sweep(time.Now()) }, controlDisconnected},
		"it sees another " +
			"display": {
			func(c *counter, v *fakeViewer) { v.shows(Display{ID: "other"}); c.Sweep(time.Now()) },
			controlMoved,
		},
		"input is turned off": {func(c *counter, _ *fakeViewer) {
			c.settings.Policy = Off
			c.Sweep(time.Now())
		}, controlOff},
		"input is for operators": {func(c *counter, _ *fakeViewer) {
			c.settings.Policy = Operators
			c.Sweep(time.Now())
		}, controlOff},
		"nothing is heard": {func(c *counter, _ *fakeViewer) { time.Sleep(heldSilence); c.Sweep(time.Now()) }, ""},
		"the channel " +
			"closes": {func(c *counter, v *fakeViewer) { c.channelClosed(v.Participant, v.input) }, controlClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rig := newCounter()
				defer rig.Close()
				v := rig.viewer("a", RoleController)
				v.input = &peer.Channel{}
				rig.key(v, 17, true)
				time.Sleep(time.Second)
				rig.Sweep(time.Now())
				same(t, "before", rig.keys.Got(), "key 17 down")
				rig.changes()
				c.happens(rig, v)
				same(t, "after", rig.keys.Got(), "release")
				if c.why == "" {
					same(t, "control", rig.changes())
					if rig.Holder("test") != "a" {
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
		defer c.Close()
		watcher, v := c.viewer("a", RoleViewer), c.viewer("b", RoleController)
		open := func(v *fakeViewer) {
			v.input = &peer.Channel{}
			c.open[v.Participant] = true
			c.prepare(v.Participant)
		}
		open(watcher)
		if c.keys.Opened != 0 {
			t.Error("input is opened for a viewer who may not control")
		}
		open(v)
		if c.keys.Opened != 1 || c.Holder("test") != "" || len(c.changes()) != 0 {
			t.Errorf("input is opened %d times, and %q has control; want once, and nobody", c.keys.Opened, c.Holder("test"))
		}
		sweep := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				c.Sweep(time.Now())
			}
			synctest.Wait()
		}
		sweep(3 * injectorLinger)
		if c.key(v, 30, true); c.keys.Opened != 1 || c.keys.Closed != 0 {
			t.Errorf("input is opened %d times and closed %d times; want that of the beginning", c.keys.Opened, c.keys.Closed)
		}
		other := &floortest.Keyboard{}
		v.shows(input("other", other))
		sweep(time.Second)
		if other.Opened != 1 {
			t.Error("input of the display to which the viewer moved is not open")
		}
		c.channelClosed(v.Participant, v.input)
		sweep(2 * injectorLinger)
		if c.keys.Closed != 1 || other.Closed != 1 {
			t.Errorf("%d and %d inputs are closed without viewers; want both", c.keys.Closed, other.Closed)
		}

		// The server of a display that runs while something holds it may end soon.
		desk := &floortest.Keyboard{}
		brief := input("desk", desk)
		brief.Brief = true
		v.shows(brief)
		open(v)
		sweep(3 * injectorLinger)
		if desk.Opened != 1 || desk.Closed != 0 {
			t.Errorf("with a viewer, input is opened %d times and closed %d times", desk.Opened, desk.Closed)
		}
		c.channelClosed(v.Participant, v.input)
		sweep(time.Second)
		if desk.Closed != 1 {
			t.Error("input of a display that may end stays open without viewers")
		}
	})
}

func TestEndReleasesForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.Close()
		v := c.viewer("a", RoleController)
		v.Leave()
		if why := c.key(v, 30, true); why != inputNoControl {
			t.Errorf("a key of a session that ends: %q; want %q", why, inputNoControl)
		}
	})
}

// What comes faster than it is taken waits; nothing is left out.
func TestInputIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.Close()
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

func TestWhoSteers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.Close()
		a, b, w := c.viewer("a", RoleController), c.viewer("b", RoleOperator), c.viewer("w", RoleViewer)
		steers := func(what string, v *fakeViewer, want error) {
			t.Helper()
			if display, err := v.Steers(time.Now()); !errors.Is(err, want) || (err == nil) != (display == "test") {
				t.Errorf("%s: %q, %v; want %v", what, display, err, want)
			}
		}
		steers("a viewer", w, ErrNoControl)
		steers("a controller of a free display", a, nil)
		c.key(a, 30, true)
		c.key(a, 30, false)
		steers("who has control", a, nil)
		steers("another one", b, ErrNoControl)
		time.Sleep(c.settings.Idle)
		steers("another one while nobody is active", b, nil)
		if err := b.Give(false); err != nil {
			t.Fatal(err)
		}
		steers("one from whom control was withdrawn", b, ErrNoControl)
		a.Leave()
		steers("one that has left", a, ErrEnded)
	})
}

// brokenKeyboard panics when it is run for the first time.
type brokenKeyboard struct {
	*floortest.Keyboard
	runs atomic.Int64
}

func (k *brokenKeyboard) Run(ctx context.Context) error {
	if k.runs.Add(1) == 1 {
		panic("planted in Run")
	}
	return k.Keyboard.Run(ctx)
}

func TestInjectorIsRunAgainAfterAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.Close()
		v, k := c.viewer("a", RoleController), &brokenKeyboard{Keyboard: c.keys.Open()}
		v.shows(Display{ID: "test", Open: func() Injector { return k }})
		if why := c.key(v, 30, true); why != "" {
			t.Fatal(why)
		}
		time.Sleep(2 * time.Second)
		if n := c.panics.Load(); n != 1 || k.runs.Load() != 2 {
			t.Errorf("%d panics are counted, and the injector has run %d times; want 1 and 2", n, k.runs.Load())
		}
	})
}

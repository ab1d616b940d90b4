package floor

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/session/rift"
)

// typist is somebody with a page that says what is held.
type typist struct {
	*counter
	v    *fakeViewer
	sent uint64
	held []uint32
}

// sits runs a test of a typist in virtual time, with a janitor.
func sits(t *testing.T, run func(t *testing.T, p *typist)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.Close()
		p := &typist{counter: c, v: c.viewer("a", RoleController)}
		janitor := time.NewTicker(sweepInterval)
		over, ended := make(chan struct{}), make(chan struct{})
		defer func() { close(over); <-ended }()
		go func() {
			defer close(ended)
			defer janitor.Stop()
			for {
				select {
				case <-janitor.C:
				case <-over:
					return
				}
				p.v.heard = time.Now()
				c.Sweep(time.Now())
			}
		}()
		p.says()
		run(t, p)
	})
}

// press presses or releases a key; the message arrives.
func (p *typist) press(code uint32, down bool) {
	p.sends(code, down)
	p.deliver(p.v.Participant, rift.Event{Kind: rift.Key, Code: code, Pressed: down}, time.Now())
}

// sends is press with a message that is lost, or late.
func (p *typist) sends(code uint32, down bool) {
	p.sent++
	p.held = slices.DeleteFunc(p.held, func(c uint32) bool { return c == code })
	if down {
		p.held = append(p.held, code)
	}
}

// says says what is held; it arrives.
func (p *typist) says() {
	p.confirm(p.v.Participant, rift.State{Count: p.sent, Keys: p.held}, time.Now())
}

// holds keeps saying it.
func (p *typist) holds(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		p.says()
		time.Sleep(100 * time.Millisecond)
	}
}

func TestKeyThatIsHeldIsHeld(t *testing.T) {
	sits(t, func(t *testing.T, p *typist) {
		p.press(30, true)
		p.holds(time.Minute)
		same(t, "a key that is held for a minute", p.keys.Got(), "key 30 down")
		p.press(30, false)
		same(t, "its release", p.keys.Got(), "key 30 up")
	})
}

// An X server repeats a key from 660 ms on. Whatever becomes of the path, a short press is one letter.
func TestCutReleasesBeforeTheDisplayRepeats(t *testing.T) {
	for _, cut := range []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, time.Second, 4 * time.Second} {
		t.Run(cut.String(), func(t *testing.T) {
			sits(t, func(t *testing.T, p *typist) {
				p.press(30, true)
				p.says()
				start := time.Now()
				for p.keys.Holding() && time.Since(start) < cut {
					time.Sleep(time.Millisecond)
				}
				if took := time.Since(start); took > confirmSilence+sweepInterval {
					t.Errorf("the key is held for %v", took)
				}
				time.Sleep(cut - time.Since(start))
				p.keys.Got()
				// The path is back: the user holds the key still, then lets it go.
				p.holds(time.Second)
				p.press(30, false)
				p.press(31, true)
				p.press(31, false)
				got := p.keys.Got()
				if slices.Contains(got, "key 30 down") || !slices.Contains(got, "key 31 down") {
					t.Errorf("afterwards: %q; want no second press, and the next key", got)
				}
			})
		})
	}
}

// A modifier that was released by silence is pressed again for what was typed while it was held.
func TestModifierComesBack(t *testing.T) {
	sits(t, func(t *testing.T, p *typist) {
		p.press(42, true)
		time.Sleep(time.Second)
		same(t, "shift during a cut", p.keys.Got(), "key 42 down", "release")
		p.says()
		p.deliver(p.v.Participant, rift.Event{Kind: rift.Move, X: .5}, time.Now())
		p.deliver(p.v.Participant, rift.Event{Kind: rift.Relative, X: 2}, time.Now())
		p.sent += 2
		same(t, "a position and a motion", p.keys.Got(), "move 0.5 0", "move by 2 0")
		p.press(30, true)
		p.press(30, false)
		p.press(42, false)
		p.press(31, true)
		same(t, "letters afterwards", p.keys.Got(), "key 42 down", "key 30 down", "key 30 up", "key 42 up", "key "+
			"31 down")
		p.press(31, false)
		p.press(29, true)
		time.Sleep(time.Second)
		p.keys.Got()
		p.press(29, false)
		p.press(46, true)
		same(t, "control that came up meanwhile", p.keys.Got(), "key 29 up", "key 46 down")
	})
}

// The message of a key's release is lost and arrives late. The messages of held keys arrive.
func TestKeyIsReleasedByWhatIsSaid(t *testing.T) {
	sits(t, func(t *testing.T, p *typist) {
		p.press(42, true)
		p.press(30, true)
		before := rift.State{Count: p.sent - 1, Keys: []uint32{42}}
		p.sends(30, false)
		p.says()
		p.confirm(p.v.Participant, before, time.Now()) // comes late
		same(t, "at once", p.keys.Got(), "key 42 down", "key 30 down")
		time.Sleep(stalledAfter)
		p.v.busy.Store(true)
		p.says()
		same(t, "while the host is behind", p.keys.Got())
		p.v.busy.Store(false)
		p.confirm(p.v.Participant, before, time.Now())
		same(t, "by what is older than the press", p.keys.Got())
		p.sends(42, false)
		p.says()
		same(t, "once the message is late", p.keys.Got(), "key 30 up")
		p.deliver(p.v.Participant, rift.Event{Kind: rift.Key, Code: 30}, time.Now())
		p.deliver(p.v.Participant, rift.Event{Kind: rift.Key, Code: 42}, time.Now())
		same(t, "the messages, late", p.keys.Got(), "key 30 up", "key 42 up")
	})
}

// Clients that do not say what is held have the rule of three seconds.
func TestClientThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.Close()
		v := c.viewer("a", RoleController)
		c.key(v, 30, true)
		time.Sleep(heldSilence - time.Millisecond)
		c.Sweep(time.Now())
		same(t, "before", c.keys.Got(), "key 30 down")
		time.Sleep(time.Millisecond)
		c.Sweep(time.Now())
		same(t, "after three seconds", c.keys.Got(), "release")
	})
}

// A display that has given up a part of a text does not get the rest, until there was a pause.
func TestTextWithAHoleEndsThere(t *testing.T) {
	sits(t, func(t *testing.T, p *typist) {
		p.press(30, true)
		p.keys.Got()
		p.keys.Set(func() { p.keys.Lost++ })
		for range 20 {
			if why := p.key(p.v, 31, true); why != inputLost {
				t.Fatalf("a key after a loss: %q; want %q", why, inputLost)
			}
			time.Sleep(lossPause / 10)
		}
		if why := p.deliver(p.v.Participant, rift.Event{Kind: rift.Relative, X: 2}, time.Now()); why != "" {
			t.Errorf("relative motion after a loss: %q", why)
		}
		same(t, "after a loss", p.keys.Got(), "release", "move by 2 0")
		if s := p.v.View(); !s.Lost || !s.Has {
			t.Errorf("the session shows %+v; want that input is lost", s)
		}
		time.Sleep(lossPause)
		if why := p.key(p.v, 32, true); why != "" {
			t.Errorf("a key after a pause: %q", why)
		}
		if s := p.v.View(); s.Lost {
			t.Error("input counts as lost still")
		}
	})
}

// A sender that sends more than the display takes waits, and no other sender does.
func TestDisplayWithoutRoomHoldsUpItsControllerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.Close()
		a, b := c.viewer("a", RoleController), c.viewer("b", RoleController)
		c.key(a, 30, true)
		c.key(a, 30, false)
		full := make(chan struct{})
		c.keys.Set(func() { c.keys.Full = full })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range 10 {
				a.receive(ctx, pressed(30))
			}
			a.receive(ctx, pressed(30))
		}()
		synctest.Wait()
		if n := testutil.ToFloat64(c.met.input.WithLabelValues("key")); n != 0 {
			t.Errorf("%v keys are given to a display without room", n)
		}
		b.receive(t.Context(), pressed(30))
		if n := testutil.ToFloat64(c.met.inputDropped.WithLabelValues(inputNoControl)); n != 1 {
			t.Error("another one waits")
		}
		c.Sweep(time.Now())
		c.keys.Set(func() { close(full); full = make(chan struct{}) })
		synctest.Wait()
		if n := testutil.ToFloat64(c.met.input.WithLabelValues("key")); n < 10 {
			t.Errorf("%v keys are given once there is room; want 10", n)
		}
		cancel()
		<-ended
	})
}

// What a key types, the locks and texts reach the display with it.
func TestTypedLettersReachTheDisplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		defer c.Close()
		v := c.viewer("a", RoleController)
		for _, e := range []rift.Event{
			{Kind: rift.Key, Code: 16, Pressed: true, Letter: 'a', Locks: rift.LocksKnown | rift.NumLock},
			{Kind: rift.Key, Code: 16},
			{Kind: rift.Text, Text: "日本"},
		} {
			if why := c.deliver(v.Participant, e, time.Now()); why != "" {
				t.Errorf("%+v: dropped because of %q", e, why)
			}
		}
		same(t, "input", c.keys.Got(), "key 16 is 'a', locks 5", "key 16 down", "key 16 up", "text 日本")
	})
}

// pressed is the message of a key below 128 that goes down.
func pressed(code byte) []byte { return []byte{0x22, 4, 0x08, code, 0x10, 1} }

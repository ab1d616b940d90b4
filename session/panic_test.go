package session

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/adapt"
	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/session/floor"
	"wavryhost/session/floor/floortest"
	"wavryhost/session/pipeline"
)

// bomb panics where it is planted, once it is armed.
type bomb struct{ armed atomic.Pointer[string] }

func (b *bomb) arm(place string) { b.armed.Store(&place) }

func (b *bomb) pass(place string) {
	if p := b.armed.Load(); p != nil && *p == place {
		panic("planted in " + place)
	}
}

// once is pass, and goes off once.
func (b *bomb) once(place string) {
	if p := b.armed.Load(); p != nil && *p == place && b.armed.CompareAndSwap(p, nil) {
		panic("planted in " + place)
	}
}

// mined is a controller with a bomb.
type mined struct {
	adapt.Controller
	*bomb
}

func (m mined) OnSent(p adapt.Packet)       { m.pass("OnSent"); m.Controller.OnSent(p) }
func (m mined) OnFeedback(f adapt.Feedback) { m.pass("OnFeedback"); m.Controller.OnFeedback(f) }
func (m mined) OnSource(s adapt.Source)     { m.pass("OnSource"); m.Controller.OnSource(s) }
func (m mined) OnLimit(l adapt.Limit)       { m.pass("OnLimit"); m.Controller.OnLimit(l) }
func (m mined) OnApplied(a adapt.Applied)   { m.pass("OnApplied"); m.Controller.OnApplied(a) }
func (m mined) Tick(now time.Time) adapt.Targets {
	m.pass("Tick")
	return m.Controller.Tick(now)
}

func (m mined) Estimate(now time.Time) adapt.Estimate {
	m.pass("Estimate")
	return m.Controller.Estimate(now)
}

func (m mined) OnKeyframeRequest(now time.Time, why adapt.KeyframeReason) {
	m.pass("OnKeyframeRequest")
	m.Controller.OnKeyframeRequest(now, why)
}

// A panic in what is one session's own ends that session, with an event, a stack in the log and a count, and nothing
// else: whatever goroutine it happens in.
func TestPanicEndsOneSession(t *testing.T) {
	for place, provoke := range map[string]func(h *house, r *remote){
		"OnSent":     func(*house, *remote) {},
		"OnFeedback": func(*house, *remote) {},
		"OnSource":   func(*house, *remote) {},
		"Tick":       func(*house, *remote) {},
		"Estimate":   func(*house, *remote) {},
		"OnKeyframeRequest": func(_ *house, r *remote) {
			if err := r.pli(); err != nil {
				r.t.Error(err)
			}
		},
		"OnLimit": func(h *house, r *remote) {
			h.registry.mu.Lock()
			v := h.registry.sessions[r.id].viewer
			h.registry.mu.Unlock()
			v.setHostLimit(1, .5)
		},
	} {
		t.Run(place, func(t *testing.T) {
			var bombs []*bomb
			var mu sync.Mutex
			h := openHouse(t, func(c *Config) {
				c.NewController = func(a adapt.Config) (adapt.Controller, error) {
					mu.Lock()
					defer mu.Unlock()
					loop, err := adapt.New(a)
					bombs = append(bombs, &bomb{})
					return mined{loop, bombs[len(bombs)-1]}, err
				}
			})
			defer h.close(t)
			h.alive(t)
			r, other := newRemote(t), newRemote(t)
			defer r.close()
			defer other.close()
			r.watch(h)
			other.watch(h)
			r.playing(t, 3)
			other.playing(t, 3)
			mu.Lock()
			bombs[0].arm(place)
			mu.Unlock()
			provoke(h, r)
			eventually(t, "the session ends", func() bool { return h.events(EventEnded) == 1 })
			for _, e := range h.told() {
				if e.Kind == EventEnded.String() && (e.Session != r.id || e.Reason != EndError.String() ||
					!strings.Contains(e.Error, "planted in "+place)) {
					t.Errorf("the end is told as %+v", e)
				}
			}
			n, _ := other.got()
			other.playing(t, n+3)
			if s := h.Sessions(); len(s) != 1 || s[0].ID != other.id {
				t.Errorf("sessions %+v; want the other one", s)
			}
			if n := panics(h.met); n < 1 {
				t.Errorf("%v panics are counted", n)
			}
			again := newRemote(t)
			defer again.close()
			again.watch(h)
			again.playing(t, 1)
		})
	}
}

func panics(m *Metrics) (n float64) {
	for _, p := range parts {
		n += testutil.ToFloat64(m.panics.WithLabelValues(p))
	}
	return n
}

// minedSource is a source with a bomb.
type minedSource struct {
	capture.Source
	*bomb
}

func (m minedSource) Next(ctx context.Context) (*capture.Frame, error) {
	m.once("Next")
	return m.Source.Next(ctx)
}

// minedFactory is an encoder with a bomb.
type minedFactory struct {
	encode.Factory
	*bomb
}

func (m minedFactory) Profile() encode.Profile {
	m.once("Profile")
	return m.Factory.Profile()
}

func (m minedFactory) Open(p encode.Params) (encode.Encoder, error) {
	m.once("Open")
	e, err := m.Factory.Open(p)
	return minedEncoder{e, m.bomb}, err
}

type minedEncoder struct {
	encode.Encoder
	*bomb
}

func (m minedEncoder) Encode(f *capture.Frame, o encode.Order) (encode.AccessUnit, error) {
	m.once("Encode")
	return m.Encoder.Encode(f, o)
}

// A panic in what captures or encodes a display stops its pictures for a moment; its viewers stay, and events say why.
func TestPanicStopsADisplayForAMoment(t *testing.T) {
	for place, want := range map[string]struct {
		part, reason string
		kind         EventKind
	}{
		"Next":    {"capture", pipeline.LostGone.String(), EventDisplayLost},
		"Encode":  {"encoder", pipeline.FallbackPanic.String(), EventEncoderFallback},
		"Profile": {"encode", pipeline.FallbackPanic.String(), EventEncoderFallback},
	} {
		t.Run(place, func(t *testing.T) {
			b := &bomb{}
			h := openHouse(t, func(c *Config) {
				c.Encoders = []encode.Factory{minedFactory{encodetest.New(encodetest.Config{}), b}}
				displays := c.Displays
				c.Displays = func(ctx context.Context) []Display {
					list := displays(ctx)
					open := list[0].Open
					list[0].Open = func(ctx context.Context, demand capture.Demand) (capture.Source, error) {
						s, err := open(ctx, demand)
						return minedSource{s, b}, err
					}
					return list
				}
			})
			defer h.close(t)
			h.alive(t)
			r := newRemote(t)
			defer r.close()
			r.watch(h)
			r.playing(t, 3)
			b.arm(place)
			if place == "Profile" { // an encode loop asks for it when an encoder fails
				b.arm("Encode")
				eventually(t, "the encoder fails", func() bool { return b.armed.CompareAndSwap(nil, new("Profile")) })
			}
			eventually(t, "the panic is "+
				"counted", func() bool { return testutil.ToFloat64(h.met.panics.WithLabelValues(want.part)) == 1 })
			eventually(t, "it is told", func() bool {
				for _, e := range h.told() {
					if e.Kind == want.kind.String() && e.Reason == want.reason && strings.Contains(e.Error,
						"planted in "+place) {
						return true
					}
				}
				return false
			})
			n, _ := r.got()
			r.playing(t, n+5)
			if h.events(EventEnded) != 0 {
				t.Error("the session ended")
			}
		})
	}
}

func TestPanicOfAnEncoderThatOpensIsARefusal(t *testing.T) {
	b := &bomb{}
	b.arm("Open")
	h := openHouse(t, func(c *Config) {
		c.Encoders = []encode.Factory{
			minedFactory{encodetest.New(encodetest.Config{}), b},
			encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "other"}}),
		}
	})
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 3)
	if s, err := h.Session(r.id); err != nil || s.Encoder != "other" {
		t.Errorf("encoder %q, %v; want the other one", s.Encoder, err)
	}
}

// minedKeyboard is an injector with a bomb.
type minedKeyboard struct {
	*floortest.Keyboard
	*bomb
}

func (m minedKeyboard) Text(text string) { m.pass("Text"); m.Keyboard.Text(text) }
func (m minedKeyboard) Key(code uint32, down bool, letter rune, locks uint8) {
	m.pass("Key")
	m.Keyboard.Key(code, down, letter, locks)
}

func TestPanicOfAnInjector(t *testing.T) {
	keys, b := &floortest.Keyboard{}, &bomb{}
	h := openSteered(t, keys, nil)
	defer h.close(t)
	next := *h.conf.get()
	next.Displays = func(context.Context) []Display {
		d := h.screen.display()
		d.Input = func() floor.Injector { return minedKeyboard{keys.Open(), b} }
		return []Display{d}
	}
	h.conf.p.Store(&next)
	r := newRemote(t)
	defer r.close()
	d := r.control(h)
	b.arm("Key")
	if err := d.Send(riftPress(30)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session ends", func() bool { return h.events(EventEnded) == 1 })
	if n := testutil.ToFloat64(h.met.panics.WithLabelValues(floor.Part)); n != 1 {
		t.Errorf("%v panics are counted; want 1", n)
	}
}

// The janitor looks after all sessions: a round that panics is not its last.
func TestJanitorOutlivesAPanic(t *testing.T) {
	var left atomic.Int64
	h := openHouse(t, func(c *Config) {
		c.Load = func() Load {
			if left.Add(-1) == 0 {
				panic("planted")
			}
			return Load{Cores: 1}
		}
	})
	defer h.close(t)
	left.Store(1)
	eventually(t, "the panic is "+
		"counted", func() bool { return testutil.ToFloat64(h.met.panics.WithLabelValues(partJanitor)) == 1 })
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 1)
	if err := h.End(t.Context(), r.id, EndOperator, ""); err != nil && !errors.Is(err, ErrUnknownSession) {
		t.Error(err)
	}
}

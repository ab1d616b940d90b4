package simulate

import (
	"slices"
	"testing"
	"time"

	"wavryhost/adapt"
)

// broken is the controller of this project with something broken on purpose: what it hears, what it says, or both.
type broken struct {
	adapt.Controller
	cfg   adapt.Config
	hears func(*adapt.Feedback) bool // reports whether it is passed on
	says  func(now time.Time, t *adapt.Targets)
	held  []adapt.Feedback
}

func (b *broken) OnFeedback(f adapt.Feedback) {
	f.Packets = slices.Clone(f.Packets)
	if b.hears == nil || b.hears(&f) {
		b.Controller.OnFeedback(f)
	}
}

func (b *broken) Tick(now time.Time) adapt.Targets {
	t := b.Controller.Tick(now)
	if b.says != nil {
		b.says(now, &t)
	}
	return t
}

func (b *broken) Estimate(now time.Time) adapt.Estimate {
	e := b.Controller.Estimate(now)
	t := adapt.Targets{EncoderBitrate: e.Target}
	if b.says != nil {
		b.says(now, &t)
	}
	e.Target = t.EncoderBitrate
	return e
}

// hold gives the encoder and the pacer a rate.
func hold(t *adapt.Targets, rate int) {
	t.EncoderBitrate, t.PacingRate, t.MaxFrameBytes, t.Skip = rate, 2*rate, 0, false
}

// deaf hears nothing and sends a rate.
func deaf(rate func(adapt.Config) int) New {
	return breaking(func(b *broken) {
		b.hears = func(*adapt.Feedback) bool { return false }
		b.says = func(_ time.Time, t *adapt.Targets) {
			hold(t, rate(b.cfg))
			t.FPS, t.Pad, t.Quality, t.Seq = b.cfg.FPS, adapt.PadRequest{}, adapt.Good, 0
		}
	})
}

func breaking(how func(*broken)) New {
	return func(cfg adapt.Config) (adapt.Controller, error) {
		l, err := Own(cfg)
		b := &broken{Controller: l, cfg: cfg.WithDefaults()}
		how(b)
		return b, err
	}
}

// brokenControllers are sorted so that the first ones miss the most gates.
func brokenControllers() []struct {
	name string
	make New
} {
	type one = struct {
		name string
		make New
	}
	return []one{
		{"keeps to the floor", deaf(func(c adapt.Config) int { return c.Min })},
		{"sends 0.6 of its highest rate whatever happens", deaf(func(c adapt.Config) int { return max(c.Max*3/5, c.Start) })},
		{"oscillates, and says each time that the state changed", breaking(func(b *broken) {
			b.says = func(now time.Time, t *adapt.Targets) {
				rate := t.EncoderBitrate / 4
				if now.Unix()%4 < 2 {
					rate = min(2*t.EncoderBitrate, b.cfg.Max)
				}
				hold(t, max(rate, b.cfg.Min))
				t.Seq = uint64(now.Unix())
			}
		})},
		{"ignores loss", breaking(func(b *broken) {
			b.hears = func(f *adapt.Feedback) bool {
				f.Loss = 0
				f.Packets = slices.DeleteFunc(f.Packets, func(p adapt.Packet) bool { return p.Lost && f.Kind != adapt.RR })
				return f.Kind != adapt.NACK
			}
		})},
		{"ignores queues", breaking(func(b *broken) {
			b.hears = func(f *adapt.Feedback) bool {
				if f.RTT > 0 {
					f.RTT = 50 * time.Millisecond
				}
				for i := range f.Packets {
					if p := &f.Packets[i]; !p.Arrived.IsZero() {
						p.Arrived = p.Sent.Add(20 * time.Millisecond)
					}
				}
				return f.Kind != adapt.Echo
			}
		})},
		{"takes all loss for the link's own, and makes up for it", breaking(func(b *broken) {
			loss := 0.0
			b.hears = func(f *adapt.Feedback) bool {
				for _, p := range f.Packets {
					if p.Lost {
						loss += .01
					}
					loss -= loss / 100
				}
				return true
			}
			b.says = func(_ time.Time, t *adapt.Targets) {
				hold(t, min(int(float64(t.EncoderBitrate)*(1+4*loss)), b.cfg.Max))
			}
		})},
		{"never rises", breaking(func(b *broken) {
			least := b.cfg.Start
			b.says = func(_ time.Time, t *adapt.Targets) {
				least = min(least, t.EncoderBitrate)
				hold(t, least)
			}
		})},
		{"leaves every second flow all, and the others the floor", unfair(2)},
		{"leaves every fourth flow all, and the others the floor", unfair(4)},
		{"hears all three seconds late", breaking(func(b *broken) {
			b.hears = func(f *adapt.Feedback) bool {
				b.held = append(b.held, *f)
				for len(b.held) > 0 && f.At.Sub(b.held[0].At) > 3*time.Second {
					late := b.held[0]
					b.held = b.held[1:]
					late.At = f.At
					b.Controller.OnFeedback(late)
				}
				return false
			}
		})},
		{"takes a third more than it found", breaking(func(b *broken) {
			b.says = func(_ time.Time, t *adapt.Targets) { hold(t, min(t.EncoderBitrate*4/3, b.cfg.Max)) }
		})},
		{"leaves its bounds, and pads all the time", breaking(func(b *broken) {
			b.says = func(now time.Time, t *adapt.Targets) {
				hold(t, b.cfg.Max+1)
				t.Pad = adapt.PadRequest{
					ProbeID: int(now.UnixMilli() / 100), Bytes: 20_000, BitsPerSecond: b.cfg.Max,
					Until: now.Add(time.Second),
				}
			}
		})},
	}
}

// unfair makes flows of which one in every few takes its highest rate.
func unfair(every int) New {
	n := 0
	return func(cfg adapt.Config) (adapt.Controller, error) {
		n++
		all := n%every == 0
		return deaf(func(c adapt.Config) int {
			if all {
				return c.Max
			}
			return c.Min
		})(cfg)
	}
}

// Each gate is missed by at least one of the broken controllers: a gate that all of them pass judges nothing.
func TestGatesCanFail(t *testing.T) {
	if !enforced {
		t.Skip("the race detector looks for races in the other tests of the cases")
	}
	for _, c := range Cases() {
		if c.Nightly {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			left := map[string]bool{}
			for _, g := range c.Gates {
				left[g.Name] = true
			}
			for _, b := range brokenControllers() {
				r, err := Run(c, 1, b.make)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range Judge(c, []*Result{r}) {
					if !v.OK {
						delete(left, v.Name)
					}
				}
				if len(left) == 0 {
					return
				}
			}
			for name := range left {
				t.Errorf("%s is reached by every broken controller", name)
			}
		})
	}
}

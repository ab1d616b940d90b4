package session

import (
	"fmt"
	"sync/atomic"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/record"
	"wavryhost/platform/guard"
	"wavryhost/session/lockorder"
	"wavryhost/session/wire"
)

// manyRequests within requestsWithin are more than a path makes that carries a picture: pages ask once a second at most
// while they have none.
const manyRequests, requestsWithin = 5, 10 * time.Second

// recipe is what the controller of a viewer is made of.
type recipe struct {
	config adapt.Config
	make   func(adapt.Config) (adapt.Controller, error)
	about  record.About
	limit  int // bytes of the recording
	// local is the bitrate to begin with on a local path, 0 for the same as on any.
	local   int
	created time.Time // of the session
}

// adaptation is the controller of one viewer and what it decided last. The controller is called by the goroutines that
// read feedback, send packets and encode.
type adaptation struct {
	guard *guard.Guard
	met   *Metrics
	// sender is given the rate and padding.
	sender *wire.Sender
	// live is set while media can flow.
	live *atomic.Bool
	// changed is told each change of quality, in order, with mu held.
	changed func(adapt.Transition)

	// mu is held during calls of the controller; nothing else is called meanwhile that could wait for it.
	mu         lockorder.Mutex[controllerLock]
	recipe     recipe
	controller adapt.Controller
	recorder   *record.Recorder // the controller again; nil if it cannot be recorded
	targets    adapt.Targets
	ticked     time.Time
	seq        uint64
	key        bool // a keyframe is wanted and has not been sent
	asked      requests
	pad        adapt.PadRequest
	rate       int // what the pacer was told
	recovery   recovery
}

// begin makes the controller. The caller holds mu, or is the only one to know a.
func (a *adaptation) begin() error {
	controller, err := a.recipe.make(a.recipe.config)
	if err != nil {
		return err
	}
	a.controller, a.recorder = controller, nil
	if loop, ok := controller.(*adapt.Loop); ok {
		a.recorder = record.New(loop, a.recipe.about, a.recipe.created, a.recipe.limit)
		a.controller = a.recorder
	}
	a.targets = a.controller.Tick(a.clock())
	a.seq, a.key, a.rate = a.targets.Seq, a.targets.ForceIDR, a.targets.PacingRate
	return nil
}

// beginAgain makes the controller anew, with another bitrate to start with. Nothing has been sent yet.
func (a *adaptation) beginAgain(start int, limit adapt.Limit) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recipe.config.Start = start
	if err := a.begin(); err != nil {
		return fmt.Errorf("begin with %d bits per second: %w", start, err)
	}
	if limit.FPS > 0 || limit.Scale > 0 {
		limit.At = a.clock()
		a.controller.OnLimit(limit)
	}
	a.sender.SetRate(a.rate)
	return nil
}

// clock returns the time for a call of the controller, whose times never go back. The caller holds mu.
func (a *adaptation) clock() time.Time {
	if now := time.Now(); now.After(a.ticked) {
		a.ticked = now
	}
	return a.ticked
}

// do calls f with mu held, and the time for calls of the controller.
func (a *adaptation) do(f func(now time.Time)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a.clock())
}

// sent takes a packet that leaves.
func (a *adaptation) sent(p adapt.Packet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.controller.OnSent(p)
}

// receive takes feedback, and reports whether the viewer lacks something that it cannot ask for.
func (a *adaptation) receive(report wire.Report) (lost bool) {
	a.do(func(now time.Time) {
		for _, f := range report.Feedback {
			f.At = now
			a.controller.OnFeedback(f)
			if a.recovery.reported(f) {
				lost = true
				a.controller.OnKeyframeRequest(now, adapt.KeyframeRecovery)
			}
		}
		if report.PLI || report.FIR {
			a.asked.note(now)
		}
		if report.PLI {
			a.met.requests.WithLabelValues(requestPLI).Inc()
			a.controller.OnKeyframeRequest(now, adapt.KeyframePLI)
		}
		if report.FIR {
			a.met.requests.WithLabelValues(requestFIR).Inc()
			a.controller.OnKeyframeRequest(now, adapt.KeyframeFIR)
		}
		if report.Smaller {
			a.controller.OnKeyframeRequest(now, adapt.KeyframeRecovery)
		}
	})
	return lost
}

// echo takes a new round trip of ICE. It shows a queue earlier than receiver reports.
func (a *adaptation) echo(rtt time.Duration) {
	a.do(func(now time.Time) { a.controller.OnFeedback(adapt.Feedback{At: now, Kind: adapt.Echo, RTT: rtt}) })
}

// limit takes a limit of the host.
func (a *adaptation) limit(l adapt.Limit) {
	a.do(func(now time.Time) {
		l.At = now
		a.controller.OnLimit(l)
	})
}

// requestKeyframe asks the controller for a keyframe. The controller decides when.
func (a *adaptation) requestKeyframe(why adapt.KeyframeReason) {
	a.do(func(now time.Time) { a.controller.OnKeyframeRequest(now, why) })
}

// applied takes what the encoder accepted.
func (a *adaptation) applied(what adapt.Applied) {
	a.do(func(now time.Time) {
		what.At = now
		a.controller.OnApplied(what)
	})
}

// delivered takes a picture that was handed to the pacer.
func (a *adaptation) delivered(s adapt.Source) {
	a.do(func(now time.Time) {
		if s.Keyframe {
			a.key = false
			a.recovery.sent(now)
		}
		if limit := a.targets.MaxFrameBytes; limit > 0 && s.FrameBytes > limit {
			a.met.oversize.Inc()
		}
		s.At = now
		a.controller.OnSource(s)
	})
}

// tick asks the controller for its targets, passes on what concerns the pacer, and reports whether a keyframe is
// wanted.
func (a *adaptation) tick() (t adapt.Targets, key bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock()
	if a.live.Load() && a.recovery.due(now) {
		a.controller.OnKeyframeRequest(now, adapt.KeyframeRecovery)
	}
	t = a.controller.Tick(now)
	a.targets = t
	a.key = a.key || t.ForceIDR
	if t.PacingRate > 0 && t.PacingRate != a.rate {
		a.rate = t.PacingRate
		a.sender.SetRate(t.PacingRate)
	}
	if t.Pad.Bytes > 0 && t.Pad != a.pad {
		a.sender.SendPadding(t.Pad)
	}
	a.pad = t.Pad
	if t.Seq != a.seq {
		a.seq = t.Seq
		a.changed(t.Transition)
	}
	return t, a.key
}

// wantsKey reports whether a keyframe is wanted and has not been sent.
func (a *adaptation) wantsKey() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.key
}

// manyRequests reports whether the viewer asks for keyframes again and again.
func (a *adaptation) manyRequests(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked.many(now)
}

// target returns what the controller decided last.
func (a *adaptation) target() adapt.Targets {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.targets
}

// estimate returns what the controller knows of the path.
func (a *adaptation) estimate() (e adapt.Estimate) {
	defer a.guard.Recover(partSession)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.controller.Estimate(a.clock())
}

// recording returns what the flight recorder has, or nil.
func (a *adaptation) recording() *record.Recording {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.recorder == nil {
		return nil
	}
	return a.recorder.Recording()
}

// requests are the newest keyframe requests of a viewer.
type requests struct {
	at   [manyRequests]time.Time
	next int
}

func (r *requests) note(now time.Time) {
	r.at[r.next] = now
	r.next = (r.next + 1) % manyRequests
}

// many reports whether as many came lately.
func (r *requests) many(now time.Time) bool {
	oldest := r.at[r.next]
	return !oldest.IsZero() && now.Sub(oldest) < requestsWithin
}

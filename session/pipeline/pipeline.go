package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"slices"
	"sync"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/session/guard"
)

// How a lost display is opened again, and how often it is captured while no viewer has room. A display that is lost
// again before it lived for reopenMax flaps: the wait goes on growing, and the display counts as back only once it has
// lived for that long.
const (
	reopenFirst = 100 * time.Millisecond
	reopenMax   = 2 * time.Second
	slowCapture = 100 * time.Millisecond
)

// errRebuild ends a source because an encoder that hangs holds one of its frames.
var errRebuild = errors.New("session: source is opened anew")

// Pipeline is a display with subscribers: one capture loop, and the encodings that encode what it sees.
//
// The capture loop follows damage: it captures at once when the display changes, and not again before a frame time has
// passed. Each rung has room for one frame, and the newest wins. While nobody watches, nothing is captured; while
// nobody's pacer has room, ten frames a second are, so that the one that waits is fresh.
//
//	opening ──first frame──▶ live ◀──frame, answer── lost
//	   │ error, openLimit      └──error, hungAfter────▲
//	   ▼
//	 closed
//
// No call of the capture driver is trusted to return; see watch.
type Pipeline struct {
	display  Display
	log      *slog.Logger
	met      *Metrics
	observer Observer
	// encodings are all encodes of the display, as many of each codec as may be in use of all: limit. A viewer is on
	// one of them.
	encodings []*Encoding
	limit     int
	arrangers map[string]*arranger // of each codec
	// limits are those of the display when it was opened.
	limits DisplayLimits
	guard  *guard.Guard
	// kick has room for one token: the capture loop should look at its encodings again.
	kick chan struct{}
	// opened is closed when the first frame was captured or openErr is set.
	opened  chan struct{}
	openErr error
	// freed is closed when nothing of the stage is left, a call of the capture driver that hung included.
	freed chan struct{}

	// cancel ends run. The Pool calls it.
	cancel context.CancelFunc
	use    usage

	mu      sync.Mutex
	source  capture.Source
	rebuild context.CancelCauseFunc
	state   State
	reason  string    // why the display is lost, for people
	calling time.Time // since when the capture driver is in a call; zero when it is not
	hung    bool      // the display is lost because it does not answer
	back    time.Time // when the display, lost and open again, counts as back; zero while it is not open again
	width   int
	height  int
}

func newPipeline(d Display, cfg Config, deps Deps, encoders *encoderPool) *Pipeline {
	s := &Pipeline{
		display: d, log: deps.Log.With("display", d.ID), met: deps.Metrics, observer: deps.Observer,
		limit: cfg.Encodings, limits: cfg.Limits(d.ID), arrangers: make(map[string]*arranger),
		kick: make(chan struct{}, 1), opened: make(chan struct{}), freed: make(chan struct{}),
		use: usage{codecs: make(map[string]int)},
	}
	s.guard = deps.guard(s.log)
	for _, codec := range encode.Codecs() {
		s.arrangers[codec] = &arranger{}
		for i := range MaxEncodings {
			log := s.log.With("codec", codec, "rung", i+1)
			s.encodings = append(s.encodings, newEncoding(i+1, codec, log, s.met, encoders, s.limits, encodingHooks{
				wake: s.wake, refresh: s.refresh, rebuild: s.renew, fallback: s.fallback,
			}, deps.guard(log)))
		}
	}
	return s
}

// run captures and encodes until ctx ends or the display cannot be opened at first. It has waited for all it started,
// but for a call of the capture driver that hangs: that is left behind, and counted until it returns.
func (p *Pipeline) run(ctx context.Context) {
	var encodings sync.WaitGroup
	ctx, end := context.WithCancel(ctx)
	defer end()
	// The encodings end after the capture loop, so that the last frame it puts is released too.
	encoding, cancel := context.WithCancel(context.WithoutCancel(ctx))
	for _, r := range p.encodings {
		encodings.Go(func() { r.run(encoding) }) // unguarded: each of its steps is guarded
	}
	captured := make(chan struct{})
	go func() { // unguarded: shoot, which calls the driver, is guarded
		defer close(captured)
		p.capture(ctx)
	}()
	returned := p.watch(ctx, end, captured)
	cancel()
	encodings.Wait()
	p.become(Idle)
	if returned {
		close(p.freed)
		return
	}
	p.met.hungCaptures.Inc()
	p.log.Error("capture driver hangs and is left behind")
	go func() { // unguarded: it waits and counts
		<-captured
		p.met.hungCaptures.Dec()
		close(p.freed)
	}()
}

// capture opens the display again and again until ctx ends.
func (p *Pipeline) capture(ctx context.Context) {
	wait, first := reopenFirst, true
	var dwell time.Duration
	for {
		began := time.Now()
		frames, err := p.shoot(ctx, first, dwell)
		switch {
		case frames == 0:
		case first || time.Since(began) >= reopenMax:
			first, wait, dwell = false, reopenFirst, 0
		default:
			dwell = reopenMax
		}
		switch {
		case ctx.Err() != nil:
			if first {
				p.fail(context.Cause(ctx))
			}
			return
		case first:
			p.fail(err)
			return
		case errors.Is(err, errRebuild):
			continue
		}
		p.lose(LostGone, err)
		// An attempt that hung has waited already.
		timer := time.NewTimer(wait - time.Since(began))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		wait = min(2*wait, reopenMax)
	}
}

// fail tells who waits for the first frame that there is none.
func (p *Pipeline) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.opened: // the call that hung has returned after all
		return
	default:
	}
	p.openErr = fmt.Errorf("%w: %s: %w", ErrNoPicture, p.display.ID, err)
	close(p.opened)
}

// shoot opens the display and captures it until that fails. It returns how many frames there were. A display that was
// lost is back with the first frame, or once it has lived for dwell.
func (p *Pipeline) shoot(ctx context.Context, first bool, dwell time.Duration) (frames int, err error) {
	defer p.guard.Catch(partCapture, &err) // after a panic the display is lost, and opened again as after any error
	began := time.Now()
	p.call(true)
	defer p.call(false)
	source, err := p.display.Open(ctx)
	if err != nil {
		return 0, fmt.Errorf("open display: %w", err)
	}
	defer func() {
		p.call(true)
		if err := source.Close(); err != nil {
			p.log.Warn("display not closed cleanly", "err", err)
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.mu.Lock()
	p.source, p.rebuild = source, cancel
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.source, p.rebuild = nil, nil
		p.mu.Unlock()
	}()
	var size image.Point
	var anchor time.Time // when the frame before was due
	for {
		if frames > 0 {
			if err := p.pause(ctx, anchor); err != nil {
				return frames, err
			}
		}
		p.call(true)
		f, err := source.Next(ctx)
		p.call(false)
		if err != nil {
			return frames, errors.Join(err, context.Cause(ctx))
		}
		if ctx.Err() != nil { // this call may have been left behind, and the encodings with it
			f.Release()
			return frames, context.Cause(ctx)
		}
		frames++
		p.met.count(frameCaptured)
		p.met.capture.Observe(f.Took.Seconds())
		anchor = rhythm(anchor, f.Time, p.pace())
		now := image.Pt(f.Width, f.Height)
		switch {
		case frames == 1:
			f.Damage = []image.Rectangle{f.Bounds()}
			p.hand(f, !first)
			p.arrive(now)
			if !first {
				p.settle(began.Add(dwell))
			}
		case len(f.Damage) == 0 && now == size:
			f.Release()
			p.met.Drop(DropUnchanged)
		default:
			p.hand(f, false)
			if now != size {
				p.arrive(now)
			}
		}
		size = now
	}
}

// rhythm returns what the next frame time is counted from. A run of frames keeps its rhythm, late timers or not; the
// first frame after a pause sets a new one.
func rhythm(before, captured time.Time, interval time.Duration) time.Time {
	due := before.Add(interval)
	if late := captured.Sub(due); late >= 0 && late < interval/4 {
		return due
	}
	return captured
}

// pause waits until a frame time has passed since anchor, and until somebody watches.
func (p *Pipeline) pause(ctx context.Context, anchor time.Time) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var due <-chan time.Time
		if p.watched() {
			wait := time.Until(anchor.Add(p.pace()))
			if wait <= 0 {
				return nil
			}
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.kick:
		case <-due:
		}
	}
}

// watched tells whether any rung has a connected viewer.
func (p *Pipeline) watched() bool {
	return slices.ContainsFunc(p.encodings, func(r *Encoding) bool { return r.active.Load() })
}

// pace returns the time from one frame to the next: that of the fastest rung.
func (p *Pipeline) pace() time.Duration {
	fps, slow := int64(1), true
	for _, r := range p.encodings {
		if r.active.Load() {
			fps = max(fps, r.fps.Load())
			slow = slow && r.slow.Load()
		}
	}
	interval := time.Second / time.Duration(fps)
	if slow && p.watched() {
		interval = max(interval, slowCapture)
	}
	return interval
}

// hand gives f to all encodings, and gives up the caller's hold of it. With cut set, it becomes a keyframe.
func (p *Pipeline) hand(f *capture.Frame, cut bool) {
	defer f.Release()
	for _, r := range p.encodings {
		if cut {
			r.cut.Store(true)
		}
		if f.Seq > 1 && !r.occupied.Load() {
			continue // it asks for a whole picture when somebody comes
		}
		if !r.box.put(f.Retain()) {
			continue
		}
		if r.held.Load() {
			p.met.Drop(DropCongested)
		} else {
			p.met.Drop(DropBusy)
		}
	}
}

// arrive notes the display's size, and with its first frame that it is there.
func (p *Pipeline) arrive(size image.Point) {
	p.mu.Lock()
	if p.state == Idle {
		p.enter(Live)
	}
	same := p.width == size.X && p.height == size.Y
	p.width, p.height = size.X, size.Y
	select {
	case <-p.opened:
	default:
		close(p.opened)
	}
	p.mu.Unlock()
	if !same {
		p.log.Info("display size", "width", size.X, "height", size.Y)
	}
}

// settle notes that a lost display shows pictures again, and is back from at on.
func (p *Pipeline) settle(at time.Time) {
	p.mu.Lock()
	p.back = at
	p.mu.Unlock()
	if !time.Now().Before(at) {
		p.recover()
	}
}

// recover notes that a display that was lost is back.
func (p *Pipeline) recover() {
	p.mu.Lock()
	back := p.state == Lost && p.enter(Live)
	p.mu.Unlock()
	if back {
		event := p.observer.DisplayBack(p.display.ID)
		p.log.Info("display back", "event", event)
	}
}

// lose notes that the display went away or hangs. Its viewers stay, with the last picture.
func (p *Pipeline) lose(why LostReason, err error) {
	p.mu.Lock()
	fresh := p.enter(Lost)
	p.hung, p.reason, p.back = why == LostHung, err.Error(), time.Time{}
	p.mu.Unlock()
	if !fresh {
		return
	}
	p.met.displaysLost.WithLabelValues(why.String()).Inc()
	event := p.observer.DisplayLost(p.display.ID, why, err)
	p.log.Warn("display lost; its viewers see the last picture", "event", event, "reason", why.String(), "err", err)
}

// become sets the state.
func (p *Pipeline) become(state State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enter(state)
}

// enter sets the state and reports whether it was another. The caller holds mu.
func (p *Pipeline) enter(state State) bool {
	if p.state == state {
		return false
	}
	if p.state != Idle {
		p.met.displays.WithLabelValues(p.state.String()).Dec()
	}
	if state != Idle {
		p.met.displays.WithLabelValues(state.String()).Inc()
	}
	p.state = state
	p.hung, p.reason, p.back = false, "", time.Time{}
	return true
}

// wake makes the capture loop look at its encodings again.
func (p *Pipeline) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// refresh asks for the whole picture. While the display is lost, it comes by itself once that is back.
func (p *Pipeline) refresh() {
	p.mu.Lock()
	source := p.source
	p.mu.Unlock()
	if source != nil {
		source.Refresh()
	}
}

// renew asks for another source of the same display.
func (p *Pipeline) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rebuild != nil {
		p.rebuild(errRebuild)
	}
}

func (p *Pipeline) fallback(f Fallback) {
	to := cmp.Or(f.To, "none")
	p.met.fallbacks.WithLabelValues(f.Codec, cmp.Or(f.From, "none"), to, f.Reason.String()).Inc()
	event := p.observer.EncoderReplaced(p.display.ID, f)
	p.log.Warn("encoder replaced", "event", event, "codec", f.Codec, "from", f.From, "to", to, "reason",
		f.Reason.String(),
		"err", f.Err)
}

// Status is the status of a display.
type Status struct {
	State State
	// Reason is why it is lost, for people.
	Reason string
	// Width and Height are its size in pixels, 0 before the first picture.
	Width, Height int
	// Encodings is the number of encodings with connected subscribers.
	Encodings int
}

// Status returns the display's status.
func (p *Pipeline) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Status{State: p.state, Reason: p.reason, Width: p.width, Height: p.height, Encodings: p.active()}
}

// Size returns the size of the largest encoding.
func (p *Pipeline) Size() image.Point {
	v := p.Status()
	return p.limits.Size(image.Pt(v.Width, v.Height))
}

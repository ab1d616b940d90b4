package session

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

// How a lost display is opened again, and how often it is captured while no viewer has room. A display that is lost again before
// it lived for reopenMax flaps: the wait goes on growing, and the display counts as back only once it has lived for that long.
const (
	reopenFirst = 100 * time.Millisecond
	reopenMax   = 2 * time.Second
	slowCapture = 100 * time.Millisecond
)

// errRebuild ends a source because an encoder that hangs holds one of its frames.
var errRebuild = errors.New("session: source is opened anew")

// stage is a display with viewers: one capture loop, and the rungs that encode what it sees.
//
// The capture loop follows damage: it captures at once when the display changes, and not again before a frame time has passed.
// Each rung has room for one frame, and the newest wins. While nobody watches, nothing is captured; while nobody's pacer has
// room, ten frames a second are, so that the one that waits is fresh.
//
//	opening ──first frame──▶ live ◀──frame, answer── lost
//	   │ error, openLimit      └──error, hungAfter────▲
//	   ▼
//	 closed
//
// No call of the capture driver is trusted to return; see watch.
type stage struct {
	display Display
	log     *slog.Logger
	met     *Metrics
	emit    func(Event) uint64
	// rungs are all encodes of the display, as many of each codec as may be in use of all: limit. A viewer is on one of them.
	rungs     []*rung
	limit     int
	arrangers map[string]*arranger // of each codec
	// rule is what holds for the display, as it was when the stage was opened.
	rule  Rule
	guard *guard.Guard
	// kick has room for one token: the capture loop should look at its rungs again.
	kick chan struct{}
	// opened is closed when the first frame was captured or openErr is set.
	opened  chan struct{}
	openErr error
	// freed is closed when nothing of the stage is left, a call of the capture driver that hung included.
	freed chan struct{}

	mu      sync.Mutex
	source  capture.Source
	rebuild context.CancelCauseFunc
	state   string
	reason  string    // why the display is lost, for people
	calling time.Time // since when the capture driver is in a call; zero when it is not
	hung    bool      // the display is lost because it does not answer
	back    time.Time // when the display, lost and open again, counts as back; zero while it is not open again
	width   int
	height  int
}

func newStage(d Display, cfg Config, log *slog.Logger, met *Metrics, order *roster, emit func(Event) uint64) *stage {
	s := &stage{
		display: d, log: log.With("display", d.ID), met: met, emit: emit,
		limit: cfg.MaxRungs, rule: cfg.rule(d.ID), arrangers: make(map[string]*arranger), kick: make(chan struct{}, 1), opened: make(chan struct{}),
		freed: make(chan struct{}), state: stageIdle,
	}
	s.guard = met.guard(s.log, nil)
	for _, codec := range encode.Codecs() {
		s.arrangers[codec] = &arranger{}
		for i := range maxRungs {
			s.rungs = append(s.rungs, newRung(i+1, codec, s.log, met, order, cfg.fps(d.ID), s.rule, rungHooks{
				wake: s.wake, refresh: s.refresh, rebuild: s.renew, fallback: s.fallback,
			}))
		}
	}
	return s
}

// run captures and encodes until ctx ends or the display cannot be opened at first. It has waited for all it started, but for a call of
// the capture driver that hangs: that is left behind, and counted until it returns.
func (s *stage) run(ctx context.Context) {
	var rungs sync.WaitGroup
	ctx, end := context.WithCancel(ctx)
	defer end()
	// The rungs end after the capture loop, so that the last frame it puts is released too.
	encoding, cancel := context.WithCancel(context.WithoutCancel(ctx))
	for _, r := range s.rungs {
		rungs.Go(func() { r.run(encoding) }) // unguarded: each of its steps is guarded
	}
	captured := make(chan struct{})
	go func() { // unguarded: shoot, which calls the driver, is guarded
		defer close(captured)
		s.capture(ctx)
	}()
	returned := s.watch(ctx, end, captured)
	cancel()
	rungs.Wait()
	s.become(stageIdle)
	if returned {
		close(s.freed)
		return
	}
	s.met.hungCaptures.Inc()
	s.log.Error("capture driver hangs and is left behind")
	go func() { // unguarded: it waits and counts
		<-captured
		s.met.hungCaptures.Dec()
		close(s.freed)
	}()
}

// capture opens the display again and again until ctx ends.
func (s *stage) capture(ctx context.Context) {
	wait, first := reopenFirst, true
	var dwell time.Duration
	for {
		began := time.Now()
		frames, err := s.shoot(ctx, first, dwell)
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
				s.fail(context.Cause(ctx))
			}
			return
		case first:
			s.fail(err)
			return
		case errors.Is(err, errRebuild):
			continue
		}
		s.lose(lostGone, err)
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
func (s *stage) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.opened: // the call that hung has returned after all
		return
	default:
	}
	s.openErr = fmt.Errorf("%w: %s: %w", ErrNoPicture, s.display.ID, err)
	close(s.opened)
}

// shoot opens the display and captures it until that fails. It returns how many frames there were. A display that was lost is back with
// the first frame, or once it has lived for dwell.
func (s *stage) shoot(ctx context.Context, first bool, dwell time.Duration) (frames int, err error) {
	defer s.guard.Catch(partCapture, &err) // after a panic the display is lost, and opened again as after any error
	began := time.Now()
	s.call(true)
	defer s.call(false)
	source, err := s.display.Open(ctx)
	if err != nil {
		return 0, fmt.Errorf("open display: %w", err)
	}
	defer func() {
		s.call(true)
		if err := source.Close(); err != nil {
			s.log.Warn("display not closed cleanly", "err", err)
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	s.source, s.rebuild = source, cancel
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.source, s.rebuild = nil, nil
		s.mu.Unlock()
	}()
	var size image.Point
	var anchor time.Time // when the frame before was due
	for {
		if frames > 0 {
			if err := s.pause(ctx, anchor); err != nil {
				return frames, err
			}
		}
		s.call(true)
		f, err := source.Next(ctx)
		s.call(false)
		if err != nil {
			return frames, errors.Join(err, context.Cause(ctx))
		}
		if ctx.Err() != nil { // this call may have been left behind, and the rungs with it
			f.Release()
			return frames, context.Cause(ctx)
		}
		frames++
		s.met.frames.WithLabelValues(frameCaptured).Inc()
		s.met.capture.Observe(f.Took.Seconds())
		anchor = rhythm(anchor, f.Time, s.pace())
		now := image.Pt(f.Width, f.Height)
		switch {
		case frames == 1:
			f.Damage = []image.Rectangle{f.Bounds()}
			s.hand(f, !first)
			s.arrive(now)
			if !first {
				s.settle(began.Add(dwell))
			}
		case len(f.Damage) == 0 && now == size:
			f.Release()
			s.met.drop(dropUnchanged)
		default:
			s.hand(f, false)
			if now != size {
				s.arrive(now)
			}
		}
		size = now
	}
}

// rhythm returns what the next frame time is counted from. A run of frames keeps its rhythm, late timers or not; the first
// frame after a pause sets a new one.
func rhythm(before, captured time.Time, interval time.Duration) time.Time {
	due := before.Add(interval)
	if late := captured.Sub(due); late >= 0 && late < interval/4 {
		return due
	}
	return captured
}

// pause waits until a frame time has passed since anchor, and until somebody watches.
func (s *stage) pause(ctx context.Context, anchor time.Time) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var due <-chan time.Time
		if s.watched() {
			wait := time.Until(anchor.Add(s.pace()))
			if wait <= 0 {
				return nil
			}
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.kick:
		case <-due:
		}
	}
}

// watched tells whether any rung has a connected viewer.
func (s *stage) watched() bool {
	return slices.ContainsFunc(s.rungs, func(r *rung) bool { return r.active.Load() })
}

// pace returns the time from one frame to the next: that of the fastest rung.
func (s *stage) pace() time.Duration {
	fps, slow := int64(1), true
	for _, r := range s.rungs {
		if r.active.Load() {
			fps = max(fps, r.fps.Load())
			slow = slow && r.slow.Load()
		}
	}
	interval := time.Second / time.Duration(fps)
	if slow && s.watched() {
		interval = max(interval, slowCapture)
	}
	return interval
}

// hand gives f to all rungs, and gives up the caller's hold of it. With cut set, it becomes a keyframe.
func (s *stage) hand(f *capture.Frame, cut bool) {
	defer f.Release()
	for _, r := range s.rungs {
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
			s.met.drop(dropCongested)
		} else {
			s.met.drop(dropBusy)
		}
	}
}

// arrive notes the display's size, and with its first frame that it is there.
func (s *stage) arrive(size image.Point) {
	s.mu.Lock()
	if s.state == stageIdle {
		s.enter(stageLive)
	}
	same := s.width == size.X && s.height == size.Y
	s.width, s.height = size.X, size.Y
	select {
	case <-s.opened:
	default:
		close(s.opened)
	}
	s.mu.Unlock()
	if !same {
		s.log.Info("display size", "width", size.X, "height", size.Y)
	}
}

// settle notes that a lost display shows pictures again, and is back from at on.
func (s *stage) settle(at time.Time) {
	s.mu.Lock()
	s.back = at
	s.mu.Unlock()
	if !time.Now().Before(at) {
		s.recover()
	}
}

// recover notes that a display that was lost is back.
func (s *stage) recover() {
	s.mu.Lock()
	back := s.state == stageLost && s.enter(stageLive)
	s.mu.Unlock()
	if back {
		event := s.emit(Event{Kind: EventDisplayBack, Display: s.display.ID})
		s.log.Info("display back", "event", event)
	}
}

// lose notes that the display went away or hangs. Its viewers stay, with the last picture.
func (s *stage) lose(why string, err error) {
	s.mu.Lock()
	fresh := s.enter(stageLost)
	s.hung, s.reason, s.back = why == lostHung, err.Error(), time.Time{}
	s.mu.Unlock()
	if !fresh {
		return
	}
	s.met.displaysLost.WithLabelValues(why).Inc()
	event := s.emit(Event{Kind: EventDisplayLost, Display: s.display.ID, Reason: why, Err: err})
	s.log.Warn("display lost; its viewers see the last picture", "event", event, "reason", why, "err", err)
}

// become sets the state.
func (s *stage) become(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enter(state)
}

// enter sets the state and reports whether it was another. The caller holds mu.
func (s *stage) enter(state string) bool {
	if s.state == state {
		return false
	}
	if s.state != stageIdle {
		s.met.stages.WithLabelValues(s.state).Dec()
	}
	if state != stageIdle {
		s.met.stages.WithLabelValues(state).Inc()
	}
	s.state = state
	s.hung, s.reason, s.back = false, "", time.Time{}
	return true
}

// wake makes the capture loop look at its rungs again.
func (s *stage) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// refresh asks for the whole picture. While the display is lost, it comes by itself once that is back.
func (s *stage) refresh() {
	s.mu.Lock()
	source := s.source
	s.mu.Unlock()
	if source != nil {
		source.Refresh()
	}
}

// renew asks for another source of the same display.
func (s *stage) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rebuild != nil {
		s.rebuild(errRebuild)
	}
}

func (s *stage) fallback(codec, from, to, reason string, err error) {
	label := cmp.Or(to, "none")
	s.met.fallbacks.WithLabelValues(codec, cmp.Or(from, "none"), label, reason).Inc()
	event := s.emit(Event{Kind: EventEncoderFallback, Display: s.display.ID, Reason: reason, From: from, To: to, Err: err})
	s.log.Warn("encoder replaced", "event", event, "codec", codec, "from", from, "to", label, "reason", reason, "err", err)
}

// stageView is what others may know of a stage.
type stageView struct {
	state         string
	reason        string // why it is lost
	width, height int
}

// picture returns the size that the largest encode has.
func (s *stage) picture() image.Point {
	v := s.see()
	return s.rule.size(image.Pt(v.width, v.height))
}

func (s *stage) see() stageView {
	s.mu.Lock()
	defer s.mu.Unlock()
	return stageView{state: s.state, reason: s.reason, width: s.width, height: s.height}
}

package session

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/guard"
)

// How pictures are timed.
const (
	// pollInterval is how often a rung that holds a picture back looks whether a pacer has room. A packet of 1200 bytes
	// takes 5 ms at 2 Mbit/s.
	pollInterval = 5 * time.Millisecond
	// patience is how long the viewers of a rung wait for one of them whose pacer is full, before it misses a picture. A
	// hiccup that is shorter costs nobody a keyframe.
	patience = 100 * time.Millisecond
	// stillPatience is the same for a picture that is encoded again. To miss it costs the others a keyframe later, which is coarser than
	// what they see.
	stillPatience = 500 * time.Millisecond
	// congestedAfter is how long a rung has to hold pictures back for its display to be captured less often, and for the
	// look at the pacers to be taken less often too.
	congestedAfter = 100 * time.Millisecond
	congestedPoll  = 20 * time.Millisecond
	// keyGap is the least time between keyframes: what is asked for in between is served by the next one.
	keyGap = 250 * time.Millisecond
	// aliveInterval is how often a still picture is encoded again once it is sharp. The receiver notices a loss only by
	// a later packet, so without it the loss of the last packets before a pause would stand until the pause ends; it also
	// keeps reports coming, which tell that the viewer is still there.
	aliveInterval = time.Second
	// emptyLinger is how long the encoder of a rung without viewers stays open, so that a reload of the page is quick.
	emptyLinger = 5 * time.Second
)

// rung is one encode of a display, shared by its members, who all take its codec.
//
// # Slow viewers
//
// A frame is left out before it is encoded, never after, so that what was sent stays decodable. With one viewer that is all:
// while its pacer is full or its controller says skip, the newest frame waits. With several, a viewer without room holds the
// others up for 100 ms at most. Then the picture goes out without it; it is frozen from there on, is neither waited for nor
// counted in the rung's rate, and is let back in with a keyframe as soon as it has room, but not before 1 s, 2 s, 4 s … 16 s
// when it keeps falling behind. So a viewer that cannot follow degrades itself, and costs the others a keyframe now and then.
// A viewer that can follow, though at a low rate, takes the rung down to that rate, until the stage gives it another rung; see
// arranger.
type rung struct {
	index  int // from 1, among those of its codec
	codec  string
	log    *slog.Logger
	met    *Metrics
	roster *roster
	box    *mailbox
	// kick has room for one token: something changed that the encode loop should look at.
	kick  chan struct{}
	hooks rungHooks
	// fpsLimit is the highest frame rate.
	fpsLimit int
	// rule bounds the size.
	rule  Rule
	guard *guard.Guard

	mu      sync.Mutex
	members []*member
	view    rungView

	// These are read by the capture loop: the pace, whether anybody watches, whether a picture is held back, and whether
	// that lasts.
	fps                atomic.Int64
	active, held, slow atomic.Bool
	// occupied: it has members, connected or not.
	occupied atomic.Bool
	// cut is set by the capture loop before a frame that has to become a keyframe.
	cut atomic.Bool

	// The rest belongs to the encode loop.
	worker        *worker
	factory       encode.Factory
	width, height int
	level         int       // that the encoder was opened with
	betterAt      time.Time // when to look for a better encoder
	src           struct{ width, height int }
	content       content
	rate          int // what the encoder was told
	rateFPS       int
	rateAt        time.Time
	told          adapt.Applied // what its viewers were told last
	picture       bool          // the encoder has a picture to encode again
	force         keyReason
	refreshed     bool // a whole picture was asked for and has not come yet
	last          time.Time
	lastFrame     time.Time // the last picture that was no repetition
	lastKey       time.Time
	refinement    refinement
	blockedSince  time.Time
	slowSince     time.Time
	retryAt       time.Time
	retry         time.Duration
	restUntil     time.Time // after a panic
	openedAt      time.Time
	complainedAt  time.Time
	emptyAt       time.Time // nobody is on it since then
	second        rateWindow
}

// target is what a rung does for its members.
type target struct {
	rate, fps int
	scale     float64
	limits    encode.DecoderLimits
}

// rungHooks are what a rung needs of its stage. They are called by the encode loop and do not block.
type rungHooks struct {
	// wake makes the capture loop look at fps, active and slow again.
	wake func()
	// refresh asks for the whole picture.
	refresh func()
	// rebuild asks for another source, because an encoder that hangs holds one of its frames.
	rebuild func()
	// fallback tells that an encoder of a codec is replaced; to is empty when no other is left.
	fallback func(codec, from, to, reason string, err error)
}

// rungView is what others may know of a rung.
type rungView struct {
	encoder       string
	price         encode.Price
	width, height int
	rate          int
	stuck         bool // no encoder works
	hardware      bool
	// took is what a picture takes to convert and encode, and fps the frame rate.
	took time.Duration
	fps  int
	// threads is how many cores a picture takes meanwhile, at most.
	threads int
}

// cores is what the encode takes of the machine's processors or, in hardware, of its encoder.
func (v rungView) cores() float64 { return v.took.Seconds() * float64(v.fps*max(v.threads, 1)) }

// rateWindow compares what was encoded in a second with what was asked for: a share of the rate for each picture.
type rateWindow struct {
	since       time.Time
	fps         int // of its beginning
	bits, asked int
	frames      int // that were no repetitions
}

func newRung(
	index int, codec string, log *slog.Logger, met *Metrics, roster *roster, fpsLimit int, rule Rule, hooks rungHooks,
) *rung {
	r := &rung{
		index: index, codec: codec, log: log.With("codec", codec, "rung", index), met: met, roster: roster, box: newMailbox(), kick: make(chan struct{}, 1), hooks: hooks,
		fpsLimit: fpsLimit, rule: rule, retry: encoderRetry,
	}
	r.fps.Store(int64(fpsLimit))
	r.guard = met.guard(r.log, nil)
	return r
}

// join adds a viewer. It gets pictures from the next keyframe on.
func (r *rung) join(w watcher) {
	r.mu.Lock()
	r.members = append(r.members, &member{watcher: w})
	r.occupied.Store(true)
	r.mu.Unlock()
	r.nudge()
}

// leave takes a viewer out. The encode loop may still offer it the picture under way.
func (r *rung) leave(w watcher) {
	r.mu.Lock()
	r.members = slices.DeleteFunc(r.members, func(m *member) bool { return m.watcher == w })
	r.occupied.Store(len(r.members) > 0)
	r.mu.Unlock()
	r.nudge()
}

// nudge makes the encode loop look at its members again.
func (r *rung) nudge() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// watchedRate returns the bitrate that the rung runs at while it has a connected viewer, else 0.
func (r *rung) watchedRate() int {
	if !r.active.Load() {
		return 0
	}
	return r.see().rate
}

// name is its index for people and machines to read.
func (r *rung) name() string { return strconv.Itoa(r.index) }

func (r *rung) see() rungView {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view
}

// run is the encode loop.
func (r *rung) run(ctx context.Context) {
	defer func() {
		if r.active.Swap(false) {
			r.met.rungs.Dec()
		}
		r.close(closeTimeout)
		if f := r.box.take(); f != nil {
			f.Release()
		}
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		next := r.turn(ctx, time.Now())
		if next.IsZero() {
			next = time.Now().Add(time.Hour)
		}
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
		case <-r.box.full:
		case <-r.kick:
		case <-timer.C:
		}
	}
}

// turn is step, and goes on after a panic as after an error of the encoder.
func (r *rung) turn(ctx context.Context, now time.Time) (next time.Time) {
	if now.Before(r.restUntil) {
		return r.restUntil
	}
	if err := r.guard.Run(partEncode, func() { next = r.step(ctx, now) }); err != nil {
		r.crashed(now, err)
		return r.restUntil
	}
	return next
}

// step encodes one picture if one is due. It returns when to look again, zero for not before something happens.
func (r *rung) step(ctx context.Context, now time.Time) time.Time {
	members := r.poll(now)
	if !slices.ContainsFunc(members, func(m *member) bool { return m.now.live }) {
		return r.park(ctx, members, now)
	}
	r.emptyAt = time.Time{}
	if !r.active.Load() {
		// What changed while nobody watched is not known any more.
		r.active.Store(true)
		r.met.rungs.Inc()
		r.refreshed = true
		r.picture = false
		r.hooks.refresh()
		r.hooks.wake()
	}
	if now.Before(r.retryAt) {
		return r.retryAt
	}
	to := r.targets(members)
	r.pace(to.fps)
	interval := time.Second / time.Duration(to.fps)
	// The capture loop keeps the pace; the slack lets a timer be late without a frame being lost.
	waiting := r.box.waiting()
	since := r.last
	if waiting {
		since = r.lastFrame // a repetition delays no change
	}
	if next := since.Add(interval * 9 / 10); now.Before(next) && !since.IsZero() {
		return next
	}

	if waiting && r.cut.Swap(false) {
		r.force = max(r.force, keyStart)
	}
	yes, still, at := r.due(members, now, interval)
	if !yes {
		r.unblock()
		return at
	}
	key, next := r.admit(members, now, still != "")
	if !next.IsZero() {
		return next
	}

	f := r.box.take()
	if f == nil && !r.picture {
		if !r.refreshed {
			r.refreshed = true
			r.hooks.refresh()
		}
		return time.Time{}
	}
	if f != nil {
		still = ""
		r.refreshed = false
	}
	r.picture = r.shoot(ctx, members, f, now, key, still, to)
	return time.Now()
}

// poll asks all members what they want.
func (r *rung) poll(now time.Time) []*member {
	r.mu.Lock()
	members := slices.Clone(r.members)
	r.mu.Unlock()
	for _, m := range members {
		m.now = m.ask(now)
		m.press(now)
		m.tell()
	}
	return members
}

// park is for when nobody watches. The encoder is opened while the first viewer connects, who then need not wait for it, and closed
// some time after the last one left. It returns when that is due.
func (r *rung) park(ctx context.Context, members []*member, now time.Time) (next time.Time) {
	for _, m := range members {
		m.synced = false
	}
	if r.active.Swap(false) {
		r.met.rungs.Dec()
		r.hooks.wake()
	}
	if f := r.box.take(); f != nil {
		r.src.width, r.src.height = f.Width, f.Height
		f.Release()
		r.met.drop(dropUnwatched)
	}
	if r.worker == nil && len(members) > 0 && r.src.width > 0 && !time.Now().Before(r.retryAt) {
		if err := r.open(ctx, time.Now(), r.targets(members)); err != nil {
			r.stuck(time.Now(), err)
		}
	}
	if len(members) > 0 || r.worker == nil {
		r.emptyAt = time.Time{}
		return time.Time{}
	}
	if r.emptyAt.IsZero() {
		r.emptyAt = now
	}
	if closing := r.emptyAt.Add(emptyLinger); now.Before(closing) {
		return closing
	}
	r.close(closeTimeout)
	r.picture = false
	r.mu.Lock()
	r.view.encoder = ""
	r.mu.Unlock()
	r.log.Info("encoder closed; nobody is on its rung")
	return time.Time{}
}

// targets returns what the rung should do for its members: the least that any of them asks for whose wishes count. Those of a
// viewer that is stalled or fell behind do not, as long as there are others.
func (r *rung) targets(members []*member) target {
	counted := false
	for _, m := range members {
		m.countsFor = m.now.live && !m.now.stalled && !m.now.leaving && (m.synced || !m.fellOff || m.now.key)
		counted = counted || m.countsFor
	}
	to := target{rate: math.MaxInt, fps: r.fpsLimit, scale: 1}
	for _, m := range members {
		if counted && !m.countsFor {
			continue
		}
		to.rate = min(to.rate, m.now.bitrate)
		if m.now.fps > 0 {
			to.fps = min(to.fps, m.now.fps)
		}
		if m.now.scale > 0 {
			to.scale = min(to.scale, m.now.scale)
		}
	}
	// What a decoder takes holds for whoever gets the pictures, whether its wishes count or not.
	for _, m := range members {
		if m.now.live || len(members) == 1 {
			to.limits = to.limits.And(m.now.limits)
		}
	}
	to.rate, to.fps = max(to.rate, 1000), max(to.fps, 1)
	if r.src.width > 0 {
		to.fps = r.rateWithin(to)
	}
	return to
}

// pace tells the capture loop the frame rate.
func (r *rung) pace(fps int) {
	if r.fps.Swap(int64(fps)) != int64(fps) {
		r.mu.Lock()
		r.view.fps = fps
		r.mu.Unlock()
		r.hooks.wake()
	}
}

// due reports whether a picture should be encoded: because a frame waits, because a keyframe is wanted, or, with still set,
// because the picture stands still and is due for another round. When not, it returns when that will be.
func (r *rung) due(members []*member, now time.Time, interval time.Duration) (yes bool, still string, at time.Time) {
	if r.box.waiting() || r.force != keyNone || r.keyAsked(members, now) != keyNone {
		return true, "", time.Time{}
	}
	if !r.picture {
		return !r.refreshed, "", time.Time{}
	}
	at, still = r.last.Add(aliveInterval), stillAlive
	if next, more := r.refinement.next(r.last, interval); more {
		at, still = next, stillRefine
	}
	if resume := r.resumes(members, now); !resume.IsZero() && resume.Before(at) {
		return false, "", resume
	}
	return !now.Before(at), still, at
}

// resumes returns when the next member that fell behind may come back.
func (r *rung) resumes(members []*member, now time.Time) (at time.Time) {
	for _, m := range members {
		if !m.synced && m.now.live && m.resumeAt.After(now) && (at.IsZero() || m.resumeAt.Before(at)) {
			at = m.resumeAt
		}
	}
	return at
}

package pipeline

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
	// pollInterval is how often a rung that holds a picture back looks whether a pacer has room. A packet of 1200
	// bytes takes 5 ms at 2 Mbit/s.
	pollInterval = 5 * time.Millisecond
	// patience is how long the viewers of a rung wait for one of them whose pacer is full, before it misses a picture.
	// A hiccup that is shorter costs nobody a keyframe.
	patience = 100 * time.Millisecond
	// stillPatience is the same for a picture that is encoded again. To miss it costs the others a keyframe later,
	// which is coarser than what they see.
	stillPatience = 500 * time.Millisecond
	// congestedAfter is how long a rung has to hold pictures back for its display to be captured less often, and for
	// the look at the pacers to be taken less often too.
	congestedAfter = 100 * time.Millisecond
	congestedPoll  = 20 * time.Millisecond
	// keyGap is the least time between keyframes: what is asked for in between is served by the next one.
	keyGap = 250 * time.Millisecond
	// aliveInterval is how often a still picture is encoded again once it is sharp. The receiver notices a loss only
	// by a later packet, so without it the loss of the last packets before a pause would stand until the pause ends;
	// it also keeps reports coming, which tell that the viewer is still there.
	aliveInterval = time.Second
	// emptyLinger is how long the encoder of a rung without viewers stays open, so that a reload of the page is quick.
	emptyLinger = 5 * time.Second
)

// Encoding is one encode of a display, shared by its members, who all take its codec.
//
// # Slow viewers
//
// A frame is left out before it is encoded, never after, so that what was sent stays decodable. With one viewer that
// is all: while its pacer is full or its controller says skip, the newest frame waits. With several, a viewer without
// room holds the others up for 100 ms at most. Then the picture goes out without it; it is frozen from there on, is
// neither waited for nor counted in the rung's rate, and is let back in with a keyframe as soon as it has room, but
// not before 1 s, 2 s, 4 s … 16 s when it keeps falling behind. So a viewer that cannot follow degrades itself, and
// costs the others a keyframe now and then. A viewer that can follow, though at a low rate, takes the rung down to
// that rate, until the stage gives it another rung; see arranger.
type Encoding struct {
	index    int // from 1, among those of its codec
	codec    string
	log      *slog.Logger
	met      *Metrics
	encoders *encoderPool
	box      *mailbox
	// kick has room for one token: something changed that the encode loop should look at.
	kick  chan struct{}
	hooks encodingHooks
	// limits bound the size and the frame rate.
	limits DisplayLimits
	guard  *guard.Guard

	mu            sync.Mutex
	subscriptions []*subscription
	view          EncodingStatus

	// These are read by the capture loop: the pace, whether anybody watches, whether a picture is held back, and
	// whether that lasts.
	fps                atomic.Int64
	active, held, slow atomic.Bool
	// occupied: it has members, connected or not.
	occupied atomic.Bool
	// cut is set by the capture loop before a frame that has to become a keyframe.
	cut atomic.Bool

	// The rest belongs to the encode loop.
	worker        *guardedEncoder
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

// encodingHooks are what a rung needs of its stage. They are called by the encode loop and do not block.
type encodingHooks struct {
	// wake makes the capture loop look at fps, active and slow again.
	wake func()
	// refresh asks for the whole picture.
	refresh func()
	// rebuild asks for another source, because an encoder that hangs holds one of its frames.
	rebuild func()
	// fallback tells that an encoder of a codec is replaced; to is empty when no other is left.
	fallback func(Fallback)
}

// EncodingStatus is what others may know of a rung.
type EncodingStatus struct {
	// Encoder is the name of its encoder, or empty while none is open. Price is the price of the encoder's rate
	// changes.
	Encoder string
	Price   encode.Price
	// Width and Height are the size of its pictures in pixels.
	Width, Height int
	BitsPerSecond int
	// Stuck reports whether all its encoders failed, so that its picture is frozen.
	Stuck    bool
	hardware bool
	// took is the time to convert and encode a picture, and fps the frame rate.
	took time.Duration
	fps  int
	// threads is how many cores a picture takes meanwhile, at most.
	threads int
}

// rateWindow compares what was encoded in a second with what was asked for: a share of the rate for each picture.
type rateWindow struct {
	since       time.Time
	fps         int // of its beginning
	bits, asked int
	frames      int // that were no repetitions
}

func newEncoding(
	index int, codec string, log *slog.Logger, met *Metrics, encoders *encoderPool, limits DisplayLimits,
	hooks encodingHooks, g *guard.Guard,
) *Encoding {
	r := &Encoding{
		index: index, codec: codec, log: log, met: met, encoders: encoders, box: newMailbox(),
		kick: make(chan struct{}, 1), hooks: hooks, limits: limits, guard: g, retry: encoderRetry,
	}
	r.fps.Store(int64(limits.FPS))
	return r
}

// Subscribe adds a subscriber. It gets pictures from the next keyframe on.
func (e *Encoding) Subscribe(w Subscriber) {
	e.mu.Lock()
	e.subscriptions = append(e.subscriptions, &subscription{Subscriber: w})
	e.occupied.Store(true)
	e.mu.Unlock()
	e.Nudge()
}

// Unsubscribe removes a subscriber. The encode loop may still deliver the picture under way.
func (e *Encoding) Unsubscribe(w Subscriber) {
	e.mu.Lock()
	e.subscriptions = slices.DeleteFunc(e.subscriptions, func(m *subscription) bool { return m.Subscriber == w })
	e.occupied.Store(len(e.subscriptions) > 0)
	e.mu.Unlock()
	e.Nudge()
}

// Nudge makes the encode loop ask its subscribers again.
func (e *Encoding) Nudge() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// Rate returns the bitrate while the encoding has a connected subscriber, and 0 otherwise.
func (e *Encoding) Rate() int {
	if !e.active.Load() {
		return 0
	}
	return e.Status().BitsPerSecond
}

// Index returns its number among the encodings of its codec, from 1.
func (e *Encoding) Index() int { return e.index }

// Name returns its index as text.
func (e *Encoding) Name() string { return strconv.Itoa(e.index) }

// Status returns its status.
func (e *Encoding) Status() EncodingStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view
}

// run is the encode loop.
func (e *Encoding) run(ctx context.Context) {
	defer func() {
		if e.active.Swap(false) {
			e.met.encodings.Dec()
		}
		e.close(closeTimeout)
		if f := e.box.take(); f != nil {
			f.Release()
		}
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		next := e.turn(ctx, time.Now())
		if next.IsZero() {
			next = time.Now().Add(time.Hour)
		}
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
		case <-e.box.full:
		case <-e.kick:
		case <-timer.C:
		}
	}
}

// turn is step, and goes on after a panic as after an error of the encoder.
func (e *Encoding) turn(ctx context.Context, now time.Time) (next time.Time) {
	if now.Before(e.restUntil) {
		return e.restUntil
	}
	if err := e.guard.Run(partEncode, func() { next = e.step(ctx, now) }); err != nil {
		e.crashed(now, err)
		return e.restUntil
	}
	return next
}

// step encodes one picture if one is due. It returns when to look again, zero for not before something happens.
func (e *Encoding) step(ctx context.Context, now time.Time) time.Time {
	members := e.poll(now)
	if !slices.ContainsFunc(members, func(m *subscription) bool { return m.now.Live }) {
		return e.park(ctx, members, now)
	}
	e.emptyAt = time.Time{}
	if !e.active.Load() {
		// What changed while nobody watched is not known any more.
		e.active.Store(true)
		e.met.encodings.Inc()
		e.refreshed = true
		e.picture = false
		e.hooks.refresh()
		e.hooks.wake()
	}
	if now.Before(e.retryAt) {
		return e.retryAt
	}
	to := e.targets(members)
	e.pace(to.fps)
	interval := time.Second / time.Duration(to.fps)
	// The capture loop keeps the pace; the slack lets a timer be late without a frame being lost.
	waiting := e.box.waiting()
	since := e.last
	if waiting {
		since = e.lastFrame // a repetition delays no change
	}
	if next := since.Add(interval * 9 / 10); now.Before(next) && !since.IsZero() {
		return next
	}

	if waiting && e.cut.Swap(false) {
		e.force = max(e.force, keyStart)
	}
	yes, again, at := e.due(members, now, interval)
	if !yes {
		e.unblock()
		return at
	}
	key, next := e.admit(members, now, again != repeatNone)
	if !next.IsZero() {
		return next
	}

	f := e.box.take()
	if f == nil && !e.picture {
		if !e.refreshed {
			e.refreshed = true
			e.hooks.refresh()
		}
		return time.Time{}
	}
	if f != nil {
		again = repeatNone
		e.refreshed = false
	}
	e.picture = e.shoot(ctx, members, f, now, key, again, to)
	return time.Now()
}

// poll asks all members what they want.
func (e *Encoding) poll(now time.Time) []*subscription {
	e.mu.Lock()
	members := slices.Clone(e.subscriptions)
	e.mu.Unlock()
	for _, m := range members {
		m.now = m.Demand(now)
		m.press(now)
		m.publish()
	}
	return members
}

// park is for when nobody watches. The encoder is opened while the first viewer connects, who then need not wait for
// it, and closed some time after the last one left. It returns when that is due.
func (e *Encoding) park(ctx context.Context, members []*subscription, now time.Time) (next time.Time) {
	for _, m := range members {
		m.synced = false
	}
	if e.active.Swap(false) {
		e.met.encodings.Dec()
		e.hooks.wake()
	}
	if f := e.box.take(); f != nil {
		e.src.width, e.src.height = f.Width, f.Height
		f.Release()
		e.met.Drop(DropUnwatched)
	}
	if e.worker == nil && len(members) > 0 && e.src.width > 0 && !time.Now().Before(e.retryAt) {
		if err := e.open(ctx, time.Now(), e.targets(members)); err != nil {
			e.stuck(time.Now(), err)
		}
	}
	if len(members) > 0 || e.worker == nil {
		e.emptyAt = time.Time{}
		return time.Time{}
	}
	if e.emptyAt.IsZero() {
		e.emptyAt = now
	}
	if closing := e.emptyAt.Add(emptyLinger); now.Before(closing) {
		return closing
	}
	e.close(closeTimeout)
	e.picture = false
	e.mu.Lock()
	e.view.Encoder = ""
	e.mu.Unlock()
	e.log.Info("encoder closed; nobody is on its rung")
	return time.Time{}
}

// targets returns what the rung should do for its members: the least that any of them asks for whose wishes count.
// Those of a viewer that is stalled or fell behind do not, as long as there are others.
func (e *Encoding) targets(members []*subscription) target {
	counted := false
	for _, m := range members {
		m.countsFor = m.now.Live && !m.now.Stalled && !m.now.Leaving && (m.synced || !m.fellOff || m.now.Keyframe)
		counted = counted || m.countsFor
	}
	to := target{rate: math.MaxInt, fps: e.limits.FPS, scale: 1}
	for _, m := range members {
		if counted && !m.countsFor {
			continue
		}
		to.rate = min(to.rate, m.now.BitsPerSecond)
		if m.now.FPS > 0 {
			to.fps = min(to.fps, m.now.FPS)
		}
		if m.now.Scale > 0 {
			to.scale = min(to.scale, m.now.Scale)
		}
	}
	// What a decoder takes holds for whoever gets the pictures, whether its wishes count or not.
	for _, m := range members {
		if m.now.Live || len(members) == 1 {
			to.limits = to.limits.And(m.now.Limits)
		}
	}
	to.rate, to.fps = max(to.rate, 1000), max(to.fps, 1)
	if e.src.width > 0 {
		to.fps = e.rateWithin(to)
	}
	return to
}

// pace tells the capture loop the frame rate.
func (e *Encoding) pace(fps int) {
	if e.fps.Swap(int64(fps)) != int64(fps) {
		e.mu.Lock()
		e.view.fps = fps
		e.mu.Unlock()
		e.hooks.wake()
	}
}

// due reports whether a picture should be encoded: because a frame waits, because a keyframe is wanted, or, with again
// set, because the picture stands still and is due for another round. When not, it returns when that will be.
func (e *Encoding) due(members []*subscription, now time.Time, interval time.Duration) (yes bool,
	again repetition, at time.Time,
) {
	if e.box.waiting() || e.force != keyNone || e.keyAsked(members, now) != keyNone {
		return true, repeatNone, time.Time{}
	}
	if !e.picture {
		return !e.refreshed, repeatNone, time.Time{}
	}
	at, again = e.last.Add(aliveInterval), repeatAlive
	if next, more := e.refinement.next(e.last, interval); more {
		at, again = next, repeatRefine
	}
	if resume := e.resumes(members, now); !resume.IsZero() && resume.Before(at) {
		return false, repeatNone, resume
	}
	return !now.Before(at), again, at
}

// resumes returns when the next member that fell behind may come back.
func (e *Encoding) resumes(members []*subscription, now time.Time) (at time.Time) {
	for _, m := range members {
		if !m.synced && m.now.Live && m.resumeAt.After(now) && (at.IsZero() || m.resumeAt.Before(at)) {
			at = m.resumeAt
		}
	}
	return at
}

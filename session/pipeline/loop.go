package pipeline

import (
	"context"
	"image"
	"math"
	"slices"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/progress"
)

// emptyLinger is how long the encoder of an encoding without subscribers stays open, so that a reload of the page is
// quick.
const emptyLinger = 5 * time.Second

// encodeLoop is the goroutine of an Encoding. Its fields belong to that goroutine alone.
type encodeLoop struct {
	*Encoding

	// The encoder and what it runs at.
	encoder  *guardedEncoder // nil while none is open
	factory  encode.Factory
	size     image.Point // of the encoded pictures
	level    int         // level_idc that it was opened with, 0 for none
	rate     int         // bits per second that it was told
	rateFPS  int
	rateAt   time.Time
	openedAt time.Time
	betterAt time.Time // when to look for a better encoder

	// What happens when all encoders fail.
	retryAt   time.Time
	retry     time.Duration
	restUntil time.Time // after a panic

	// The picture.
	source     image.Point // size of the frames
	content    content
	hasPicture bool // the encoder has a picture that it can encode again
	refreshing bool // the whole picture was requested and has not come yet
	refinement refinement

	// When and why pictures are encoded.
	last         time.Time // the last picture
	lastFrame    time.Time // the last picture that was not a repetition
	lastKey      time.Time
	force        keyReason // the next picture is a keyframe for this reason
	blockedSince time.Time // nobody is ready since then
	slowSince    time.Time // somebody is not ready since then
	emptyAt      time.Time // no subscriber is left since then

	applied      adapt.Applied // what subscribers were told last
	second       rateWindow
	complainedAt time.Time
}

// target is what an encoding does for its subscribers.
type target struct {
	rate, fps int
	scale     float64
	limits    encode.DecoderLimits
}

// run encodes until ctx ends.
func (e *Encoding) run(ctx context.Context) {
	l := &encodeLoop{Encoding: e, retry: encoderRetry}
	defer l.end()
	steps := e.hooks.progress.Loop(progress.Encode)
	defer steps.Close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		var next time.Time
		steps.Step(func() { next = l.turn(ctx, time.Now()) })
		if next.IsZero() {
			next = time.Now().Add(time.Hour)
		}
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
		case <-e.frames.full:
		case <-e.kick:
		case <-timer.C:
		}
	}
}

// end gives back what the loop holds.
func (l *encodeLoop) end() {
	if l.forCapture.active.Swap(false) {
		l.met.encodings.Dec()
	}
	l.close(closeTimeout)
	if f := l.frames.take(); f != nil {
		f.Release()
	}
}

// turn is step. It treats a panic like an error of the encoder.
func (l *encodeLoop) turn(ctx context.Context, now time.Time) (next time.Time) {
	if now.Before(l.restUntil) {
		return l.restUntil
	}
	if err := l.guard.Run(partEncode, func() { next = l.step(ctx, now) }); err != nil {
		l.crashed(now, err)
		return l.restUntil
	}
	return next
}

// step encodes one picture if one is due. It returns when to call it again, or zero for not before something happens.
// The first row that applies decides:
//
//	state                          a frame waits        a keyframe is needed    the picture stands still
//	no subscriber is connected     release it           -                       close the encoder after 5 s
//	all encoders failed            wait for the retry   wait for the retry      wait for the retry
//	under a frame time             wait                 wait                    wait
//	a keyframe under 250 ms ago    encode without key   wait                    -
//	no subscriber is ready         wait 5 ms, 20 ms     wait 5 ms, 20 ms        wait 5 ms, 20 ms
//	a synced one is not ready      wait, 100 ms in all  wait, 100 ms in all     wait, 500 ms in all
//	the encoder has no picture     encode a keyframe    ask for a refresh       ask for a refresh
//	all are ready                  encode               encode it as keyframe   encode again when due
//
// due has the columns, admit the rows from the keyframe on. TestWhenAPictureIsEncoded has the cells.
func (l *encodeLoop) step(ctx context.Context, now time.Time) time.Time {
	subs := l.poll(now)
	if !slices.ContainsFunc(subs, func(s *subscription) bool { return s.now.Live }) {
		return l.park(ctx, subs, now)
	}
	l.activate()
	if now.Before(l.retryAt) {
		return l.retryAt
	}
	to := l.targets(subs)
	l.pace(to.fps)
	interval := time.Second / time.Duration(to.fps)
	waiting := l.frames.waiting()
	if next := l.earliest(waiting, interval); now.Before(next) {
		return next
	}
	if waiting && l.forCapture.cut.Swap(false) {
		l.force = max(l.force, keyStart)
	}
	yes, again, at := l.due(subs, now, interval)
	if !yes {
		l.unblock()
		return at
	}
	key, next := l.admit(subs, now, again != repeatNone)
	if !next.IsZero() {
		return next
	}
	f := l.frames.take()
	switch {
	case f != nil:
		again = repeatNone
		l.refreshing = false
	case !l.hasPicture:
		if !l.refreshing {
			l.refreshing = true
			l.hooks.refresh()
		}
		return time.Time{}
	}
	l.hasPicture = l.encodeNext(ctx, subs, f, now, key, again, to)
	return time.Now()
}

// activate begins to encode for the first connected subscriber. What changed before is not known.
func (l *encodeLoop) activate() {
	l.emptyAt = time.Time{}
	if l.forCapture.active.Load() {
		return
	}
	l.forCapture.active.Store(true)
	l.met.encodings.Inc()
	l.refreshing = true
	l.hasPicture = false
	l.hooks.refresh()
	l.hooks.wake()
}

// earliest returns the earliest time of the next picture. The capture loop keeps the pace. A tenth of slack lets a
// timer be late without the loss of a frame.
func (l *encodeLoop) earliest(waiting bool, interval time.Duration) time.Time {
	since := l.last
	if waiting {
		since = l.lastFrame // a repetition delays no change
	}
	if since.IsZero() {
		return time.Time{}
	}
	return since.Add(interval * 9 / 10)
}

// poll asks all subscribers for their demand.
func (l *encodeLoop) poll(now time.Time) []*subscription {
	l.mu.Lock()
	subs := slices.Clone(l.subscriptions)
	l.mu.Unlock()
	for _, s := range subs {
		s.now = s.Demand(now)
		s.press(now)
		s.publish()
	}
	return subs
}

// park does what is left to do while no subscriber is connected. It opens the encoder while the first viewer connects,
// so that the viewer need not wait for it, and closes it some time after the last subscriber left. It returns when to
// close it.
func (l *encodeLoop) park(ctx context.Context, subs []*subscription, now time.Time) (next time.Time) {
	for _, s := range subs {
		s.synced = false
	}
	if l.forCapture.active.Swap(false) {
		l.met.encodings.Dec()
		l.hooks.wake()
	}
	if f := l.frames.take(); f != nil {
		l.source = image.Pt(f.Width, f.Height)
		f.Release()
		l.met.Drop(DropUnwatched)
	}
	if l.encoder == nil && len(subs) > 0 && l.source.X > 0 && !time.Now().Before(l.retryAt) {
		if err := l.open(ctx, time.Now(), l.targets(subs)); err != nil {
			l.stuck(time.Now(), err)
		}
	}
	if len(subs) > 0 || l.encoder == nil {
		l.emptyAt = time.Time{}
		return time.Time{}
	}
	if l.emptyAt.IsZero() {
		l.emptyAt = now
	}
	if closing := l.emptyAt.Add(emptyLinger); now.Before(closing) {
		return closing
	}
	l.close(closeTimeout)
	l.hasPicture = false
	l.setStatus(func(s *EncodingStatus) { s.Encoder = "" })
	l.log.Info("encoder closed: no subscribers")
	return time.Time{}
}

// targets returns what the encoding should do for its subscribers: the lowest demand that counts. A subscriber
// that is stalled or fell behind does not count as long as others do.
func (l *encodeLoop) targets(subs []*subscription) target {
	counted := false
	for _, s := range subs {
		s.counts = s.now.Live && !s.now.Stalled && !s.now.Leaving && (s.synced || !s.fellOff || s.now.Keyframe)
		counted = counted || s.counts
	}
	to := target{rate: math.MaxInt, fps: l.limits.FPS, scale: 1}
	for _, s := range subs {
		if counted && !s.counts {
			continue
		}
		to.rate = min(to.rate, s.now.BitsPerSecond)
		if s.now.FPS > 0 {
			to.fps = min(to.fps, s.now.FPS)
		}
		if s.now.Scale > 0 {
			to.scale = min(to.scale, s.now.Scale)
		}
	}
	// The limits of a decoder hold for every subscriber that gets the pictures, whether its demand counts or not.
	for _, s := range subs {
		if s.now.Live || len(subs) == 1 {
			to.limits = to.limits.And(s.now.Limits)
		}
	}
	to.rate, to.fps = max(to.rate, 1000), max(to.fps, 1)
	if l.source.X > 0 {
		p := l.sizeFor(to, l.encoderLimits())
		to.fps = to.limits.Rate(p.X, p.Y, to.fps)
	}
	return to
}

// pace publishes the frame rate for the capture loop.
func (l *encodeLoop) pace(fps int) {
	if l.forCapture.fps.Swap(int64(fps)) != int64(fps) {
		l.setStatus(func(s *EncodingStatus) { s.fps = fps })
		l.hooks.wake()
	}
}

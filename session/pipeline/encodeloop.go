package pipeline

import (
	"math"
	"slices"
	"time"

	"wavryhost/adapt"
)

// encodeLoop is the goroutine of an Encoding. Its fields belong to that goroutine alone.
type encodeLoop struct {
	*Encoding

	encoder   activeEncoder
	restUntil time.Time // after a panic

	// The picture.
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

	applied adapt.Applied // what subscribers were told last
}

// newEncodeLoop returns the loop of an encoding.
func newEncodeLoop(e *Encoding) *encodeLoop {
	return &encodeLoop{Encoding: e, encoder: activeEncoder{of: e, retry: encoderRetry}}
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
	if l.encoder.source.X > 0 {
		p := l.encoder.sizeFor(to, l.encoder.limits())
		to.fps = l.encoder.affordable(to.rate, p, to.limits.Rate(p.X, p.Y, to.fps))
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

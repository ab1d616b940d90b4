package pipeline

import (
	"context"
	"errors"
	"image"
	"time"

	"wavryhost/adapt"
	"wavryhost/capture"
	"wavryhost/encode"
)

// complainEvery is how often complaints of an encoder are logged.
const complainEvery = 10 * time.Second

// encodeNext encodes f, or the previous picture again if f is nil, and delivers it. It reports whether the encoder has
// a picture after that.
func (l *encodeLoop) encodeNext(
	ctx context.Context, subs []*subscription, f *capture.Frame, now time.Time, key keyReason, again repetition,
	to target,
) bool {
	p := l.content.see(f, dirty(f))
	if f != nil {
		l.encoder.source = image.Pt(f.Width, f.Height)
		if why := l.encoder.follow(ctx, now, to); why != keyNone {
			l.force = max(l.force, why)
			key, l.hasPicture, l.applied = max(key, l.force), false, adapt.Applied{}
		}
	}
	if l.encoder.open == nil {
		if f == nil {
			return false
		}
		if !l.open(ctx, now, to) {
			f.Release()
			l.met.Drop(DropNoEncoder)
			return false
		}
		key = max(key, l.force)
	}
	j := job{frame: f, order: encode.Order{Time: now, Key: key != keyNone, Content: kinds[p.Class]}}
	if j.order.Key {
		j.order.Shares = l.enlarge(subs, now, to)
	}
	newRate := l.encoder.reprice(now, to.rate, to.fps, !l.hasPicture)
	if newRate {
		j.rate = encode.Rate{BitsPerSecond: to.rate, FPS: to.fps}
	}
	l.last = now
	if f != nil {
		l.lastFrame = now
		p.Took, p.Taken = f.Took, time.Now()
	}
	au, err := l.encoder.open.encode(j)
	if err != nil {
		l.replace(err, f != nil)
		return false
	}
	au.Format = l.format
	l.encoded(now, au, key, again)
	if newRate {
		l.encoder.setRate(now, to.rate, to.fps)
	}
	l.announce(subs, au, to.fps)
	l.deliver(subs, au, p)
	if err := l.account(now, au, f != nil); err != nil {
		l.replace(err, false)
		return false
	}
	return true
}

// encoded notes that the encoder made a picture. An encoder that was only opened may fail like the previous one.
func (l *encodeLoop) encoded(now time.Time, au encode.AccessUnit, key keyReason, again repetition) {
	l.setStatus(func(s *EncodingStatus) { s.Stuck = false })
	l.met.encoded(l.encoder.open.profile, au, again)
	if au.Complaint != "" && now.Sub(l.encoder.complainedAt) >= complainEvery {
		l.encoder.complainedAt = now
		l.log.Warn("encoder reported an error but made a picture", "encoder", l.encoder.open.profile.Name,
			"complaint", au.Complaint)
	}
	if au.Key {
		if key == keyNone {
			key = keyUnasked
		}
		l.met.keyframes.WithLabelValues(key.String()).Inc()
		l.lastKey, l.force = now, keyNone
	}
}

// deliver hands au to the subscribers that can decode it.
func (l *encodeLoop) deliver(subs []*subscription, au encode.AccessUnit, p Picture) {
	now := time.Now()
	for _, s := range subs {
		switch {
		case !s.now.Live:
			s.lost(now)
			// A lost path does not mean a slow viewer: it may come back as soon as it can.
			s.resumeAt, s.penalty = time.Time{}, 0
		case !s.now.Ready:
			if s.synced {
				l.met.Drop(DropSlowViewer)
			} else {
				l.met.Drop(DropNoReference)
			}
			s.Missed()
			s.lost(now)
		case !s.synced && (!au.Key || now.Before(s.resumeAt)):
			l.met.Drop(DropNoReference)
			s.Missed()
		default:
			l.deliverTo(s, au, p, now)
		}
	}
}

// deliverTo hands au to one subscriber.
func (l *encodeLoop) deliverTo(s *subscription, au encode.AccessUnit, p Picture, now time.Time) {
	switch err := s.Deliver(au, p); {
	case errors.Is(err, ErrMoved): // since it was asked for its demand
		s.synced = false
		return
	case err != nil:
		l.met.Drop(DropFailed)
		s.lost(now)
		return
	}
	if au.Key {
		if !s.synced && s.since.IsZero() { // a newcomer
			a := l.applied
			a.At = now
			s.Applied(a)
		}
		s.joined(now)
	}
	if !s.now.Probe {
		l.met.sent(au, p.Dirty > 0, now)
	}
}

// announce tells the subscribers what the encoder runs at, if that has changed. Another encoder may have another
// price, which they must know before they change the rate.
func (l *encodeLoop) announce(subs []*subscription, au encode.AccessUnit, fps int) {
	now := adapt.Applied{
		BitsPerSecond: l.encoder.rate * fps / l.encoder.rateFPS, FPS: fps, Width: au.Width, Height: au.Height,
		Price: adapt.Price(l.encoder.open.profile.Price),
	}
	if now == l.applied {
		return
	}
	l.applied = now
	now.At = time.Now()
	l.setStatus(func(s *EncodingStatus) { s.BitsPerSecond = now.BitsPerSecond })
	for _, s := range subs {
		s.Applied(now)
	}
}

// account updates the measured time, the refinement of still pictures and the measured rate. It returns errRate if the
// encoder does not keep its rate.
func (l *encodeLoop) account(now time.Time, au encode.AccessUnit, changed bool) error {
	if changed {
		l.setStatus(func(s *EncodingStatus) { s.measured(au.Convert + au.Encode) })
	}
	l.refinement.took(now, au, changed, time.Second/time.Duration(max(l.applied.FPS, 1)))
	return l.encoder.measureRate(now, au, changed, l.applied.FPS)
}

// measured takes in the time of a picture.
func (s *EncodingStatus) measured(took time.Duration) {
	const weight = 16
	if s.took == 0 {
		s.took = took
	}
	s.took += (took - s.took) / weight
}

// The size of the first picture of a viewer: the bits that the path carries in firstShare, but at most firstBits for
// each pixel, at which a page of small text has 42 dB and more (docs/develop/benchmarks.md). The pacer sends it faster
// than the rate, so that it arrives within 77 ms. One share of a picture takes 13 ms, but cannot be read. A viewer
// that joins has waited longer than that for the connection.
const (
	firstShare = 100 * time.Millisecond
	firstBits  = 1
)

// enlarge returns the number of shares that the next keyframe may use. It is more than one for the first picture that
// a viewer sees, and for its first one in another codec, if it delays no motion that others see.
func (l *encodeLoop) enlarge(subs []*subscription, now time.Time, to target) int {
	newcomer := false
	for _, s := range subs {
		switch {
		case !s.now.Live || !s.now.Ready:
		case s.synced && now.Sub(l.lastFrame) < quietAfter:
			return 1
		case !s.synced && !s.fellOff && (!s.now.Arriving || s.now.Recoding):
			newcomer = true
		}
	}
	if !newcomer {
		return 1
	}
	bits := min(to.rate*int(firstShare/time.Millisecond)/1000, firstBits*l.encoder.size.X*l.encoder.size.Y)
	return max(bits*to.fps/to.rate, 1)
}

// open opens an encoder, whose first picture is a keyframe. It reports whether that worked. If not, it waits until an
// encoder may work again.
func (l *encodeLoop) open(ctx context.Context, now time.Time, to target) bool {
	if err := l.encoder.start(ctx, now, to); err != nil {
		l.stuck(now, err)
		return false
	}
	l.hasPicture = false
	l.force = max(l.force, keyStart)
	l.applied = adapt.Applied{}
	return true
}

// replace continues after an error of the encoder. The next picture opens the next one. held reports whether the
// encoder was given a frame.
func (l *encodeLoop) replace(err error, held bool) {
	another, keepsFrame := l.encoder.fail(err)
	if errors.Is(err, encode.ErrSurface) {
		if f := l.frames.take(); f != nil { // of the source that is closed
			f.Release()
		}
	}
	l.force = keyEncoder
	l.refreshing = true
	if keepsFrame && held {
		l.hooks.rebuild()
	} else {
		l.hooks.refresh()
	}
	if !another {
		l.stuck(time.Now(), err) // a call that hung took its time
	}
}

// crashed continues after a panic of the encode loop, with another encoder and another source: the frame may never be
// released.
func (l *encodeLoop) crashed(now time.Time, err error) {
	from := ""
	if l.encoder.open != nil {
		from = l.encoder.name()
	}
	l.encoder.close(closeTimeout)
	l.hasPicture = false
	l.hooks.fallback(Fallback{Format: l.format, From: from, Reason: FallbackPanic, Err: err})
	l.hooks.rebuild()
	l.stuck(now, err)
	l.restUntil = l.encoder.retryAt
}

// stuck waits until an encoder may work again. The subscribers stay, with a frozen picture.
func (l *encodeLoop) stuck(now time.Time, err error) {
	l.encoder.backOff(now, err)
	l.force = keyEncoder
	l.refreshing = false
}

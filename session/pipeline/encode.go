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
		l.source = image.Pt(f.Width, f.Height)
		if !l.fits(to) {
			l.close(closeTimeout)
		}
		l.better(now, to)
	}
	if l.encoder == nil {
		if f == nil {
			return false
		}
		if err := l.open(ctx, now, to); err != nil {
			f.Release()
			l.met.Drop(DropNoEncoder)
			l.stuck(now, err)
			return false
		}
		key = max(key, l.force)
	}
	j := job{frame: f, order: encode.Order{Time: now, Key: key != keyNone}}
	if j.order.Key {
		j.order.Shares = l.enlarge(subs, now, to)
	}
	newRate := l.reprice(now, to.rate, to.fps)
	if newRate {
		j.rate = encode.Rate{BitsPerSecond: to.rate, FPS: to.fps}
	}
	l.last = now
	if f != nil {
		l.lastFrame = now
	}
	au, err := l.encoder.encode(j)
	if err != nil {
		l.fallback(err, f != nil)
		return false
	}
	l.encoded(now, au, key, again)
	if newRate {
		l.setRate(now, to.rate, to.fps)
	}
	l.announce(subs, au, to.fps)
	l.deliver(subs, au, p)
	if err := l.account(now, au, f != nil); err != nil {
		l.fallback(err, false)
		return false
	}
	return true
}

// encoded notes that the encoder made a picture. An encoder that was only opened may fail like the previous one.
func (l *encodeLoop) encoded(now time.Time, au encode.AccessUnit, key keyReason, again repetition) {
	l.setStatus(func(s *EncodingStatus) { s.Stuck = false })
	l.met.encoded(l.encoder.profile, au, again)
	if au.Complaint != "" && now.Sub(l.complainedAt) >= complainEvery {
		l.complainedAt = now
		l.log.Warn("encoder reported an error but made a picture", "encoder", l.encoder.profile.Name,
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
	l.met.sent(au, p.Dirty > 0, now)
}

// announce tells the subscribers what the encoder runs at, if that has changed. Another encoder may have another
// price, which they must know before they change the rate.
func (l *encodeLoop) announce(subs []*subscription, au encode.AccessUnit, fps int) {
	now := adapt.Applied{
		BitsPerSecond: l.rate * fps / l.rateFPS, FPS: fps, Width: au.Width, Height: au.Height,
		Price: adapt.Price(l.encoder.profile.Price),
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
	l.refinement.took(now, au, l.format, changed, time.Second/time.Duration(max(l.applied.FPS, 1)))
	return l.measureRate(now, au, changed)
}

// measured takes in the time of a picture.
func (s *EncodingStatus) measured(took time.Duration) {
	const weight = 16
	if s.took == 0 {
		s.took = took
	}
	s.took += (took - s.took) / weight
}

package pipeline

import (
	"context"
	"errors"
	"time"

	"wavryhost/adapt"
	"wavryhost/capture"
	"wavryhost/encode"
)

// complainEvery is how often complaints of an encoder are logged.
const complainEvery = 10 * time.Second

// shoot encodes f, or with a nil f the picture before once more, and hands it to the members. It tells whether the
// encoder has a picture after that.
func (e *Encoding) shoot(
	ctx context.Context, members []*subscription, f *capture.Frame, now time.Time, key keyReason,
	again repetition, to target,
) bool {
	what := e.content.see(f, dirty(f))
	if f != nil {
		e.src.width, e.src.height = f.Width, f.Height
		if e.fit(to) {
			e.close(closeTimeout)
		}
		e.better(now, to)
	}
	opened := e.worker == nil
	if opened {
		if f == nil {
			return false
		}
		if err := e.open(ctx, now, to); err != nil {
			f.Release()
			e.met.Drop(DropNoEncoder)
			e.stuck(now, err)
			return false
		}
		key = max(key, e.force)
	}
	j := job{frame: f, at: now, key: key != keyNone}
	if j.key {
		j.larger = e.enlarge(members, now, to)
	}
	newRate := e.reprice(now, to.rate, to.fps)
	if newRate {
		j.rate, j.fps = to.rate, to.fps
	}
	e.last = now
	if f != nil {
		e.lastFrame = now
	}
	au, err := e.worker.encode(j)
	if err != nil {
		e.fallback(err, f != nil)
		return false
	}
	e.works()
	e.met.encoded(au, again)
	if au.Complaint != "" && now.Sub(e.complainedAt) >= complainEvery {
		e.complainedAt = now
		e.log.Warn("encoder made a picture and complains", "encoder", e.worker.profile.Name, "complaint", au.Complaint)
	}
	if au.Key {
		if key == keyNone {
			key = keyUnasked
		}
		e.met.keyframes.WithLabelValues(key.String()).Inc()
		e.lastKey, e.force = now, keyNone
	}
	if newRate {
		e.setRate(now, to.rate, to.fps)
	}
	e.apply(members, au, to.fps)
	e.deliver(members, au, what)
	e.account(now, au, f != nil)
	return true
}

// deliver hands au to those who can build on it.
func (e *Encoding) deliver(members []*subscription, au encode.AccessUnit, what Picture) {
	now := time.Now()
	for _, m := range members {
		switch {
		case !m.now.Live:
			m.lost(now)
			// A path that is lost is not the viewer's slowness: it may come back as soon as it can.
			m.resumeAt, m.penalty = time.Time{}, 0
		case !m.now.Ready:
			if m.synced {
				e.met.Drop(DropSlowViewer)
			} else {
				e.met.Drop(DropNoReference)
			}
			m.Missed()
			m.lost(now)
		case !m.synced && (!au.Key || now.Before(m.resumeAt)):
			e.met.Drop(DropNoReference)
			m.Missed()
		default:
			switch err := m.Deliver(au, what); {
			case errors.Is(err, ErrMoved): // it left in between
				m.synced = false
				continue
			case err != nil:
				e.met.Drop(DropFailed)
				m.lost(now)
				continue
			}
			if au.Key {
				e.welcome(m, now)
			}
			e.met.sent(au, what.Dirty > 0, now)
		}
	}
}

// apply tells the members what the encoder runs at, when that has changed. Another encoder may have another price,
// which they have to know before they change the rate.
func (e *Encoding) apply(members []*subscription, au encode.AccessUnit, fps int) {
	now := adapt.Applied{
		BitsPerSecond: e.rate * fps / e.rateFPS, FPS: fps, Width: au.Width, Height: au.Height,
		Price: adapt.Price(e.worker.profile.Price),
	}
	if now == e.told {
		return
	}
	e.told = now
	now.At = time.Now()
	e.mu.Lock()
	e.view.BitsPerSecond = now.BitsPerSecond
	e.mu.Unlock()
	for _, m := range members {
		m.Applied(now)
	}
}

// welcome notes that m got a keyframe, and tells a newcomer what the encoder runs at.
func (e *Encoding) welcome(m *subscription, now time.Time) {
	if !m.synced && m.since.IsZero() {
		a := e.told
		a.At = now
		m.Applied(a)
	}
	m.joined(now)
}

// account keeps the refinement of still pictures and the achieved rate.
func (e *Encoding) account(now time.Time, au encode.AccessUnit, frame bool) {
	if frame {
		e.learn(au.Convert + au.Encode)
	}
	e.refinement.took(now, au, e.codec, frame, time.Second/time.Duration(max(e.told.FPS, 1)))
	s := &e.second
	if now.Sub(s.since) >= time.Second {
		// Only a second that was full of frames says how well the encoder keeps its rate.
		if s.frames*2 > s.fps && now.Sub(s.since) < 2*time.Second && s.asked > 0 {
			e.met.rateRatio.Observe(float64(s.bits) / float64(s.asked))
		}
		*s = rateWindow{since: now, fps: e.told.FPS}
	}
	s.bits += 8 * len(au.Data)
	s.asked += e.share()
	if frame {
		s.frames++
	}
}

// learn takes in what a picture took.
func (e *Encoding) learn(took time.Duration) {
	const share = 16
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.view.took == 0 {
		e.view.took = took
	}
	e.view.took += (took - e.view.took) / share
}

package session

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

// shoot encodes f, or with a nil f the picture before once more, and hands it to the members. It tells whether the encoder
// has a picture after that.
func (r *rung) shoot(
	ctx context.Context, members []*member, f *capture.Frame, now time.Time, key keyReason, still string, to target,
) bool {
	what := r.content.see(f, dirty(f))
	if f != nil {
		r.src.width, r.src.height = f.Width, f.Height
		if r.fit(to) {
			r.close(closeTimeout)
		}
		r.better(now, to)
	}
	opened := r.worker == nil
	if opened {
		if f == nil {
			return false
		}
		if err := r.open(ctx, now, to); err != nil {
			f.Release()
			r.met.drop(dropNoEncoder)
			r.stuck(now, err)
			return false
		}
		key = max(key, r.force)
	}
	j := job{frame: f, at: now, key: key != keyNone}
	if j.key {
		j.larger = r.enlarge(members, now, to)
	}
	newRate := r.reprice(now, to.rate, to.fps)
	if newRate {
		j.rate, j.fps = to.rate, to.fps
	}
	r.last = now
	if f != nil {
		r.lastFrame = now
	}
	au, err := r.worker.encode(j)
	if err != nil {
		r.fallback(err, f != nil)
		return false
	}
	r.works()
	r.met.encoded(au, still)
	if au.Complaint != "" && now.Sub(r.complainedAt) >= complainEvery {
		r.complainedAt = now
		r.log.Warn("encoder made a picture and complains", "encoder", r.worker.profile.Name, "complaint", au.Complaint)
	}
	if au.Key {
		if key == keyNone {
			key = keyUnasked
		}
		r.met.keyframes.WithLabelValues(key.String()).Inc()
		r.lastKey, r.force = now, keyNone
	}
	if newRate {
		r.setRate(now, to.rate, to.fps)
	}
	r.apply(members, au, to.fps)
	r.deliver(members, au, what)
	r.account(now, au, f != nil)
	return true
}

// deliver hands au to those who can build on it.
func (r *rung) deliver(members []*member, au encode.AccessUnit, what shown) {
	now := time.Now()
	for _, m := range members {
		switch {
		case !m.now.live:
			m.lost(now)
			// A path that is lost is not the viewer's slowness: it may come back as soon as it can.
			m.resumeAt, m.penalty = time.Time{}, 0
		case !m.now.ready:
			if m.synced {
				r.met.drop(dropSlowViewer)
			} else {
				r.met.drop(dropNoReference)
			}
			m.miss()
			m.lost(now)
		case !m.synced && (!au.Key || now.Before(m.resumeAt)):
			r.met.drop(dropNoReference)
			m.miss()
		default:
			switch err := m.take(au, what); {
			case errors.Is(err, errMoved): // it left in between
				m.synced = false
				continue
			case err != nil:
				r.met.drop(dropFailed)
				m.lost(now)
				continue
			}
			if au.Key {
				r.welcome(m, now)
			}
			r.met.sent(au, what.dirty > 0, now)
		}
	}
}

// apply tells the members what the encoder runs at, when that has changed. Another encoder may have another price, which they have
// to know before they change the rate.
func (r *rung) apply(members []*member, au encode.AccessUnit, fps int) {
	now := adapt.Applied{
		BitsPerSecond: r.rate * fps / r.rateFPS, FPS: fps, Width: au.Width, Height: au.Height, Price: adapt.Price(r.worker.profile.Price),
	}
	if now == r.told {
		return
	}
	r.told = now
	now.At = time.Now()
	r.mu.Lock()
	r.view.rate = now.BitsPerSecond
	r.mu.Unlock()
	for _, m := range members {
		m.applied(now)
	}
}

// welcome notes that m got a keyframe, and tells a newcomer what the encoder runs at.
func (r *rung) welcome(m *member, now time.Time) {
	if !m.synced && m.since.IsZero() {
		a := r.told
		a.At = now
		m.applied(a)
	}
	m.joined(now)
}

// account keeps the refinement of still pictures and the achieved rate.
func (r *rung) account(now time.Time, au encode.AccessUnit, frame bool) {
	if frame {
		r.learn(au.Convert + au.Encode)
	}
	r.refinement.took(now, au, r.codec, frame, time.Second/time.Duration(max(r.told.FPS, 1)))
	s := &r.second
	if now.Sub(s.since) >= time.Second {
		// Only a second that was full of frames says how well the encoder keeps its rate.
		if s.frames*2 > s.fps && now.Sub(s.since) < 2*time.Second && s.asked > 0 {
			r.met.rateRatio.Observe(float64(s.bits) / float64(s.asked))
		}
		*s = rateWindow{since: now, fps: r.told.FPS}
	}
	s.bits += 8 * len(au.Data)
	s.asked += r.share()
	if frame {
		s.frames++
	}
}

// learn takes in what a picture took.
func (r *rung) learn(took time.Duration) {
	const share = 16
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.view.took == 0 {
		r.view.took = took
	}
	r.view.took += (took - r.view.took) / share
}

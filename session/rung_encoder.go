package session

import (
	"errors"
	"fmt"
	"image"
	"math"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
)

// The wait when no encoder works: the first time, and at most.
const (
	encoderRetry    = time.Second
	encoderRetryMax = 10 * time.Second
)

// How changes of a picture's share of the rate are held back where they have a price: nothing under a tenth, no raise within two seconds
// of the change before, and no cut within half a second.
const (
	dearStep  = 0.1
	dearRaise = 2 * time.Second
	dearCut   = 500 * time.Millisecond
)

// share is what the encoder was told to give each picture, in bits. It is all that an encoder takes of a rate and a frame rate: its
// buffer has one share, and it deals the rate out by the picture.
func (r *rung) share() int { return r.rate / max(r.rateFPS, 1) }

// reprice reports whether the encoder should be told of another rate. Each controller holds its own targets back by the price, but the
// least of several changes whenever any of them does, and with each who joins or leaves, and a step in the frame rate changes what each
// picture may take though the rate stays. For one viewer its bounds are the wider ones, so that it lets through what the controller asks
// for.
func (r *rung) reprice(now time.Time, rate, fps int) bool {
	if rate == r.rate && fps == r.rateFPS {
		return false
	}
	if r.worker.profile.Price == encode.PriceFree {
		return true
	}
	since := now.Sub(r.rateAt)
	switch change := float64(rate/fps-r.share()) / float64(max(r.share(), 1)); {
	case change > dearStep:
		return since >= dearRaise
	case change < -dearStep:
		return since >= dearCut
	default:
		return false
	}
}

func (r *rung) setRate(now time.Time, rate, fps int) {
	r.rate, r.rateFPS, r.rateAt = rate, fps, now
	r.mu.Lock()
	r.view.rate = rate
	r.mu.Unlock()
}

// fit chooses the encoded size for the display's and the wanted scale, and tells whether it is another one.
func (r *rung) fit(scale float64) bool {
	most := r.rule.size(image.Pt(r.src.width, r.src.height))
	w, h := most.X, most.Y
	if longest := max(w, h); longest > maxSide {
		scale = min(scale, float64(maxSide)/float64(longest))
	}
	if scale < 1 {
		w, h = int(math.Round(float64(w)*scale)), int(math.Round(float64(h)*scale))
	}
	w, h = max(w&^1, minSide), max(h&^1, minSide)
	if w == r.width && h == r.height {
		return false
	}
	r.width, r.height = w, h
	return true
}

// The sizes that encoders take; see encode.Params.
const (
	minSide = 16
	maxSide = 8192
)

// open opens the best encoder that can be opened.
func (r *rung) open(now time.Time, rate, fps int) error {
	params := encode.Params{Width: r.width, Height: r.height, FPS: fps, BitsPerSecond: rate}
	if err := params.Validate(); err != nil {
		return err
	}
	var errs []error
	order := r.roster.order(now, r.codec)
	if len(order) == 0 {
		return fmt.Errorf("session: no encoder of %s is left", r.codec)
	}
	for i, factory := range order {
		// Changes of a free encoder cost nothing: it is opened for the highest frame rate, which its stream's level states, and the first
		// picture brings the real one.
		params.FPS = fps
		if factory.Profile().Price == encode.PriceFree {
			params.FPS = r.fpsLimit
		}
		r.roster.use(factory, 1)
		w, err := startWorker(factory, params, r.log, r.met.hungEncoders)
		if err != nil {
			r.roster.use(factory, -1)
			errs = append(errs, err)
			r.replaced(order, i, r.refused(factory, err), err)
			continue
		}
		r.roster.opened(factory)
		r.worker, r.factory, r.openedAt = w, factory, now
		r.picture = false
		r.force = max(r.force, keyStart)
		r.setRate(now, rate, params.FPS)
		r.told = adapt.Applied{}
		r.mu.Lock()
		r.view.encoder, r.view.price, r.view.stuck = w.profile.Name, w.profile.Price, false
		r.view.hardware, r.view.took, r.view.fps, r.view.threads = w.profile.Hardware, 0, fps, w.profile.Threads
		r.view.width, r.view.height = r.width, r.height
		r.mu.Unlock()
		r.log.Info("encoder opened", "encoder", w.profile.Name, "width", r.width, "height", r.height,
			"bitrate", rate, "fps", fps)
		return nil
	}
	return errors.Join(errs...)
}

// refused notes that an encoder could not be opened, and returns why. A driver that does not return has said nothing of how much room it has.
func (r *rung) refused(f encode.Factory, err error) (reason string) {
	if errors.Is(err, errHung) {
		r.roster.failed(f, time.Now())
		return fallbackHang
	}
	full, limit := r.roster.refused(f, time.Now())
	if !full {
		return fallbackOpen
	}
	r.log.Info("encoder has no room for another", "encoder", f.Profile().Name, "limit", limit)
	return fallbackFull
}

// close closes the encoder, if one is open, and waits for that at most so long.
func (r *rung) close(wait time.Duration) {
	if r.worker == nil {
		return
	}
	r.worker.stop(wait)
	r.worker = nil
	r.roster.use(r.factory, -1)
}

// replaced tells that the i-th encoder of order gives way to the next.
func (r *rung) replaced(order []encode.Factory, i int, reason string, err error) {
	to := ""
	if i+1 < len(order) {
		to = order[i+1].Profile().Name
	}
	r.hooks.fallback(r.codec, order[i].Profile().Name, to, reason, err)
}

// fallback gives up the encoder in use. The next picture opens the next one.
func (r *rung) fallback(now time.Time, err error, held bool) {
	reason, wait := fallbackErr, closeTimeout
	hung := errors.Is(err, errHung)
	if hung {
		reason, wait = fallbackHang, 0
	}
	r.close(wait)
	r.roster.failed(r.factory, time.Now())
	to := ""
	if p, ok := r.roster.best(time.Now(), r.codec); ok && p.Name != r.factory.Profile().Name {
		to = p.Name
	}
	r.hooks.fallback(r.codec, r.factory.Profile().Name, to, reason, err)
	r.force = keyEncoder
	r.refreshed = true
	if hung && held {
		r.hooks.rebuild()
	} else {
		r.hooks.refresh()
	}
	if to == "" {
		r.stuck(now, err)
	}
}

// stuck waits with what is there until an encoder may work again. The viewers stay, frozen.
func (r *rung) stuck(now time.Time, err error) {
	r.mu.Lock()
	r.view.stuck = true
	r.mu.Unlock()
	if now.Sub(r.openedAt) > encoderRetryMax {
		r.retry = encoderRetry // the one before worked for a while
	}
	r.log.Error("no encoder works; the picture stands", "retry", r.retry, "err", err)
	r.retryAt = now.Add(r.retry)
	r.retry = min(2*r.retry, encoderRetryMax)
	r.force = keyEncoder
	r.refreshed = false
}

package session

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/guard"
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
	if r.worker.profile.Price == encode.PriceFree || !r.picture { // the first picture of an encoder is a keyframe anyway
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

// What the first picture of a viewer may have: as many bits as the path carries in firstShare, but no more than firstBits for each pixel,
// with which a page of small text has 42 dB and more (docs/develop/benchmarks.md). It leaves faster than at that rate, so that it is whole after
// 77 ms where one share of a picture takes 13; a viewer who joins has waited longer for the connection, and cannot read what one share shows.
const (
	firstShare = 100 * time.Millisecond
	firstBits  = 1
)

// enlarge returns how many pictures' bits the keyframe that is due may have: more than one where it is the first picture that somebody
// sees, and holds up no motion that others see.
func (r *rung) enlarge(members []*member, now time.Time, to target) int {
	newcomer := false
	for _, m := range members {
		switch {
		case !m.now.live || !m.now.ready:
		case m.synced && now.Sub(r.lastFrame) < quietAfter:
			return 1
		case !m.synced && !m.fellOff && !m.now.arriving:
			newcomer = true
		}
	}
	if !newcomer {
		return 1
	}
	bits := min(to.rate*int(firstShare/time.Millisecond)/1000, firstBits*r.width*r.height)
	return max(bits*to.fps/to.rate, 1)
}

func (r *rung) setRate(now time.Time, rate, fps int) {
	r.rate, r.rateFPS, r.rateAt = rate, fps, now
	r.mu.Lock()
	r.view.rate = rate
	r.mu.Unlock()
}

// The sizes that encoders take; see encode.Params.
const (
	minSide = 16
	maxSide = 8192
)

// limits returns the sizes that the encoder in use takes, or the one that would be opened.
func (r *rung) limits() encode.Limits {
	if r.worker != nil {
		return r.roster.limits(r.factory)
	}
	if order := r.roster.order(time.Now(), r.codec); len(order) > 0 {
		return r.roster.limits(order[0])
	}
	return encode.Limits{}
}

// size returns the encoded size. At the display's own size an odd last column or row is kept, and repeated once, since encoders take even
// sizes only: to scale the picture by one pixel would blur all of it.
func (r *rung) size(to target, enc encode.Limits) image.Point {
	own := image.Pt(r.src.width, r.src.height)
	p := r.rule.size(own)
	if to.scale < 1 {
		p = scaled(p, to.scale)
	}
	if p == own {
		p = image.Pt(max((p.X+1)&^1, minSide), max((p.Y+1)&^1, minSide))
	} else {
		p = scaled(p, 1)
	}
	most := enc.Most()
	if f := min(float64(most.X)/float64(p.X), float64(most.Y)/float64(p.Y)); f < 1 {
		p = scaled(p, f)
		p = image.Pt(min(p.X, most.X&^1), min(p.Y, most.Y&^1))
	}
	if f := to.limits.Scale(p.X, p.Y); f < 1 {
		p = image.Pt(int(float64(p.X)*f)&^1, int(float64(p.Y)*f)&^1)
	}
	return image.Pt(max(p.X, minSide), max(p.Y, minSide))
}

// rateWithin returns the frame rate that the decoders take of the encoded size.
func (r *rung) rateWithin(to target) int {
	p := r.size(to, r.limits())
	return to.limits.Rate(p.X, p.Y, to.fps)
}

// scaled returns a size at a fraction, in even numbers.
func scaled(p image.Point, f float64) image.Point {
	side := func(n int) int { return max(int(math.Round(float64(n)*f))&^1, minSide) }
	return image.Pt(side(p.X), side(p.Y))
}

// fit reports whether the encoder in use does not suit what is wanted: because of the size, or of a level that it states.
func (r *rung) fit(to target) bool {
	p := r.size(to, r.limits())
	most := to.limits.Level
	return p.X != r.width || p.Y != r.height || most > 0 && (r.level == 0 || r.level > most)
}

// open opens the best encoder that can be opened, at the largest size that it takes.
func (r *rung) open(ctx context.Context, now time.Time, to target) error {
	var errs []error
	order := r.roster.order(now, r.codec)
	if len(order) == 0 {
		return fmt.Errorf("session: no encoder of %s is left", r.codec)
	}
	for i, factory := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		limits := r.roster.limits(factory)
		p := r.size(to, limits)
		// Changes of a free encoder cost nothing: it is opened for the highest frame rate, which its stream's level states, and the first
		// picture brings the real one.
		params := encode.Params{Width: p.X, Height: p.Y, FPS: to.fps, BitsPerSecond: to.rate, Level: to.limits.Level}
		if factory.Profile().Price == encode.PriceFree {
			params.FPS = to.limits.Rate(p.X, p.Y, r.fpsLimit)
			if params.Level == 0 && r.codec == encode.H264 { // else a keyframe that is larger than others would raise it
				params.Level = int(encode.LevelOf(encode.Stream{Width: p.X, Height: p.Y, FPS: params.FPS, BitsPerSecond: to.rate}).IDC)
			}
		}
		if err := errors.Join(params.Validate(), limits.Check(p.X, p.Y)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", factory.Profile().Name, err))
			continue // as was to be expected
		}
		r.roster.use(factory, 1)
		w, err := startWorker(ctx, factory, params, r.log, r.met.hungEncoders, r.guard)
		if err != nil {
			r.roster.use(factory, -1)
			if ctx.Err() != nil {
				return err
			}
			errs = append(errs, err)
			r.replaced(order, i, r.refused(factory, p, err), err)
			continue
		}
		r.roster.opened(factory)
		r.worker, r.factory, r.openedAt = w, factory, now
		r.width, r.height, r.level = p.X, p.Y, params.Level
		r.betterAt = now.Add(lookForBetter)
		r.picture = false
		r.force = max(r.force, keyStart)
		r.setRate(now, to.rate, params.FPS)
		r.told = adapt.Applied{}
		r.mu.Lock()
		r.view.encoder, r.view.price = w.profile.Name, w.profile.Price
		r.view.hardware, r.view.took, r.view.fps, r.view.threads = w.profile.Hardware, 0, to.fps, w.profile.Threads
		r.view.width, r.view.height = r.width, r.height
		r.mu.Unlock()
		r.log.Info("encoder opened", "encoder", w.profile.Name, "width", r.width, "height", r.height,
			"bitrate", to.rate, "fps", to.fps)
		return nil
	}
	return errors.Join(errs...)
}

// lookForBetter is how often a rung looks whether an encoder that is preferred to its own may be used again.
const lookForBetter = time.Second

// better gives up the encoder in use for one that is preferred, once that is not banned any more and has room. The caller has a frame, which
// becomes a keyframe of the other; should it fail again, it is banned for longer.
func (r *rung) better(now time.Time, to target) {
	if r.worker == nil || now.Before(r.betterAt) {
		return
	}
	r.betterAt = now.Add(lookForBetter)
	next, ok := r.roster.better(now, r.factory)
	if !ok {
		return
	}
	limits := r.roster.limits(next)
	if p := r.size(to, limits); limits.Check(p.X, p.Y) != nil {
		return
	}
	r.log.Info("encoder is usable again", "encoder", next.Profile().Name, "instead_of", r.factory.Profile().Name)
	r.close(closeTimeout)
	r.force = max(r.force, keyEncoder)
}

// refused notes that an encoder could not be opened, and returns why. An encoder that takes no such size, or has no room for another, is
// as good as before for others.
func (r *rung) refused(f encode.Factory, size image.Point, err error) (reason string) {
	now := time.Now()
	switch {
	case errors.Is(err, encode.ErrSize) && r.roster.refusedSize(f, size):
		return fallbackSize
	case errors.Is(err, encode.ErrBusy):
		if limit := r.roster.busy(f, now); limit > 0 {
			r.log.Info("encoder has no room for another", "encoder", f.Profile().Name, "limit", limit)
		}
		return fallbackFull
	case errors.Is(err, errHung):
		r.roster.failed(f, now)
		return fallbackHang
	default:
		r.roster.failed(f, now)
		return fallbackOpen
	}
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
func (r *rung) fallback(err error, held bool) {
	reason, wait := fallbackErr, closeTimeout
	hung := errors.Is(err, errHung)
	_, panicked := errors.AsType[*guard.PanicError](err)
	switch {
	case hung:
		reason, wait = fallbackHang, 0
	case panicked:
		reason = fallbackPanic
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
	if (hung || panicked) && held { // nobody knows whether the frame will be released
		r.hooks.rebuild()
	} else {
		r.hooks.refresh()
	}
	if to == "" {
		r.stuck(time.Now(), err) // an encoder that hangs has taken its time
	}
}

// crashed goes on after a panic of the encode loop: with another encoder and another source, as nobody knows what became of the frame.
func (r *rung) crashed(now time.Time, err error) {
	from := ""
	if r.worker != nil {
		from = r.factory.Profile().Name
	}
	r.close(closeTimeout)
	r.picture = false
	r.hooks.fallback(r.codec, from, "", fallbackPanic, err)
	r.hooks.rebuild()
	r.stuck(now, err)
	r.restUntil = r.retryAt
}

// works notes that an encoder has made a picture. One that was opened may hang or err like the one before.
func (r *rung) works() {
	r.mu.Lock()
	r.view.stuck = false
	r.mu.Unlock()
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

package pipeline

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

// How changes of a picture's share of the rate are held back where they have a price: nothing under a tenth, no raise
// within two seconds of the change before, and no cut within half a second.
const (
	dearStep  = 0.1
	dearRaise = 2 * time.Second
	dearCut   = 500 * time.Millisecond
)

// share is what the encoder was told to give each picture, in bits. It is all that an encoder takes of a rate and a
// frame rate: its buffer has one share, and it deals the rate out by the picture.
func (e *Encoding) share() int { return e.rate / max(e.rateFPS, 1) }

// reprice reports whether the encoder should be told of another rate. Each controller holds its own targets back by
// the price, but the least of several changes whenever any of them does, and with each who joins or leaves, and a step
// in the frame rate changes what each picture may take though the rate stays. For one viewer its bounds are the wider
// ones, so that it lets through what the controller asks for.
func (e *Encoding) reprice(now time.Time, rate, fps int) bool {
	if rate == e.rate && fps == e.rateFPS {
		return false
	}
	// The first picture of an encoder is a keyframe anyway.
	if e.worker.profile.Price == encode.PriceFree || !e.picture {
		return true
	}
	since := now.Sub(e.rateAt)
	switch change := float64(rate/fps-e.share()) / float64(max(e.share(), 1)); {
	case change > dearStep:
		return since >= dearRaise
	case change < -dearStep:
		return since >= dearCut
	default:
		return false
	}
}

// What the first picture of a viewer may have: as many bits as the path carries in firstShare, but no more than
// firstBits for each pixel, with which a page of small text has 42 dB and more (docs/develop/benchmarks.md). It leaves
// faster than at that rate, so that it is whole after 77 ms where one share of a picture takes 13; a viewer who joins
// has waited longer for the connection, and cannot read what one share shows.
const (
	firstShare = 100 * time.Millisecond
	firstBits  = 1
)

// enlarge returns how many pictures' bits the keyframe that is due may have: more than one where it is the first
// picture that somebody sees, and holds up no motion that others see.
func (e *Encoding) enlarge(members []*subscription, now time.Time, to target) int {
	newcomer := false
	for _, m := range members {
		switch {
		case !m.now.Live || !m.now.Ready:
		case m.synced && now.Sub(e.lastFrame) < quietAfter:
			return 1
		case !m.synced && !m.fellOff && !m.now.Arriving:
			newcomer = true
		}
	}
	if !newcomer {
		return 1
	}
	bits := min(to.rate*int(firstShare/time.Millisecond)/1000, firstBits*e.width*e.height)
	return max(bits*to.fps/to.rate, 1)
}

func (e *Encoding) setRate(now time.Time, rate, fps int) {
	e.rate, e.rateFPS, e.rateAt = rate, fps, now
	e.mu.Lock()
	e.view.BitsPerSecond = rate
	e.mu.Unlock()
}

// limits returns the sizes that the encoder in use takes, or the one that would be opened.
func (e *Encoding) encoderLimits() encode.Limits {
	if e.worker != nil {
		return e.encoders.limits(e.factory)
	}
	if order := e.encoders.order(time.Now(), e.codec); len(order) > 0 {
		return e.encoders.limits(order[0])
	}
	return encode.Limits{}
}

// size returns the encoded size. At the display's own size an odd last column or row is kept, and repeated once, since
// encoders take even sizes only: to scale the picture by one pixel would blur all of it.
func (e *Encoding) size(to target, enc encode.Limits) image.Point {
	own := image.Pt(e.src.width, e.src.height)
	p := e.limits.Size(own)
	if to.scale < 1 {
		p = scaled(p, to.scale)
	}
	if p == own {
		p = image.Pt(max((p.X+1)&^1, encode.MinSide), max((p.Y+1)&^1, encode.MinSide))
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
	return image.Pt(max(p.X, encode.MinSide), max(p.Y, encode.MinSide))
}

// rateWithin returns the frame rate that the decoders take of the encoded size.
func (e *Encoding) rateWithin(to target) int {
	p := e.size(to, e.encoderLimits())
	return to.limits.Rate(p.X, p.Y, to.fps)
}

// scaled returns a size at a fraction, in even numbers.
func scaled(p image.Point, f float64) image.Point {
	side := func(n int) int { return max(int(math.Round(float64(n)*f))&^1, encode.MinSide) }
	return image.Pt(side(p.X), side(p.Y))
}

// fit reports whether the encoder in use does not suit what is wanted: because of the size, or of a level that it
// states.
func (e *Encoding) fit(to target) bool {
	p := e.size(to, e.encoderLimits())
	most := to.limits.Level
	return p.X != e.width || p.Y != e.height || most > 0 && (e.level == 0 || e.level > most)
}

// open opens the best encoder that can be opened, at the largest size that it takes.
func (e *Encoding) open(ctx context.Context, now time.Time, to target) error {
	var errs []error
	order := e.encoders.order(now, e.codec)
	if len(order) == 0 {
		return fmt.Errorf("session: no encoder of %s is left", e.codec)
	}
	for i, factory := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		limits := e.encoders.limits(factory)
		p := e.size(to, limits)
		// Changes of a free encoder cost nothing: it is opened for the highest frame rate, which its stream's level
		// states, and the first picture brings the real one.
		params := encode.Params{Width: p.X, Height: p.Y, FPS: to.fps, BitsPerSecond: to.rate, Level: to.limits.Level}
		if factory.Profile().Price == encode.PriceFree {
			params.FPS = to.limits.Rate(p.X, p.Y, e.limits.FPS)
			// Else a keyframe that is larger than others would raise it.
			if params.Level == 0 && e.codec == encode.H264 {
				params.Level = int(encode.LevelOf(encode.Stream{
					Width: p.X, Height: p.Y, FPS: params.FPS,
					BitsPerSecond: to.rate,
				}).IDC)
			}
		}
		if err := errors.Join(params.Validate(), limits.Check(p.X, p.Y)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", factory.Profile().Name, err))
			continue // as was to be expected
		}
		e.encoders.use(factory, 1)
		w, err := openGuarded(ctx, factory, params, e.log, e.met.hungEncoders, e.guard)
		if err != nil {
			e.encoders.use(factory, -1)
			if ctx.Err() != nil {
				return err
			}
			errs = append(errs, err)
			e.replaced(order, i, e.refused(factory, p, err), err)
			continue
		}
		e.encoders.opened(factory)
		e.worker, e.factory, e.openedAt = w, factory, now
		e.width, e.height, e.level = p.X, p.Y, params.Level
		e.betterAt = now.Add(lookForBetter)
		e.picture = false
		e.force = max(e.force, keyStart)
		e.setRate(now, to.rate, params.FPS)
		e.told = adapt.Applied{}
		e.mu.Lock()
		e.view.Encoder, e.view.Price = w.profile.Name, w.profile.Price
		e.view.hardware, e.view.took, e.view.fps, e.view.threads = w.profile.Hardware, 0, to.fps, w.profile.Threads
		e.view.Width, e.view.Height = e.width, e.height
		e.mu.Unlock()
		e.log.Info("encoder opened", "encoder", w.profile.Name, "width", e.width, "height", e.height,
			"bitrate", to.rate, "fps", to.fps)
		return nil
	}
	return errors.Join(errs...)
}

// lookForBetter is how often a rung looks whether an encoder that is preferred to its own may be used again.
const lookForBetter = time.Second

// better gives up the encoder in use for one that is preferred, once that is not banned any more and has room. The
// caller has a frame, which becomes a keyframe of the other; should it fail again, it is banned for longer.
func (e *Encoding) better(now time.Time, to target) {
	if e.worker == nil || now.Before(e.betterAt) {
		return
	}
	e.betterAt = now.Add(lookForBetter)
	next, ok := e.encoders.better(now, e.factory)
	if !ok {
		return
	}
	limits := e.encoders.limits(next)
	if p := e.size(to, limits); limits.Check(p.X, p.Y) != nil {
		return
	}
	e.log.Info("encoder is usable again", "encoder", next.Profile().Name, "instead_of", e.factory.Profile().Name)
	e.close(closeTimeout)
	e.force = max(e.force, keyEncoder)
}

// refused notes that an encoder could not be opened, and returns why. An encoder that takes no such size, or has no
// room for another, is as good as before for others.
func (e *Encoding) refused(f encode.Factory, size image.Point, err error) (reason FallbackReason) {
	now := time.Now()
	switch {
	case errors.Is(err, encode.ErrSize) && e.encoders.refusedSize(f, size):
		return FallbackSize
	case errors.Is(err, encode.ErrBusy):
		if limit := e.encoders.busy(f, now); limit > 0 {
			e.log.Info("encoder has no room for another", "encoder", f.Profile().Name, "limit", limit)
		}
		return FallbackFull
	case errors.Is(err, errHung):
		e.encoders.failed(f, now)
		return FallbackHang
	default:
		e.encoders.failed(f, now)
		return FallbackOpen
	}
}

// close closes the encoder, if one is open, and waits for that at most so long.
func (e *Encoding) close(wait time.Duration) {
	if e.worker == nil {
		return
	}
	e.worker.stop(wait)
	e.worker = nil
	e.encoders.use(e.factory, -1)
}

// replaced tells that the i-th encoder of order gives way to the next.
func (e *Encoding) replaced(order []encode.Factory, i int, reason FallbackReason, err error) {
	to := ""
	if i+1 < len(order) {
		to = order[i+1].Profile().Name
	}
	e.hooks.fallback(Fallback{Codec: e.codec, From: order[i].Profile().Name, To: to, Reason: reason, Err: err})
}

// fallback gives up the encoder in use. The next picture opens the next one.
func (e *Encoding) fallback(err error, held bool) {
	reason, wait := FallbackError, closeTimeout
	hung := errors.Is(err, errHung)
	_, panicked := errors.AsType[*guard.PanicError](err)
	switch {
	case hung:
		reason, wait = FallbackHang, 0
	case panicked:
		reason = FallbackPanic
	}
	e.close(wait)
	e.encoders.failed(e.factory, time.Now())
	to := ""
	if p, ok := e.encoders.best(time.Now(), e.codec); ok && p.Name != e.factory.Profile().Name {
		to = p.Name
	}
	e.hooks.fallback(Fallback{Codec: e.codec, From: e.factory.Profile().Name, To: to, Reason: reason, Err: err})
	e.force = keyEncoder
	e.refreshed = true
	if (hung || panicked) && held { // nobody knows whether the frame will be released
		e.hooks.rebuild()
	} else {
		e.hooks.refresh()
	}
	if to == "" {
		e.stuck(time.Now(), err) // an encoder that hangs has taken its time
	}
}

// crashed goes on after a panic of the encode loop: with another encoder and another source, as nobody knows what
// became of the frame.
func (e *Encoding) crashed(now time.Time, err error) {
	from := ""
	if e.worker != nil {
		from = e.factory.Profile().Name
	}
	e.close(closeTimeout)
	e.picture = false
	e.hooks.fallback(Fallback{Codec: e.codec, From: from, Reason: FallbackPanic, Err: err})
	e.hooks.rebuild()
	e.stuck(now, err)
	e.restUntil = e.retryAt
}

// works notes that an encoder has made a picture. One that was opened may hang or err like the one before.
func (e *Encoding) works() {
	e.mu.Lock()
	e.view.Stuck = false
	e.mu.Unlock()
}

// stuck waits with what is there until an encoder may work again. The viewers stay, frozen.
func (e *Encoding) stuck(now time.Time, err error) {
	e.mu.Lock()
	e.view.Stuck = true
	e.mu.Unlock()
	if now.Sub(e.openedAt) > encoderRetryMax {
		e.retry = encoderRetry // the one before worked for a while
	}
	e.log.Error("no encoder works; the picture stands", "retry", e.retry, "err", err)
	e.retryAt = now.Add(e.retry)
	e.retry = min(2*e.retry, encoderRetryMax)
	e.force = keyEncoder
	e.refreshed = false
}

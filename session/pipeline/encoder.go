package pipeline

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync"
	"time"

	"wavryhost/encode"
	"wavryhost/platform/guard"
)

// Backoff when all encoders fail: initial and maximum.
const (
	encoderRetry    = time.Second
	encoderRetryMax = 10 * time.Second
)

// activeEncoder is the encoder of an encode loop: the open one, what it runs at, and when the next one may be tried.
type activeEncoder struct {
	of      *Encoding
	open    *guardedEncoder    // nil while none is open
	factory encode.Factory     // of the encoder that is or was open
	source  image.Point        // size of the frames
	size    image.Point        // of the encoded pictures
	level   int                // level_idc that it was opened with, 0 for none
	h264    encode.H264Profile // of its stream, 0 if it always makes the same one
	// rate in bits per second and rateFPS are what it was told at rateAt.
	rate, rateFPS int
	rateAt        time.Time
	openedAt      time.Time
	betterAt      time.Time // when to look for a better encoder
	second        rateWindow
	complainedAt  time.Time
	next          *successor     // nil while none is being opened
	tasks         sync.WaitGroup // what opens and closes encoders in the background

	resizedAt time.Time // when a picture was requested for another size

	// When all encoders fail, the next attempt is at retryAt, and retry is the wait after that.
	retryAt time.Time
	retry   time.Duration
}

// target is what an encoding does for its subscribers.
type target struct {
	rate, fps int
	scale     float64
	limits    encode.DecoderLimits
}

// start opens the first encoder that can be opened, at the largest size that it supports.
func (a *activeEncoder) start(ctx context.Context, now time.Time, to target) error {
	order := a.of.encoders.order(now, a.of.format)
	if len(order) == 0 {
		return fmt.Errorf("pipeline: no encoder of %s is left", a.of.format)
	}
	var errs []error
	for i, factory := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		name, limits := factory.Profile().Name, a.of.encoders.limits(factory)
		params := a.params(factory, limits, to)
		if err := errors.Join(params.Validate(), limits.Check(params.Width, params.Height)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue // as expected
		}
		a.of.encoders.use(factory, 1)
		encoder, err := openGuarded(ctx, factory, params, a.of.log, a.of.met.hungEncoders, a.of.guard)
		if err == nil {
			a.opened(now, encoder, factory, params, to)
			return nil
		}
		a.of.encoders.use(factory, -1)
		if ctx.Err() != nil {
			return err
		}
		errs = append(errs, err)
		reason := a.refused(factory, image.Pt(params.Width, params.Height), err)
		next := ""
		if i+1 < len(order) {
			next = order[i+1].Profile().Name
		}
		a.of.hooks.fallback(Fallback{Format: a.of.format, From: name, To: next, Reason: reason, Err: err})
	}
	return errors.Join(errs...)
}

// params returns the parameters to open an encoder with. Rate changes of a free encoder cost nothing: it is opened for
// the highest frame rate, so that its stream states the level of that, and the first picture brings the real one.
func (a *activeEncoder) params(factory encode.Factory, limits encode.Limits, to target) encode.Params {
	p := a.sizeFor(to, limits)
	params := encode.Params{
		Width: p.X, Height: p.Y, FPS: to.fps, BitsPerSecond: to.rate, Level: to.limits.Level, H264: to.limits.H264,
	}
	if factory.Profile().Price != encode.PriceFree {
		return params
	}
	params.FPS = to.limits.Rate(p.X, p.Y, a.of.limits.FPS)
	// Without a level, a keyframe that is larger than others would raise it.
	if params.Level == 0 && a.of.format == encode.H264 {
		stream := encode.Stream{Width: p.X, Height: p.Y, FPS: params.FPS, BitsPerSecond: to.rate}
		params.Level = int(encode.LevelOf(a.of.format.Codec, stream).IDC)
	}
	return params
}

// opened notes the encoder that was opened.
func (a *activeEncoder) opened(
	now time.Time, encoder *guardedEncoder, factory encode.Factory, params encode.Params, to target,
) {
	a.of.encoders.opened(factory)
	encoder.prompt = a.of.encoders.hasFailed(factory)
	a.open, a.factory, a.openedAt = encoder, factory, now
	a.size, a.level = image.Pt(params.Width, params.Height), params.Level
	a.h264 = encoder.profile.H264Within(params.H264)
	a.betterAt = now.Add(lookForBetter)
	a.second = rateWindow{}
	a.setRate(now, to.rate, params.FPS)
	profile, surfaces := encoder.profile, a.of.encoders.surfaces(factory)
	a.of.setStatus(func(s *EncodingStatus) {
		s.Encoder, s.Price = profile.Name, profile.Price
		s.Width, s.Height = params.Width, params.Height
		s.hardware, s.took, s.fps, s.threads = profile.Hardware, 0, to.fps, profile.Threads
		s.surfaces = surfaces
	})
	a.of.hooks.suit()
	a.of.log.Info("encoder opened", "encoder", profile.Name, "width", params.Width, "height", params.Height,
		"bitrate", to.rate, "fps", to.fps, "h264_profile", a.h264.String())
}

// refused notes that an encoder could not be opened, and returns why. An encoder that does not support the size, or
// has no room for another encoding, is as good as before for others.
func (a *activeEncoder) refused(f encode.Factory, size image.Point, err error) FallbackReason {
	now := time.Now()
	switch {
	case errors.Is(err, encode.ErrSize) && a.of.encoders.refusedSize(f, size, err):
		return FallbackSize
	case errors.Is(err, encode.ErrBusy):
		if limit := a.of.encoders.busy(f, now); limit > 0 {
			a.of.log.Info("encoder has no room for another encoding", "encoder", f.Profile().Name, "limit", limit)
		}
		return FallbackFull
	case errors.Is(err, errHung):
		a.of.encoders.failed(f, now)
		return FallbackHang
	default:
		a.of.encoders.failed(f, now)
		return FallbackOpen
	}
}

// lookForBetter is how often an encoding checks whether an encoder that is preferred to its own is usable again.
const lookForBetter = time.Second

// better returns an encoder that is preferred to the open one and usable again. If it fails again, it is banned for
// longer.
func (a *activeEncoder) better(now time.Time, to target) (encode.Factory, bool) {
	if now.Before(a.betterAt) {
		return nil, false
	}
	a.betterAt = now.Add(lookForBetter)
	next, ok := a.of.encoders.better(now, a.factory)
	if !ok {
		return nil, false
	}
	limits := a.of.encoders.limits(next)
	if p := a.sizeFor(to, limits); limits.Check(p.X, p.Y) != nil {
		return nil, false
	}
	a.of.log.Info("encoder is usable again", "encoder", next.Profile().Name, "instead_of", a.name())
	return next, true
}

// close closes the encoder, if one is open, and waits for that. It gives up the next one.
func (a *activeEncoder) close(timeout time.Duration) {
	a.drop()
	if a.open == nil {
		return
	}
	a.open.stop(timeout)
	a.open = nil
	a.of.encoders.use(a.factory, -1)
}

// fail closes the encoder after an error of it. It reports whether another one is left to try, and whether the encoder
// may never release the frame that it was given.
func (a *activeEncoder) fail(err error) (another, keepsFrame bool) {
	reason, timeout := FallbackError, closeTimeout
	hung := errors.Is(err, errHung)
	_, panicked := errors.AsType[*guard.PanicError](err)
	switch {
	case hung:
		reason, timeout = FallbackHang, 0
	case panicked:
		reason = FallbackPanic
	case errors.Is(err, encode.ErrOutput):
		reason = FallbackOutput
	case errors.Is(err, errRate):
		reason = FallbackRate
	case errors.Is(err, encode.ErrSurface):
		reason = FallbackSurface
	}
	a.close(timeout)
	from, to := a.name(), ""
	if reason == FallbackSurface {
		to = from
		a.of.encoders.noSurfaces(a.factory)
		a.of.setStatus(func(s *EncodingStatus) { s.Encoder = "" }) // the next one reads main memory
		a.of.hooks.suit()
	} else {
		a.of.encoders.failed(a.factory, time.Now())
		if p, ok := a.of.encoders.best(time.Now(), a.of.format); ok && p.Name != from {
			to = p.Name
		}
	}
	a.of.hooks.fallback(Fallback{Format: a.of.format, From: from, To: to, Reason: reason, Err: err})
	return to != "", hung || panicked
}

// name returns the name of the encoder that is or was open, or an empty one.
func (a *activeEncoder) name() string {
	if a.factory == nil {
		return ""
	}
	return a.factory.Profile().Name
}

// backOff sets the time of the next attempt after all encoders failed. Until then the picture is frozen.
func (a *activeEncoder) backOff(now time.Time, err error) {
	a.of.setStatus(func(s *EncodingStatus) { s.Stuck = true })
	if now.Sub(a.openedAt) > encoderRetryMax {
		a.retry = encoderRetry // the previous encoder worked for a while
	}
	a.of.log.Error("all encoders failed; video is frozen", "retry", a.retry, "err", err)
	a.retryAt = now.Add(a.retry)
	a.retry = min(2*a.retry, encoderRetryMax)
}

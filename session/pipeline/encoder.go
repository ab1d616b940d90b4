package pipeline

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/guard"
)

// Backoff when all encoders fail: initial and maximum.
const (
	encoderRetry    = time.Second
	encoderRetryMax = 10 * time.Second
)

// open opens the first encoder that can be opened, at the largest size that it supports.
func (l *encodeLoop) open(ctx context.Context, now time.Time, to target) error {
	order := l.encoders.order(now, l.format)
	if len(order) == 0 {
		return fmt.Errorf("pipeline: no encoder of %s is left", l.format)
	}
	var errs []error
	for i, factory := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		name, limits := factory.Profile().Name, l.encoders.limits(factory)
		params := l.params(factory, limits, to)
		if err := errors.Join(params.Validate(), limits.Check(params.Width, params.Height)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue // as expected
		}
		l.encoders.use(factory, 1)
		encoder, err := openGuarded(ctx, factory, params, l.log, l.met.hungEncoders, l.guard)
		if err == nil {
			l.opened(now, encoder, factory, params, to)
			return nil
		}
		l.encoders.use(factory, -1)
		if ctx.Err() != nil {
			return err
		}
		errs = append(errs, err)
		reason := l.refused(factory, image.Pt(params.Width, params.Height), err)
		next := ""
		if i+1 < len(order) {
			next = order[i+1].Profile().Name
		}
		l.hooks.fallback(Fallback{Format: l.format, From: name, To: next, Reason: reason, Err: err})
	}
	return errors.Join(errs...)
}

// params returns the parameters to open an encoder with. Rate changes of a free encoder cost nothing: it is opened for
// the highest frame rate, so that its stream states the level of that, and the first picture brings the real one.
func (l *encodeLoop) params(factory encode.Factory, limits encode.Limits, to target) encode.Params {
	p := l.sizeFor(to, limits)
	params := encode.Params{Width: p.X, Height: p.Y, FPS: to.fps, BitsPerSecond: to.rate, Level: to.limits.Level}
	if factory.Profile().Price != encode.PriceFree {
		return params
	}
	params.FPS = to.limits.Rate(p.X, p.Y, l.limits.FPS)
	if params.Level == 0 && l.format == encode.H264 { // without it, a keyframe that is larger than others would raise it
		stream := encode.Stream{Width: p.X, Height: p.Y, FPS: params.FPS, BitsPerSecond: to.rate}
		params.Level = int(encode.LevelOf(stream).IDC)
	}
	return params
}

// opened notes the encoder that was opened.
func (l *encodeLoop) opened(
	now time.Time, encoder *guardedEncoder, factory encode.Factory, params encode.Params, to target,
) {
	l.encoders.opened(factory)
	encoder.prompt = l.encoders.hasFailed(factory)
	l.encoder, l.factory, l.openedAt = encoder, factory, now
	l.size, l.level = image.Pt(params.Width, params.Height), params.Level
	l.betterAt = now.Add(lookForBetter)
	l.hasPicture, l.second = false, rateWindow{}
	l.force = max(l.force, keyStart)
	l.setRate(now, to.rate, params.FPS)
	l.applied = adapt.Applied{}
	profile := encoder.profile
	l.setStatus(func(s *EncodingStatus) {
		s.Encoder, s.Price = profile.Name, profile.Price
		s.Width, s.Height = params.Width, params.Height
		s.hardware, s.took, s.fps, s.threads = profile.Hardware, 0, to.fps, profile.Threads
	})
	l.log.Info("encoder opened", "encoder", profile.Name, "width", params.Width, "height", params.Height,
		"bitrate", to.rate, "fps", to.fps)
}

// refused notes that an encoder could not be opened, and returns why. An encoder that does not support the size, or
// has no room for another encoding, is as good as before for others.
func (l *encodeLoop) refused(f encode.Factory, size image.Point, err error) FallbackReason {
	now := time.Now()
	switch {
	case errors.Is(err, encode.ErrSize) && l.encoders.refusedSize(f, size, err):
		return FallbackSize
	case errors.Is(err, encode.ErrBusy):
		if limit := l.encoders.busy(f, now); limit > 0 {
			l.log.Info("encoder has no room for another encoding", "encoder", f.Profile().Name, "limit", limit)
		}
		return FallbackFull
	case errors.Is(err, errHung):
		l.encoders.failed(f, now)
		return FallbackHang
	default:
		l.encoders.failed(f, now)
		return FallbackOpen
	}
}

// lookForBetter is how often an encoding checks whether an encoder that is preferred to its own is usable again.
const lookForBetter = time.Second

// better closes the open encoder if a preferred one is usable again. The caller has a frame, which becomes a keyframe
// of the other one. If that fails again, it is banned for longer.
func (l *encodeLoop) better(now time.Time, to target) {
	if l.encoder == nil || now.Before(l.betterAt) {
		return
	}
	l.betterAt = now.Add(lookForBetter)
	next, ok := l.encoders.better(now, l.factory)
	if !ok {
		return
	}
	limits := l.encoders.limits(next)
	if p := l.sizeFor(to, limits); limits.Check(p.X, p.Y) != nil {
		return
	}
	l.log.Info("encoder is usable again", "encoder", next.Profile().Name, "instead_of", l.factory.Profile().Name)
	l.close(closeTimeout)
	l.force = max(l.force, keyEncoder)
}

// close closes the encoder, if one is open, and waits for that.
func (l *encodeLoop) close(timeout time.Duration) {
	if l.encoder == nil {
		return
	}
	l.encoder.stop(timeout)
	l.encoder = nil
	l.encoders.use(l.factory, -1)
}

// fallback replaces the encoder after an error. The next picture opens the next one. held reports whether the encoder
// has a frame.
func (l *encodeLoop) fallback(err error, held bool) {
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
	}
	l.close(timeout)
	l.encoders.failed(l.factory, time.Now())
	from, to := l.factory.Profile().Name, ""
	if p, ok := l.encoders.best(time.Now(), l.format); ok && p.Name != from {
		to = p.Name
	}
	l.hooks.fallback(Fallback{Format: l.format, From: from, To: to, Reason: reason, Err: err})
	l.force = keyEncoder
	l.refreshing = true
	if (hung || panicked) && held { // the frame may never be released
		l.hooks.rebuild()
	} else {
		l.hooks.refresh()
	}
	if to == "" {
		l.stuck(time.Now(), err) // a call that hung took its time
	}
}

// crashed continues after a panic of the encode loop, with another encoder and another source: the frame may never be
// released.
func (l *encodeLoop) crashed(now time.Time, err error) {
	from := ""
	if l.encoder != nil {
		from = l.factory.Profile().Name
	}
	l.close(closeTimeout)
	l.hasPicture = false
	l.hooks.fallback(Fallback{Format: l.format, From: from, Reason: FallbackPanic, Err: err})
	l.hooks.rebuild()
	l.stuck(now, err)
	l.restUntil = l.retryAt
}

// stuck waits until an encoder may work again. The subscribers stay, with a frozen picture.
func (l *encodeLoop) stuck(now time.Time, err error) {
	l.setStatus(func(s *EncodingStatus) { s.Stuck = true })
	if now.Sub(l.openedAt) > encoderRetryMax {
		l.retry = encoderRetry // the previous encoder worked for a while
	}
	l.log.Error("all encoders failed; video is frozen", "retry", l.retry, "err", err)
	l.retryAt = now.Add(l.retry)
	l.retry = min(2*l.retry, encoderRetryMax)
	l.force = keyEncoder
	l.refreshing = false
}

package pipeline

import (
	"context"
	"errors"
	"image"
	"time"

	"wavryhost/encode"
)

// successor is an encoder that is opened while another one encodes. A device takes some hundred milliseconds to open,
// in which viewers would see no picture.
type successor struct {
	factory encode.Factory
	params  encode.Params
	result  chan opening // capacity 1
}

// opening is the result of opening an encoder.
type opening struct {
	encoder *guardedEncoder
	err     error
}

// follow replaces the open encoder if it does not fit the target, or if a preferred one is usable again. A device is
// opened first, while the encoder continues; one on the processor opens within a frame time. It returns why the next
// picture is a keyframe. No encoder is open then, or the other one.
func (a *activeEncoder) follow(ctx context.Context, now time.Time, to target) (why keyReason) {
	switch {
	case a.open == nil:
		return keyNone
	case a.next != nil:
		return a.succeed(now, to)
	}
	factory := a.factory
	if preferred, ok := a.better(now, to); ok {
		factory, why = preferred, keyEncoder
	} else if !a.fits(to) {
		why = keyStart
	} else {
		return keyNone
	}
	limits := a.of.encoders.limits(factory)
	params := a.params(factory, limits, to)
	possible := errors.Join(params.Validate(), limits.Check(params.Width, params.Height)) == nil
	if possible && factory.Profile().Hardware && a.of.encoders.hasRoom(factory, now) {
		a.prepare(ctx, factory, params)
		return keyNone
	}
	a.close(closeTimeout)
	return why
}

// prepare begins to open the next encoder.
func (a *activeEncoder) prepare(ctx context.Context, factory encode.Factory, params encode.Params) {
	s := &successor{factory: factory, params: params, result: make(chan opening, 1)}
	a.next = s
	a.of.encoders.use(factory, 1)
	a.tasks.Go(func() { // unguarded: calls of the encoder are guarded
		encoder, err := openGuarded(ctx, factory, params, a.of.log, a.of.met.hungEncoders, a.of.guard)
		s.result <- opening{encoder, err}
		a.of.hooks.refresh() // without a frame, a still picture would stay with the former encoder
	})
}

// succeed replaces the open encoder by the next one, once that is open.
func (a *activeEncoder) succeed(now time.Time, to target) keyReason {
	var o opening
	s := a.next
	select {
	case o = <-s.result:
	default:
		return keyNone
	}
	a.next = nil
	same := s.factory.Profile().Name == a.name()
	switch wanted := a.params(s.factory, a.of.encoders.limits(s.factory), to); {
	case o.err != nil:
		a.of.encoders.use(s.factory, -1)
		if same { // one after the other
			if errors.Is(o.err, encode.ErrBusy) {
				a.of.encoders.busy(s.factory, now)
			}
			a.close(closeTimeout)
			return keyStart
		}
		reason := a.refused(s.factory, image.Pt(s.params.Width, s.params.Height), o.err)
		a.of.hooks.fallback(Fallback{
			Format: a.of.format, From: s.factory.Profile().Name, To: a.name(), Reason: reason, Err: o.err,
		})
		return keyNone
	case s.params.Width != wanted.Width || s.params.Height != wanted.Height || s.params.Level != wanted.Level ||
		s.params.H264 != wanted.H264: // the target has changed again
		a.retire(o.encoder, s.factory)
		return keyNone
	}
	a.retire(a.open, a.factory)
	a.opened(now, o.encoder, s.factory, s.params, to)
	if same {
		return keyStart
	}
	return keyEncoder
}

// retire closes an encoder in the background.
func (a *activeEncoder) retire(encoder *guardedEncoder, factory encode.Factory) {
	a.tasks.Go(func() { // unguarded: calls of the encoder are guarded
		encoder.stop(closeTimeout)
		a.of.encoders.use(factory, -1)
	})
}

// drop gives up the next encoder.
func (a *activeEncoder) drop() {
	s := a.next
	if s == nil {
		return
	}
	a.next = nil
	a.tasks.Go(func() { // unguarded: calls of the encoder are guarded
		if o := <-s.result; o.encoder != nil {
			o.encoder.stop(closeTimeout)
		}
		a.of.encoders.use(s.factory, -1)
	})
}

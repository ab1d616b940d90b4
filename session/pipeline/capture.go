package pipeline

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"time"

	"wavryhost/capture"
)

// How a lost display is opened again, and how often it is captured while no subscriber is ready. A display that is
// lost again within reopenMax flaps: the backoff continues to grow, and the display counts as back only after that
// time.
const (
	reopenFirst = 100 * time.Millisecond
	reopenMax   = 2 * time.Second
	slowCapture = 100 * time.Millisecond
)

// errRebuild ends a source because an encoder that hangs holds one of its frames.
var errRebuild = errors.New("pipeline: source is reopened")

// capture opens the display again and again until ctx ends.
//
// The capture loop follows damage: it captures at once when the display changes, and not again before a frame time has
// passed. Each encoding has room for one frame, and the newest wins. While no subscriber is connected, nothing is
// captured. While none is ready, ten frames a second are, so that the frame that waits is fresh.
func (p *Pipeline) capture(ctx context.Context) {
	wait, first := reopenFirst, true
	var dwell time.Duration
	for {
		began := time.Now()
		frames, err := p.captureOnce(ctx, first, dwell)
		switch {
		case frames == 0:
		case first || time.Since(began) >= reopenMax:
			first, wait, dwell = false, reopenFirst, 0
		default:
			dwell = reopenMax
		}
		switch {
		case ctx.Err() != nil:
			if first {
				p.fail(context.Cause(ctx))
			}
			return
		case first:
			p.fail(err)
			return
		case errors.Is(err, errRebuild):
			continue
		}
		p.lose(LostGone, err)
		// An attempt that hung has waited already.
		timer := time.NewTimer(wait - time.Since(began))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		wait = min(2*wait, reopenMax)
	}
}

// fail ends the wait for the first frame with an error.
func (p *Pipeline) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.opened: // a call that hung has returned after all
		return
	default:
	}
	p.openErr = fmt.Errorf("%w: %s: %w", ErrNoPicture, p.display.ID, err)
	close(p.opened)
}

// captureOnce opens the display and captures it until that fails. It returns the number of frames. A lost display is
// back with the first frame, or once it has lived for dwell.
func (p *Pipeline) captureOnce(ctx context.Context, first bool, dwell time.Duration) (frames int, err error) {
	defer p.guard.Catch(partCapture, &err) // after a panic the display is lost and reopened, as after an error
	began := time.Now()
	p.call(true)
	defer p.call(false)
	source, err := p.display.Open(ctx, capture.Demand{FPS: p.limits.FPS})
	if err != nil {
		return 0, fmt.Errorf("open display: %w", err)
	}
	defer func() {
		p.call(true)
		if err := source.Close(); err != nil {
			p.log.Warn("display not closed cleanly", "err", err)
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.setSource(source, cancel)
	defer p.setSource(nil, nil)
	var size image.Point
	var anchor time.Time // when the previous frame was due
	for {
		if frames > 0 {
			if err := p.pause(ctx, anchor); err != nil {
				return frames, err
			}
		}
		p.call(true)
		f, err := source.Next(ctx)
		p.call(false)
		if err != nil {
			return frames, errors.Join(err, context.Cause(ctx))
		}
		if ctx.Err() != nil { // the call may have been abandoned, and the encodings with it
			f.Release()
			return frames, context.Cause(ctx)
		}
		frames++
		p.met.count(frameCaptured)
		p.met.capture.Observe(f.Took.Seconds())
		anchor = rhythm(anchor, f.Time, p.pace())
		now := image.Pt(f.Width, f.Height)
		switch {
		case frames == 1:
			f.Damage = []image.Rectangle{f.Bounds()}
			p.hand(f, !first)
			p.arrive(now)
			if !first {
				p.settle(began.Add(dwell))
			}
		case len(f.Damage) == 0 && now == size:
			f.Release()
			p.met.Drop(DropUnchanged)
		default:
			p.hand(f, false)
			if now != size {
				p.arrive(now)
			}
		}
		size = now
	}
}

// setSource notes the open source and what ends it.
func (p *Pipeline) setSource(source capture.Source, rebuild context.CancelCauseFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.source, p.rebuild = source, rebuild
}

// rhythm returns the time from which the next frame time counts. A run of frames keeps its rhythm although timers are
// late. The first frame after a pause sets a new one.
func rhythm(previous, captured time.Time, interval time.Duration) time.Time {
	due := previous.Add(interval)
	if late := captured.Sub(due); late >= 0 && late < interval/4 {
		return due
	}
	return captured
}

// pause waits until a frame time has passed since anchor and a subscriber is connected.
func (p *Pipeline) pause(ctx context.Context, anchor time.Time) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var due <-chan time.Time
		if p.watched() {
			wait := time.Until(anchor.Add(p.pace()))
			if wait <= 0 {
				return nil
			}
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.kick:
		case <-due:
		}
	}
}

// watched reports whether an encoding has a connected subscriber.
func (p *Pipeline) watched() bool {
	return slices.ContainsFunc(p.encodings, func(e *Encoding) bool { return e.forCapture.active.Load() })
}

// pace returns the time from one frame to the next, which is that of the fastest encoding.
func (p *Pipeline) pace() time.Duration {
	fps, congested := int64(1), true
	for _, e := range p.encodings {
		if e.forCapture.active.Load() {
			fps = max(fps, e.forCapture.fps.Load())
			congested = congested && e.forCapture.congested.Load()
		}
	}
	interval := time.Second / time.Duration(fps)
	if congested && p.watched() {
		interval = max(interval, slowCapture)
	}
	return interval
}

// hand gives f to all encodings and releases it. If cut is set, it becomes a keyframe.
func (p *Pipeline) hand(f *capture.Frame, cut bool) {
	defer f.Release()
	for _, e := range p.encodings {
		if cut {
			e.forCapture.cut.Store(true)
		}
		if f.Seq > 1 && !e.forCapture.occupied.Load() {
			continue // it asks for a whole picture when it has a subscriber
		}
		if !e.frames.put(f.Retain()) {
			continue
		}
		if e.forCapture.blocked.Load() {
			p.met.Drop(DropCongested)
		} else {
			p.met.Drop(DropBusy)
		}
	}
}

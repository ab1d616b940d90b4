package pipeline

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/platform/guard"
	"wavryhost/session/progress"
)

// How a lost display is opened again. A display that is lost again within reopenMax flaps: the backoff continues to
// grow, and the display counts as back only after that time.
const (
	reopenFirst = 100 * time.Millisecond
	reopenMax   = 2 * time.Second
)

// captureLoop captures a display for its encodings.
type captureLoop struct {
	open      capture.Opener
	demand    capture.Demand         // without the kinds of memory
	surfaces  func() encode.Surfaces // that the encoders read
	display   *displayState
	encodings *encodings
	met       *Metrics
	guard     *guard.Guard
	// kick has room for one token: the loop should look at its encodings again.
	kick chan struct{}
	// progress has the loop; nil for none. Calls of the driver are no steps: displayState has their limits, and a display
	// that does not answer is lost.
	progress *progress.Board
	steps    *progress.Loop
}

// run opens the display again and again until ctx ends.
//
// The capture loop follows damage: it captures at once when the display changes, and not again before a frame time has
// passed. Each encoding has room for one frame, and the newest wins. While no subscriber is connected, nothing is
// captured. While none is ready, ten frames a second are, so that the frame that waits is fresh.
func (c *captureLoop) run(ctx context.Context) {
	c.steps = c.progress.Loop(progress.Capture, c.display.id)
	defer c.steps.Close()
	wait, first := reopenFirst, true
	var dwell time.Duration
	for {
		began := time.Now()
		frames, err := c.once(ctx, first, dwell)
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
				c.display.fail(context.Cause(ctx))
			}
			return
		case first:
			c.display.fail(err)
			return
		case errors.Is(err, errRebuild):
			continue
		}
		c.steps.Step(func() { c.display.lose(LostGone, err) })
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

// once opens the display and captures it until that fails. It returns the number of frames. A lost display is
// back with the first frame, or once it has lived for dwell.
func (c *captureLoop) once(ctx context.Context, first bool, dwell time.Duration) (frames int, err error) {
	defer c.guard.Catch(partCapture, &err) // after a panic the display is lost and reopened, as after an error
	began := time.Now()
	c.display.call(true)
	defer c.display.call(false)
	surfaces := c.surfaces()
	source, err := c.open(ctx, demanding(c.demand, surfaces))
	if err != nil {
		return 0, fmt.Errorf("open display: %w", err)
	}
	defer func() {
		c.display.call(true)
		if err := source.Close(); err != nil {
			c.display.log.Warn("display not closed cleanly", "err", err)
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.display.setSource(source, surfaces, cancel)
	defer c.display.dropSource()
	var size image.Point
	var anchor time.Time // when the previous frame was due
	polled := false      // the display does not report all that changes
	for {
		if frames > 0 {
			if err := c.pause(ctx, anchor); err != nil {
				return frames, err
			}
		}
		c.display.call(true)
		f, err := source.Next(ctx)
		c.display.call(false)
		if err != nil {
			return frames, errors.Join(err, context.Cause(ctx))
		}
		if ctx.Err() != nil { // the call may have been abandoned, and the encodings with it
			f.Release()
			return frames, context.Cause(ctx)
		}
		frames++
		back := time.Time{} // when a display that was lost is back
		if frames == 1 && !first {
			back = began.Add(dwell)
		}
		c.steps.Step(func() {
			if f.Polled && !polled {
				polled = true
				c.display.distrust()
			}
			anchor = rhythm(anchor, f.Time, c.encodings.pace())
			size = c.take(f, frames == 1, size, back)
		})
	}
}

// take hands on a frame of a source, unless it has nothing new. before is the size of the previous one. back is when a
// lost display counts as back with its first frame. It returns the size of the frame.
func (c *captureLoop) take(f *capture.Frame, first bool, before image.Point, back time.Time) image.Point {
	c.met.count(frameCaptured)
	if f.Surface != nil {
		c.met.surfaces.WithLabelValues(f.Surface.Kind().String()).Inc()
	}
	c.met.capture.Observe(f.Took.Seconds())
	now := image.Pt(f.Width, f.Height)
	switch {
	case first:
		f.Damage = []image.Rectangle{f.Bounds()}
		c.hand(f, !back.IsZero())
		c.display.arrive(now)
		if !back.IsZero() {
			c.display.settle(back)
		}
	case len(f.Damage) == 0 && now == before:
		f.Release()
		c.met.Drop(DropUnchanged)
	default:
		c.hand(f, false)
		if now != before {
			c.display.arrive(now)
		}
	}
	return now
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
func (c *captureLoop) pause(ctx context.Context, anchor time.Time) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var due <-chan time.Time
		if c.encodings.watched() {
			wait := time.Until(anchor.Add(c.encodings.pace()))
			if wait <= 0 {
				return nil
			}
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.kick:
		case <-due:
		}
	}
}

// hand gives f to all encodings and releases it. If cut is set, it becomes a keyframe.
func (c *captureLoop) hand(f *capture.Frame, cut bool) {
	defer f.Release()
	for _, e := range c.encodings.list {
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
			c.met.Drop(DropCongested)
		} else {
			c.met.Drop(DropBusy)
		}
	}
}

// wake makes the loop look at its encodings again.
func (c *captureLoop) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

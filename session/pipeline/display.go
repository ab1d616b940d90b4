package pipeline

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/session/lockorder"
)

// Limits of a capture driver. A picture must count as frozen within two seconds of the display's last sign of life,
// and a display that is only slow must not: sources ask theirs twice a second.
const (
	hungAfter     = 1600 * time.Millisecond
	watchInterval = 200 * time.Millisecond
	// openLimit is the limit for the first picture of a display. Drivers that know why theirs is late give up earlier.
	openLimit = 6 * time.Second
	// driverPatience is how long the end of a pipeline waits for a call that hangs.
	driverPatience = 2 * time.Second
)

// ErrNoPicture means that a display cannot be captured at the moment.
var ErrNoPicture = errors.New("pipeline: display has no picture")

// errRebuild ends a source because an encoder that hangs holds one of its frames.
var errRebuild = errors.New("pipeline: source is reopened")

// displayState is what a Pipeline knows of its display: the open source, whether it gives pictures, and why not.
//
//	opening ──first frame──▶ live ◀──frame, answer── lost
//	   │ error, openLimit      └──error, hungAfter────▲
//	   ▼
//	 closed
type displayState struct {
	id       string
	log      *slog.Logger
	met      *Metrics
	observer Observer
	losses   *losses
	// opened is closed when the first frame was captured or openErr is set.
	opened  chan struct{}
	openErr error

	mu      lockorder.Mutex[pipelineLock]
	source  capture.Source
	rebuild context.CancelCauseFunc
	// traits are the source's. surfaces are what it was asked for.
	traits   capture.Traits
	surfaces encode.Surfaces
	state    State
	reason   string      // why the display is lost, for people
	calling  time.Time   // the capture driver is in a call since then; zero while it is not
	hung     bool        // the display is lost because it does not answer
	back     time.Time   // when a lost display that is open again counts as back; zero while it is not open
	size     image.Point // of the frames
}

// watch keeps the display's state, and abandons calls of the capture driver that do not return. It returns after ctx,
// and reports whether the capture loop has ended.
func (d *displayState) watch(ctx context.Context, end context.CancelFunc, captured <-chan struct{}) bool {
	limit := time.AfterFunc(openLimit, func() {
		select {
		case <-d.opened:
		default:
			d.fail(fmt.Errorf("it gives no picture within %v", openLimit))
			end()
		}
	})
	defer limit.Stop()
	tick := time.NewTimer(watchInterval)
	defer tick.Stop()
	for due := time.Now().Add(watchInterval); ; {
		select {
		case <-captured:
			return true
		case <-ctx.Done():
			patience := time.NewTimer(driverPatience)
			defer patience.Stop()
			select {
			case <-captured:
				return true
			case <-patience.C:
				return false
			}
		case <-tick.C:
		}
		now := time.Now()
		next := watchInterval
		// A process that was stopped or starved itself has heard nothing from any display.
		if now.Sub(due) < watchInterval {
			next = d.check(now)
		}
		due = now.Add(next)
		tick.Reset(next)
	}
}

// check looks whether the display answers, and returns when to look again.
func (d *displayState) check(now time.Time) (next time.Duration) {
	d.mu.Lock()
	source, since, state := d.source, d.calling, d.state
	returns := d.hung || !d.back.IsZero() && !now.Before(d.back)
	d.mu.Unlock()
	var silent time.Duration
	if !since.IsZero() {
		if source != nil {
			if heard := source.Alive(); heard.After(since) {
				since = heard
			}
		}
		silent = now.Sub(since)
	}
	switch {
	case state == Live && silent > hungAfter:
		d.lose(LostHung, fmt.Errorf("the display has not answered for %v", silent.Round(100*time.Millisecond)))
	case state == Lost && source != nil && returns && silent <= hungAfter:
		d.recover()
	case state == Live && !since.IsZero(): // it cannot hang earlier
		return max(watchInterval, hungAfter+time.Millisecond-silent)
	}
	return watchInterval
}

// call notes that a call of the capture driver begins or has returned.
func (d *displayState) call(begins bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calling = time.Time{}
	if begins {
		d.calling = time.Now()
	}
}

// arrive notes the display's size, and with its first frame that the display is live.
func (d *displayState) arrive(size image.Point) {
	d.mu.Lock()
	if d.state == Idle {
		d.enter(Live)
	}
	same := d.size == size
	d.size = size
	select {
	case <-d.opened:
	default:
		close(d.opened)
	}
	d.mu.Unlock()
	if !same {
		d.log.Info("display size", "width", size.X, "height", size.Y)
	}
}

// distrust notes that the display does not report all that changes, so it is polled.
func (d *displayState) distrust() {
	d.met.polled.WithLabelValues().Inc()
	event := d.observer.DisplayPolled(d.id)
	d.log.Warn("display does not report all that changes; it is polled", "event", event)
}

// settle notes that a lost display gives pictures again, and counts as back from a time on.
func (d *displayState) settle(at time.Time) {
	d.mu.Lock()
	d.back = at
	d.mu.Unlock()
	if !time.Now().Before(at) {
		d.recover()
	}
}

// recover notes that a lost display is back.
func (d *displayState) recover() {
	d.mu.Lock()
	back := d.state == Lost && d.enter(Live)
	d.mu.Unlock()
	if back {
		event := d.observer.DisplayBack(d.id)
		d.log.Info("display back", "event", event)
	}
}

// lose notes that the display went away or hangs. Its subscribers stay, with the last picture.
func (d *displayState) lose(why LostReason, err error) {
	d.mu.Lock()
	fresh := d.enter(Lost)
	d.hung, d.reason, d.back = why == LostHung, err.Error(), time.Time{}
	d.mu.Unlock()
	if !fresh {
		return
	}
	d.met.displaysLost.WithLabelValues(why.String()).Inc()
	event := d.observer.DisplayLost(d.id, why, err)
	d.log.Warn("display lost; its viewers see the last picture", "event", event, "reason", why.String(), "err", err)
}

// setSource notes the open source, the surfaces that it was asked for, and what ends it.
func (d *displayState) setSource(source capture.Source, s encode.Surfaces, rebuild context.CancelCauseFunc) {
	traits := source.Traits()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.source, d.traits, d.surfaces, d.rebuild = source, traits, s, rebuild
}

// dropSource notes that no source is open.
func (d *displayState) dropSource() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.source, d.rebuild = nil, nil
}

// refresh asks for the whole picture. A lost display gives it without a request once it is back.
func (d *displayState) refresh() {
	d.mu.Lock()
	source := d.source
	d.mu.Unlock()
	if source != nil {
		source.Refresh()
	}
}

// renew asks for another source of the same display.
func (d *displayState) renew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rebuild != nil {
		d.rebuild(errRebuild)
	}
}

// fail ends the wait for the first frame with an error.
func (d *displayState) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.opened: // a call that hung has returned after all
		return
	default:
	}
	d.openErr = fmt.Errorf("%w: %s: %w", ErrNoPicture, d.id, err)
	close(d.opened)
}

// become sets the state.
func (d *displayState) become(state State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enter(state)
}

// enter sets the state, and reports whether that is news: whether it changed, and no other view of the display is lost.
// The caller holds mu.
func (d *displayState) enter(state State) (news bool) {
	if d.state == state {
		return false
	}
	news = true
	if state == Lost {
		news = d.losses.begin(d.id)
	} else if d.state == Lost {
		news = d.losses.end(d.id)
	}
	if d.state != Idle {
		d.met.displays.WithLabelValues(d.state.String()).Dec()
	}
	if state != Idle {
		d.met.displays.WithLabelValues(state.String()).Inc()
	}
	d.state = state
	d.hung, d.reason, d.back = false, "", time.Time{}
	return news
}

// status returns the state, why it is lost, and the size of its pictures.
func (d *displayState) status() (state State, reason string, size image.Point) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state, d.reason, d.size
}

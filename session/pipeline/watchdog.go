package pipeline

import (
	"context"
	"fmt"
	"image"
	"time"
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

// watch keeps the display's state, and abandons calls of the capture driver that do not return. It returns after ctx,
// and reports whether the capture loop has ended.
func (p *Pipeline) watch(ctx context.Context, end context.CancelFunc, captured <-chan struct{}) bool {
	limit := time.AfterFunc(openLimit, func() {
		select {
		case <-p.opened:
		default:
			p.fail(fmt.Errorf("it gives no picture within %v", openLimit))
			end()
		}
	})
	defer limit.Stop()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for last := time.Now(); ; {
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
		// A process that was stopped or starved itself has heard nothing from any display.
		if now.Sub(last) < 2*watchInterval {
			p.check(now)
		}
		last = now
	}
}

// check looks whether the display answers.
func (p *Pipeline) check(now time.Time) {
	p.mu.Lock()
	source, since, state := p.source, p.calling, p.state
	returns := p.hung || !p.back.IsZero() && !now.Before(p.back)
	p.mu.Unlock()
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
		p.lose(LostHung, fmt.Errorf("the display has not answered for %v", silent.Round(100*time.Millisecond)))
	case state == Lost && source != nil && returns && silent <= hungAfter:
		p.recover()
	}
}

// call notes that a call of the capture driver begins or has returned.
func (p *Pipeline) call(begins bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calling = time.Time{}
	if begins {
		p.calling = time.Now()
	}
}

// arrive notes the display's size, and with its first frame that the display is live.
func (p *Pipeline) arrive(size image.Point) {
	p.mu.Lock()
	if p.state == Idle {
		p.enter(Live)
	}
	same := p.size == size
	p.size = size
	select {
	case <-p.opened:
	default:
		close(p.opened)
	}
	p.mu.Unlock()
	if !same {
		p.log.Info("display size", "width", size.X, "height", size.Y)
	}
}

// settle notes that a lost display gives pictures again, and counts as back from a time on.
func (p *Pipeline) settle(at time.Time) {
	p.mu.Lock()
	p.back = at
	p.mu.Unlock()
	if !time.Now().Before(at) {
		p.recover()
	}
}

// recover notes that a lost display is back.
func (p *Pipeline) recover() {
	p.mu.Lock()
	back := p.state == Lost && p.enter(Live)
	p.mu.Unlock()
	if back {
		event := p.observer.DisplayBack(p.display.ID)
		p.log.Info("display back", "event", event)
	}
}

// lose notes that the display went away or hangs. Its subscribers stay, with the last picture.
func (p *Pipeline) lose(why LostReason, err error) {
	p.mu.Lock()
	fresh := p.enter(Lost)
	p.hung, p.reason, p.back = why == LostHung, err.Error(), time.Time{}
	p.mu.Unlock()
	if !fresh {
		return
	}
	p.met.displaysLost.WithLabelValues(why.String()).Inc()
	event := p.observer.DisplayLost(p.display.ID, why, err)
	p.log.Warn("display lost; its viewers see the last picture", "event", event, "reason", why.String(), "err", err)
}

// become sets the state.
func (p *Pipeline) become(state State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enter(state)
}

// enter sets the state, and reports whether it changed. The caller holds mu.
func (p *Pipeline) enter(state State) bool {
	if p.state == state {
		return false
	}
	if p.state != Idle {
		p.met.displays.WithLabelValues(p.state.String()).Dec()
	}
	if state != Idle {
		p.met.displays.WithLabelValues(state.String()).Inc()
	}
	p.state = state
	p.hung, p.reason, p.back = false, "", time.Time{}
	return true
}

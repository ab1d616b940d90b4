package pipeline

import (
	"context"
	"fmt"
	"time"
)

// What a capture driver may take. A picture must count as frozen within two seconds of its display's last sign of
// life, and a display that is only slow must not: sources ask theirs twice a second.
const (
	hungAfter     = 1600 * time.Millisecond
	watchInterval = 200 * time.Millisecond
	// openLimit is how long the first picture of a display may take. Drivers that know why theirs is late give up
	// before.
	openLimit = 6 * time.Second
	// driverPatience is how long the end of a stage waits for a call that hangs.
	driverPatience = 2 * time.Second
)

// watch sees to it that no call of the capture driver is waited for without a limit, and keeps the display's state. It
// returns after ctx, and reports whether the capture loop has ended.
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
		// A process that was itself stopped or starved has heard nothing from anybody.
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

package floor

import (
	"context"
	"time"

	"wavryhost/session/rift"
)

// stalledAfter is the silence on the channel of input after which a report counts although messages are missing before
// it: one of them was lost and takes its time to be retransmitted.
const stalledAfter = 150 * time.Millisecond

// count counts a message of p that has no effect.
func (c *Control) count(p *Participant, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.messages++
	p.lastMessage = now
}

// wait waits until the display that p controls has room for input, or ctx ends.
func (c *Control) wait(ctx context.Context, p *Participant) error {
	c.mu.Lock()
	s := c.states[p.viewer.Display().ID]
	if s == nil || s.holder != p {
		c.mu.Unlock()
		return nil
	}
	injector := s.injector
	c.mu.Unlock()
	return injector.Wait(ctx)
}

// deliver gives an event of p to the display that its viewer watches, or returns why it is dropped. The first viewer
// that gives input to a free display gets control.
func (c *Control) deliver(p *Participant, e rift.Event, now time.Time) (dropped string) {
	c.count(p, now)
	var spare spareInjector
	for {
		dropped, missing := c.tryDeliver(p, e, now, spare)
		if missing == nil {
			return dropped
		}
		spare = spareInjector{missing.ID, missing.Open()} // without the mutex: nobody knows how long it takes
	}
}

// tryDeliver is deliver with a spare injector. It returns the display that needs one.
func (c *Control) tryDeliver(
	p *Participant, e rift.Event, now time.Time, spare spareInjector,
) (dropped string, missing *Display) {
	c.mu.Lock()
	defer c.mu.Unlock()
	display := p.viewer.Display()
	s := c.states[display.ID]
	switch {
	case !c.policy().Lets(p.role):
		return inputNotAllowed, nil
	case display.Open == nil:
		return inputUnsupported, nil
	case p.over, p.barred, c.closed:
		return inputNoControl, nil
	case s != nil && s.holder != nil && s.holder != p && !c.idle(s, now):
		return inputNoControl, nil
	case s == nil && spare.display != display.ID:
		return "", &display
	}
	if s == nil || s.holder != p {
		c.release(p, controlMoved)
		s = c.state(display, spare)
		if s.holder != nil {
			c.assign(s, nil, controlIdle, now)
		}
		c.assign(s, p, controlTaken, now)
	}
	s.lastInput = now
	if s.muted(e, now) {
		return inputLost, nil
	}
	s.restoreModifiers(e)
	s.note(e)
	return s.inject(e), nil
}

// confirm takes the report of what p holds.
func (c *Control) confirm(p *Participant, r rift.State, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.confirms, p.confirmed = true, now
	s := c.states[p.viewer.Display().ID]
	switch {
	case s == nil || s.holder != p:
	case r.Count < p.messages: // more has arrived since it was sent
	case r.Count > p.messages && (p.busy.Load() || now.Sub(p.lastMessage) < stalledAfter): // more is about to arrive
	default:
		s.releaseAllBut(r)
	}
}

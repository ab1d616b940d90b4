package floor

import (
	"fmt"
	"time"
)

// Give gives control of its display to the session, and takes it from any other; or withdraws it. After a withdrawal
// the session gets no control until it is given some. The error wraps ErrNoControl or ErrEnded.
func (p *Participant) Give(on bool) error {
	c := p.control
	if !on {
		c.mu.Lock()
		defer c.mu.Unlock()
		p.barred = true
		c.release(p, controlWithdrawn)
		return nil
	}
	var spare spareInjector
	for {
		missing, err := c.tryGive(p, spare)
		if missing == nil {
			return err
		}
		spare = spareInjector{missing.ID, missing.Open()}
	}
}

// tryGive gives control to a session, with a spare injector. It returns the display that needs one.
func (c *Control) tryGive(p *Participant, spare spareInjector) (missing *Display, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	display := p.viewer.Display()
	switch {
	case c.closed, p.over:
		return nil, ErrEnded
	case c.policy() == Off:
		return nil, fmt.Errorf("%w: the host takes no input (setting input)", ErrNoControl)
	case !c.policy().Lets(p.role):
		return nil, fmt.Errorf("%w: the session's role is %s", ErrNoControl, p.role)
	case display.Open == nil:
		return nil, fmt.Errorf("%w: %s takes no input", ErrNoControl, display.ID)
	case c.states[display.ID] == nil && spare.display != display.ID:
		return &display, nil
	}
	p.barred = false
	s := c.state(display, spare)
	now := time.Now()
	if s.holder != p {
		c.release(p, controlMoved)
		c.assign(s, p, controlGiven, now)
	}
	s.lastInput = now
	return nil, nil
}

// Steers returns the ID of the display that the session controls, or that it could take control of. If there is none,
// the error wraps ErrNoControl or ErrEnded.
func (p *Participant) Steers(now time.Time) (display string, err error) {
	c := p.control
	c.mu.Lock()
	defer c.mu.Unlock()
	display = p.viewer.Display().ID
	switch s := c.states[display]; {
	case c.closed, p.over:
		return "", ErrEnded
	case !c.policy().Lets(p.role):
		return "", fmt.Errorf("%w: the session's role is %s, and the setting input.from is %s", ErrNoControl,
			p.role, c.policy())
	case p.barred:
		return "", fmt.Errorf("%w: an operator has withdrawn it", ErrNoControl)
	case s != nil && s.holder != nil && s.holder != p && !c.idle(s, now):
		return "", fmt.Errorf("%w: another session has it", ErrNoControl)
	}
	return display, nil
}

// Leave frees the display of a session that ends.
func (p *Participant) Leave() {
	c := p.control
	c.mu.Lock()
	defer c.mu.Unlock()
	p.over = true
	delete(c.open, p)
	c.release(p, controlEnded)
}

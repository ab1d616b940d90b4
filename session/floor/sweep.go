package floor

import "time"

const (
	// heldSilence is how long nothing may be heard from a viewer that holds a key and does not report so. A browser
	// sends RTCP several times a second while pictures arrive, and once a second at least.
	heldSilence = 3 * time.Second
	// confirmSilence is how long a viewer that reports what it holds may be silent. Pages report each 100 ms, and X
	// servers repeat a key from 660 ms on: what is released within 400 ms, the janitor's round included, has typed one
	// letter.
	confirmSilence = 300 * time.Millisecond
)

// Sweep takes control from viewers that may not have it any more, releases the keys of viewers that are silent, closes
// injectors that are not used, and opens the injectors of displays that viewers may control.
func (c *Control) Sweep(now time.Time) {
	for _, p := range c.review(now) {
		c.prepare(p)
	}
}

// review is Sweep without the opening of injectors. It returns the viewers whose display lacks one.
func (c *Control) review(now time.Time) (lacking []*Participant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.open {
		display := p.viewer.Display()
		switch s := c.states[display.ID]; {
		case !c.mayControl(p, display):
		case s == nil:
			lacking = append(lacking, p)
		case s.holder == nil:
			s.lastInput = now
		}
	}
	for display, s := range c.states {
		h := s.holder
		switch {
		case h == nil && now.Sub(s.lastInput) >= s.linger:
			s.cancel()
			delete(c.states, display)
		case h == nil:
		case !c.policy().Lets(h.role):
			c.assign(s, nil, controlOff, now)
		case h.viewer.Display().ID != display:
			c.assign(s, nil, controlMoved, now)
		case h.viewer.Away():
			c.assign(s, nil, controlDisconnected, now)
		case c.idle(s, now):
			c.assign(s, nil, controlIdle, now)
		case h.confirms && len(s.down) > 0:
			if !h.busy.Load() && now.Sub(later(h.confirmed, h.lastMessage)) >= confirmSilence {
				s.lapse()
			}
		case !h.confirms && s.injector.Holding() && now.Sub(later(s.lastInput, h.viewer.LastHeard())) >= heldSilence:
			s.releaseAll()
		}
	}
	return lacking
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Holding reports whether a viewer holds a key or a button.
func (c *Control) Holding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.states {
		if s.holder != nil && (len(s.down) > 0 || s.injector.Holding()) {
			return true
		}
	}
	return false
}

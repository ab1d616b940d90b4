package floor

import (
	"context"
	"time"
)

// injectorLinger is how long a connection to a display's input stays open when nobody controls the display.
const injectorLinger = 30 * time.Second

// spareInjector is an injector that was made for a display in case that it has none. It does nothing before it runs.
type spareInjector struct {
	display  string
	injector Injector
}

// state returns the state of a display, with an injector that runs: the spare one where it has none. The caller holds
// mu, and c is not closed.
func (c *Control) state(display Display, spare spareInjector) *displayState {
	if s := c.states[display.ID]; s != nil {
		return s
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &displayState{
		display: display.ID, injector: spare.injector, losses: spare.injector.Losses(), cancel: cancel,
		linger: injectorLinger,
	}
	if display.Brief {
		s.linger = time.Nanosecond // its server may end soon
	}
	c.states[display.ID] = s
	c.wg.Go(func() { c.run(ctx, display.ID, spare.injector) }) // unguarded: run guards the injector
	return s
}

// prepare opens the injector of the display that p may control before its first input. A Wayland compositor without a
// keyboard gets one with the injector, and programs notice it a moment later: they would miss the first letters.
func (c *Control) prepare(p *Participant) {
	c.mu.Lock()
	display := p.viewer.Display()
	needed := c.needsInjector(p, display)
	c.mu.Unlock()
	if !needed {
		return
	}
	spare := spareInjector{display.ID, display.Open()} // without the mutex: nobody knows how long it takes
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.needsInjector(p, display) {
		c.state(display, spare).lastInput = time.Now()
	}
}

// needsInjector reports whether p may control a display without an injector. The caller holds mu.
func (c *Control) needsInjector(p *Participant, display Display) bool {
	return !c.closed && c.open[p] && c.mayControl(p, display) && c.states[display.ID] == nil
}

// run runs an injector until ctx ends; after a panic again, after a while.
func (c *Control) run(ctx context.Context, display string, injector Injector) {
	for {
		err := c.guard.Run(Part, func() {
			if err := injector.Run(ctx); err != nil {
				c.log.Warn("input ended", "display", display, "err", err)
			}
		})
		if err == nil {
			return
		}
		again := time.NewTimer(time.Second)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return
		}
	}
}

// Close ends all control, and waits until nothing is held any more.
func (c *Control) Close() {
	c.mu.Lock()
	c.closed = true
	for display, s := range c.states {
		s.cancel()
		delete(c.states, display)
	}
	c.mu.Unlock()
	c.wg.Wait()
}

package session

import (
	"context"
	"time"
)

// spareInjector is an injector that was made for a display in case that it has none. It does nothing before it runs.
type spareInjector struct {
	display  string
	injector Injector
}

// state returns the state of a display, with an injector that runs: the spare one where it has none. The caller holds
// mu, and the floor is not closed.
func (f *floor) state(display Display, spare spareInjector) *floorState {
	if s := f.states[display.ID]; s != nil {
		return s
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &floorState{
		display: display.ID, injector: spare.injector, losses: spare.injector.Losses(), cancel: cancel,
		linger: injectorLinger,
	}
	if display.Hold != nil {
		s.linger = time.Nanosecond // its server may end soon
	}
	f.states[display.ID] = s
	f.wg.Go(func() { f.run(ctx, display.ID, spare.injector) }) // unguarded: run guards the injector
	return s
}

// mayControl reports whether input of c is accepted while nobody else controls the display. The caller holds mu.
func (f *floor) mayControl(c *inputChannel, display Display) bool {
	return f.policy().lets(c.role) && display.Input != nil && !c.barred
}

// prepare opens the injector of the display that c may control before its first input. A Wayland compositor without a
// keyboard gets one with the injector, and programs notice it a moment later: they would miss the first letters.
func (f *floor) prepare(c *inputChannel) {
	f.mu.Lock()
	display := c.viewer.watching()
	needed := f.needsInjector(c, display)
	f.mu.Unlock()
	if !needed {
		return
	}
	spare := spareInjector{display.ID, display.Input()} // without the mutex: nobody knows how long it takes
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.needsInjector(c, display) {
		f.state(display, spare).lastInput = time.Now()
	}
}

// needsInjector reports whether c may control a display without an injector. The caller holds mu.
func (f *floor) needsInjector(c *inputChannel, display Display) bool {
	return !f.closed && f.open[c] && f.mayControl(c, display) && f.states[display.ID] == nil
}

// run runs an injector until ctx ends; after a panic again, after a while.
func (f *floor) run(ctx context.Context, display string, injector Injector) {
	for {
		err := f.guard.Run(partInput, func() {
			if err := injector.Run(ctx); err != nil {
				f.log.Warn("input ended", "display", display, "err", err)
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

// close ends all control, and waits until nothing is held any more.
func (f *floor) close() {
	f.mu.Lock()
	f.closed = true
	for display, s := range f.states {
		s.cancel()
		delete(f.states, display)
	}
	f.mu.Unlock()
	f.wg.Wait()
}

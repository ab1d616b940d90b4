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
	}
	f.states[display.ID] = s
	f.wg.Go(func() { f.run(ctx, display.ID, spare.injector) }) // unguarded: run guards the injector
	return s
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

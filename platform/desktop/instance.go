package desktop

import (
	"context"
	"time"

	"wavryhost/platform/display"
)

// detachTime bounds the wait for a daemon that has just closed its connection.
const detachTime = 2 * time.Second

// instance is a virtual display from its start to its end.
//
//	starting ──▶ running ──▶ ending ──▶ ended
//	    └─────── failed ─────────────────▲
type instance struct {
	id string
	// life ends when the display is to end. end ends it.
	life context.Context //nolint:containedctx // it is the state of the display
	end  context.CancelFunc
	// started is closed when the display runs or err is set, and ended when nothing of it is left.
	started, ended chan struct{}

	// The supervisor's mu guards the following fields.
	err     error
	screen  screen // nil before it runs
	begun   time.Time
	daemons int           // which use it
	unused  chan struct{} // closed while no daemon uses it
	keep    time.Duration
	limit   *time.Timer // ends it without daemons
}

// use returns the display of a request, which counts one more daemon, and its description. It starts the display if the
// request demands that. It waits without mu, so other displays are not affected.
func (s *Supervisor) use(ctx context.Context, r request) (*instance, answer) {
	for {
		s.mu.Lock()
		i := s.running[r.id()]
		var (
			wait <-chan struct{}
			late <-chan time.Time
		)
		switch {
		case i == nil && r.Op != opAttach:
			s.mu.Unlock()
			return nil, answer{}
		case i == nil:
			i = s.begin(ctx, r)
			r.Fresh, wait = false, i.started
		case i.life.Err() != nil:
			wait = i.ended
		case i.screen == nil:
			wait = i.started
		case r.Fresh && i.daemons == 0:
			i.end()
			wait = i.ended
		case r.Fresh:
			wait, late = i.unused, time.After(detachTime)
		default:
			i.daemons++
			if i.daemons == 1 {
				i.unused = make(chan struct{})
			}
			i.keep = r.Keep
			i.limit.Stop()
			a := answer{Running: true, Cookie: i.screen.Cookie(), Status: i.status()}
			s.mu.Unlock()
			return i, a
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, answer{}
		case <-late:
			return nil, answer{Error: errInUse.Error(), InUse: true}
		}
		if wait == i.started && i.err != nil { // it is not written any more
			return nil, answer{Error: i.err.Error()}
		}
	}
}

// begin registers a display and starts it in a goroutine of its own. The caller holds mu.
func (s *Supervisor) begin(ctx context.Context, r request) *instance {
	i := &instance{id: r.id(), started: make(chan struct{}), ended: make(chan struct{}), unused: make(chan struct{})}
	close(i.unused)
	i.life, i.end = context.WithCancel(ctx)
	s.running[i.id] = i
	s.displays.Go(func() { // unguarded: live guards the screen
		s.live(i, display.VirtualConfig{Width: r.Width, Height: r.Height, Programs: r.Programs})
		s.settle()
	})
	return i
}

// live starts a display, keeps it running until its end, and leaves nothing of it.
func (s *Supervisor) live(i *instance, cfg display.VirtualConfig) {
	defer close(i.ended)
	defer i.end()
	var v screen
	var err error
	if p := s.guard.Run("desktop", func() { v, err = s.start(i.life, cfg, s.log.With("id", i.id)) }); p != nil {
		err = p
	}
	s.mu.Lock()
	i.err = err
	if err != nil {
		delete(s.running, i.id)
	} else {
		i.screen, i.begun = v, time.Now()
		// Its daemon may be gone by now.
		i.limit = time.AfterFunc(idleTime, func() { s.idle(i) }) // unguarded: idle only compares
	}
	s.mu.Unlock()
	close(i.started)
	if err != nil {
		return
	}
	_ = s.guard.Run("desktop", func() { _ = v.Run(i.life) }) // it ends with its context, or by a panic, which is logged
	i.end()
	_ = s.guard.Run("desktop", func() { _ = v.Close() }) // it logs what remains
	left := s.sweep(v.Authority())
	s.mu.Lock()
	i.limit.Stop()
	delete(s.running, i.id)
	s.mu.Unlock()
	s.log.Info("virtual display ended", "id", i.id, "display", v.Address(), "background_programs", left)
}

// idle ends a display that no daemon uses.
func (s *Supervisor) idle(i *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i.daemons == 0 {
		s.log.Info("no daemon uses the virtual display", "id", i.id, "kept", i.keep)
		i.end()
	}
}

// detach counts a daemon that no longer uses a display. What the last one held is released.
func (s *Supervisor) detach(ctx context.Context, i *instance) {
	s.mu.Lock()
	i.daemons--
	last := i.daemons == 0
	if last {
		close(i.unused)
	}
	s.mu.Unlock()
	if !last || i.life.Err() != nil {
		return
	}
	n, err := s.release(ctx, i.screen.Address(), i.screen.Authority())
	if n > 0 || err != nil {
		s.log.Warn("daemon is gone; what it held is released", "id", i.id, "display", i.screen.Address(), "held", n,
			"err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case i.daemons > 0 || i.life.Err() != nil:
	case i.keep == 0:
		i.end()
	case i.keep > 0:
		i.limit.Reset(i.keep)
	}
}

package session

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/session/admission"
)

// stages holds the displays that are open, each once, however many viewers it has.
type stages struct {
	cfg   *live
	log   *slog.Logger
	met   *Metrics
	order *roster
	emit  func(Event) uint64

	mu   sync.Mutex
	open map[string]*openStage
	// leaving are the stages that are being closed. The display is not opened again before.
	leaving map[string]*openStage
	closed  bool
	ending  chan struct{} // closed with closed being set: nobody waits for a display any more
	wg      sync.WaitGroup
	// running is how many stages have not ended.
	running atomic.Int64
}

// openStage is a stage with its users. One without users lingers until sweep.
type openStage struct {
	*stage
	users  int
	codecs map[string]int // of the users; those that somebody takes
	empty  time.Time      // when the last user left
	cancel context.CancelFunc
}

func newStages(cfg *live, log *slog.Logger, met *Metrics, emit func(Event) uint64) *stages {
	return &stages{
		cfg: cfg, log: log, met: met, order: newRoster(cfg.get().Encoders, func() int { return cfg.get().EncodeLimit }), emit: emit, open: make(map[string]*openStage),
		leaving: make(map[string]*openStage), ending: make(chan struct{}),
	}
}

// acquire returns the display's stage, opened, for one user who takes that codec, and must release it.
func (s *stages) acquire(ctx context.Context, d Display, codec string) (*openStage, error) {
	st, err := s.hold(ctx, d, codec)
	if err != nil {
		return nil, err
	}
	select {
	case <-st.opened:
		err = st.openErr
	case <-s.ending:
		err = ErrDraining
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil && st.see().state == stageLost {
		err = ErrNoPicture
	}
	if err != nil {
		s.release(st, codec)
		return nil, err
	}
	return st, nil
}

// hold returns the display's stage, open or not yet, with one user more.
func (s *stages) hold(ctx context.Context, d Display, codec string) (*openStage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.leaving[d.ID] != nil {
		last := s.leaving[d.ID]
		s.mu.Unlock()
		err := s.left(ctx, last)
		s.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
	if s.closed {
		return nil, ErrDraining
	}
	st := s.open[d.ID]
	if st == nil {
		st = s.start(d) //nolint:contextcheck // it outlives the request that it is opened for
	}
	if !st.admits(codec) {
		return nil, admission.Refuse(admission.Encoders,
			"%s may be encoded %d times at once (max_encodes), which viewers of another codec than %s need", d.ID, st.limit, codec)
	}
	st.users++
	st.codecs[codec]++
	return st, nil
}

// start opens a stage. It outlives the request it is opened for.
func (s *stages) start(d Display) *openStage {
	ctx, cancel := context.WithCancel(context.Background())
	st := &openStage{
		stage: newStage(d, *s.cfg.get(), s.log, s.met, s.order, s.emit), codecs: make(map[string]int), cancel: cancel,
	}
	s.open[d.ID] = st
	s.running.Add(1)
	s.wg.Go(func() { // unguarded: the loops of the stage are guarded
		defer s.running.Add(-1)
		defer cancel()
		st.run(ctx)
		s.mu.Lock()
		s.retire(st)
		s.mu.Unlock()
		// A call of its driver that hangs outlives the stages.
		go func() { // unguarded: it waits and forgets
			<-st.freed
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.leaving[d.ID] == st {
				delete(s.leaving, d.ID)
			}
		}()
	})
	return st
}

// retire ends a stage, and makes the next acquire open the display anew. The caller holds mu.
func (s *stages) retire(st *openStage) {
	st.cancel()
	if s.open[st.display.ID] == st {
		delete(s.open, st.display.ID)
		s.leaving[st.display.ID] = st
	}
}

// leaveTime is how long a viewer waits for what is left of the display's last stage. It outlasts driverPatience.
const leaveTime = 3 * time.Second

// left waits until nothing of a stage is left: a driver or a graphics card that does one thing at a time would refuse the next one.
func (s *stages) left(ctx context.Context, st *openStage) error {
	limit := time.NewTimer(leaveTime)
	defer limit.Stop()
	select {
	case <-st.freed:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.leaving[st.display.ID] == st {
			delete(s.leaving, st.display.ID)
		}
		return nil
	case <-s.ending:
		return ErrDraining
	case <-ctx.Done():
		return ctx.Err()
	case <-limit.C:
		return fmt.Errorf("%w: %s: what captured it before hangs", ErrNoPicture, st.display.ID)
	}
}

// admits tells whether the display may have viewers of a codec: each codec takes an encode at least. The caller holds the stages' mu.
func (st *openStage) admits(codec string) bool {
	return st.codecs[codec] > 0 || len(st.codecs) < st.limit
}

// admits tells whether a display may have viewers of a codec.
func (s *stages) admits(display, codec string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.open[display]
	return st == nil || st.admits(codec)
}

// serves tells whether a display has viewers of a codec, so that another one shares their encode.
func (s *stages) serves(display, codec string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.open[display]
	return st != nil && st.codecs[codec] > 0
}

// release gives up the hold of one user who takes that codec.
func (s *stages) release(st *openStage, codec string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.users--
	if st.codecs[codec]--; st.codecs[codec] == 0 {
		delete(st.codecs, codec)
	}
	if st.users == 0 {
		st.empty = time.Now()
	}
}

// sweep closes the stages that have been without users for as long as they linger, and gives the viewers of the others the rungs they
// belong on.
func (s *stages) sweep(now time.Time) {
	var live []*openStage
	s.mu.Lock()
	for _, st := range s.open {
		if st.users == 0 && now.Sub(st.empty) >= s.cfg.get().Linger {
			s.retire(st)
			continue
		}
		live = append(live, st)
	}
	s.mu.Unlock()
	for _, st := range live {
		st.arrange(now)
	}
}

// find returns the open stage of a display, or nil.
func (s *stages) find(id string) (st *openStage, users int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st = s.open[id]; st != nil {
		users = st.users
	}
	return st, users
}

// watched returns the displays that have users.
func (s *stages) watched() (list []Display) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		if st.users > 0 {
			list = append(list, st.display)
		}
	}
	slices.SortFunc(list, func(a, b Display) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// trouble tells what is wrong with a display that has viewers: that it is lost, or that no encoder works; empty for nothing.
func (s *stages) trouble() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		if st.users == 0 {
			continue
		}
		switch {
		case st.see().state == stageLost:
			return troubleDisplay
		case st.stuck():
			return troubleEncoder
		}
	}
	return ""
}

// refuse lets nobody have a stage any more, those included who wait for one that is being opened.
func (s *stages) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.ending)
	}
}

// close ends all stages; none is opened any more.
func (s *stages) close() {
	s.refuse()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		s.retire(st)
	}
}

// wait waits for all stages to have ended.
func (s *stages) wait() { s.wg.Wait() }

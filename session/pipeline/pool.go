package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/session/lockorder"
)

// ErrClosed is returned by Acquire once the Pool is closed.
var ErrClosed = errors.New("pipeline: no display is opened anymore")

// LimitError means that all encodings of a display are in use by other formats.
type LimitError struct {
	Display string
	Format  encode.Format
	// Limit is the maximum number of encodings of the display.
	Limit int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf(
		"%s has %d encodings at most (displays.max_encodings), and viewers of other codecs than %s use them",
		e.Display, e.Limit, e.Format)
}

// view is a display as some viewers see it: with its pointer in the picture, or without. Each has a Pipeline.
type view struct {
	display string
	cursor  capture.CursorMode
}

// views are the ways to see a display.
func views(display string) [2]view {
	return [...]view{{display, capture.CursorEmbedded}, {display, capture.CursorHidden}}
}

// Pool holds the pipelines of the displays that are open, and the encoders that they use. A display has one pipeline,
// or two if some viewers see the pointer in the picture and others get it apart. Its methods may be called from several
// goroutines.
type Pool struct {
	cfg      func() Config
	deps     Deps
	encoders *encoderPool

	ending chan struct{} // closed when closed is set: nobody waits for a display any longer
	wg     sync.WaitGroup
	// running is the number of pipelines that have not ended.
	running atomic.Int64
	losses  losses

	mu   lockorder.Mutex[poolLock]
	open map[view]*Pipeline
	// leaving holds the pipelines that are being closed. A view is not opened again before.
	leaving map[view]*Pipeline
	closed  bool
}

// usage is the use of a Pipeline. The Pool's mutex guards it. A Pipeline without users lingers until Sweep.
type usage struct {
	users   int
	formats map[encode.Format]int // users by format, without zeros
	empty   time.Time             // when the last user left
}

// NewPool returns a Pool without pipelines. The encoders are those to choose from, best first.
func NewPool(cfg func() Config, encoders []encode.Factory, deps Deps) *Pool {
	return &Pool{
		cfg: cfg, deps: deps,
		encoders: newEncoderPool(encoders, func() int { return cfg().HardwareEncodings }),
		ending:   make(chan struct{}), open: make(map[view]*Pipeline), leaving: make(map[view]*Pipeline),
	}
}

// Acquire returns the pipeline of a display for one user of a format. It waits for the first picture. The caller must
// Release it. The error wraps ErrClosed, ErrNoPicture or the context's error, or is a *LimitError.
func (s *Pool) Acquire(ctx context.Context, d Display, format encode.Format) (*Pipeline, error) {
	p, err := s.hold(ctx, d, format)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.display.opened:
		err = p.display.openErr
	case <-s.ending:
		err = ErrClosed
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil && p.Status().State == Lost {
		err = ErrNoPicture
	}
	if err != nil {
		s.Release(p, format)
		return nil, err
	}
	return p, nil
}

// hold returns the pipeline of a display, open or not yet, with one more user.
func (s *Pool) hold(ctx context.Context, d Display, format encode.Format) (*Pipeline, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := view{d.ID, d.Cursor}
	for s.leaving[v] != nil {
		last := s.leaving[v]
		s.mu.Unlock()
		err := s.left(ctx, last)
		s.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
	if s.closed {
		return nil, ErrClosed
	}
	p := s.open[v]
	if p == nil {
		p = s.start(d, format) //nolint:contextcheck // it outlives the request that opens it
	}
	if !p.admits(format) {
		return nil, &LimitError{Display: d.ID, Format: format, Limit: p.encodings.limit}
	}
	p.use.users++
	p.use.formats[format]++
	return p, nil
}

// start opens a pipeline. It outlives the request that opens it.
func (s *Pool) start(d Display, format encode.Format) *Pipeline {
	ctx, cancel := context.WithCancel(context.Background())
	p := newPipeline(d, format, s.cfg(), s.deps, s.encoders)
	p.cancel, p.display.losses = cancel, &s.losses
	s.open[view{d.ID, d.Cursor}] = p
	s.running.Add(1)
	s.wg.Go(func() { // unguarded: the loops of the pipeline are guarded
		defer s.running.Add(-1)
		defer cancel()
		p.run(ctx)
		s.mu.Lock()
		s.retire(p)
		s.mu.Unlock()
		// A call of its driver that hangs outlives the pool.
		go func() { // unguarded: it waits and forgets
			<-p.freed
			s.forget(p)
		}()
	})
	return p
}

// retire ends a pipeline and makes the next Acquire open the display again. The caller holds mu.
func (s *Pool) retire(p *Pipeline) {
	p.cancel()
	if s.open[p.view] == p {
		delete(s.open, p.view)
		s.leaving[p.view] = p
	}
}

// forget removes a pipeline of which nothing is left.
func (s *Pool) forget(p *Pipeline) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving[p.view] == p {
		delete(s.leaving, p.view)
	}
}

// leaveTime is how long a user waits for the end of the display's previous pipeline. It outlasts driverPatience.
const leaveTime = 3 * time.Second

// left waits until nothing is left of a pipeline. A driver or a graphics card that does one thing at a time would
// refuse the next one.
func (s *Pool) left(ctx context.Context, p *Pipeline) error {
	limit := time.NewTimer(leaveTime)
	defer limit.Stop()
	select {
	case <-p.freed:
		s.forget(p)
		return nil
	case <-s.ending:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case <-limit.C:
		return fmt.Errorf("%w: %s: what captured it before hangs", ErrNoPicture, p.display.id)
	}
}

// admits reports whether the display may have users of a format: each format takes at least one encoding. The caller
// holds the Pool's mutex.
func (p *Pipeline) admits(format encode.Format) bool {
	return p.use.formats[format] > 0 || len(p.use.formats) < p.encodings.limit
}

// Admits reports whether a display, seen in one way, may have users of a format.
func (s *Pool) Admits(display string, cursor capture.CursorMode, format encode.Format) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.open[view{display, cursor}]
	return p == nil || p.admits(format)
}

// Release ends the use of a pipeline by one user of a format.
func (s *Pool) Release(p *Pipeline, format encode.Format) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.use.users--
	if p.use.formats[format]--; p.use.formats[format] == 0 {
		delete(p.use.formats, format)
	}
	if p.use.users == 0 {
		p.use.empty = time.Now()
	}
}

// Sweep closes the pipelines that have lingered without users, and moves the subscribers of the others to the
// encodings that suit them. It is to be called several times a second, by one goroutine.
func (s *Pool) Sweep(now time.Time) {
	var open []*Pipeline
	s.mu.Lock()
	for _, p := range s.open {
		if p.use.users == 0 && now.Sub(p.use.empty) >= s.cfg().Linger {
			s.retire(p)
			continue
		}
		open = append(open, p)
	}
	s.mu.Unlock()
	for _, p := range open {
		p.encodings.arrange(now)
		p.suit()
	}
}

// Vacate closes the pipelines of a display that have no users, without lingering.
func (s *Pool) Vacate(display string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range views(display) {
		if p := s.open[v]; p != nil && p.use.users == 0 {
			s.retire(p)
		}
	}
}

// Status returns the status of a display and the number of its users. A display that is not open is Idle.
func (s *Pool) Status(display string) (st Status, users int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range views(display) {
		p := s.open[v]
		if p == nil || p.use.users == 0 && users > 0 {
			continue
		}
		one := p.Status()
		if users > 0 {
			one.Encodings += st.Encodings
		}
		st, users = one, users+p.use.users
	}
	return st, users
}

// Open reports whether a display is open.
func (s *Pool) Open(display string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range views(display) {
		if s.open[v] != nil {
			return true
		}
	}
	return false
}

// Watched reports whether a display has users who see it in one way.
func (s *Pool) Watched(display string, cursor capture.CursorMode) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.open[view{display, cursor}]
	return p != nil && p.use.users > 0
}

// Health returns the condition of the displays with users.
func (s *Pool) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	worst := Healthy
	for _, p := range s.open {
		switch {
		case p.use.users == 0:
		case p.Status().State == Lost:
			return DisplayLost
		case p.encodings.stuck():
			worst = NoEncoder
		}
	}
	return worst
}

// SetEncoders replaces the encoders to choose from, best first. Open encoders stay in use and count as before.
func (s *Pool) SetEncoders(encoders []encode.Factory) { s.encoders.replace(encoders) }

// Formats returns the formats that have an encoder, the preferred one first.
func (s *Pool) Formats() []encode.Format { return s.encoders.formats() }

// Best returns the encoder of a format that is tried first. It reports false if there is none.
func (s *Pool) Best(now time.Time, format encode.Format) (encode.Profile, bool) {
	return s.encoders.best(now, format)
}

// Encoders returns the status of all encoders that are not banned, the preferred one first.
func (s *Pool) Encoders(now time.Time) []EncoderStatus {
	return s.encoders.status(now, encode.Format{})
}

// Refuse makes Acquire fail with ErrClosed, including calls that wait in it.
func (s *Pool) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.ending)
	}
}

// Close ends all pipelines. Wait waits for their end.
func (s *Pool) Close() {
	s.Refuse()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.open {
		s.retire(p)
	}
}

// Wait waits until all pipelines have ended. A call of a capture driver that hangs may outlive them.
func (s *Pool) Wait() { s.wg.Wait() }

// Running returns the number of pipelines that have not ended.
func (s *Pool) Running() int { return int(s.running.Load()) }

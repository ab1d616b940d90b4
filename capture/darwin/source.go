package darwin

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/capture"
)

// Source captures one display.
type Source struct {
	sys     system
	log     *slog.Logger
	kind    capture.Kind
	cursor  capture.CursorMode
	display Display // as it was opened
	stream  stream
	copier  *capture.Copier
	slots   *capture.Slots

	news chan struct{} // something may be due
	next sync.Mutex    // held by Next, and by Close to wait for Next

	// The following fields belong to the holder of next.
	size image.Point // of the stream
	last *held       // the newest picture
	bad  int         // pictures in a row that failed
	seq  uint64

	refresh atomic.Bool // the next frame must be whole
	ending  capture.Ending

	mu      sync.Mutex // guards the following fields
	ended   bool       // the stream is given up
	pending sample     // the newest picture that is not looked at; without a buffer if there is none
	whole   bool       // what changed until the next picture is unknown
	scale   [2]float64
	dark    status // why there are no pictures: blank or suspended, or 0
	failure error  // why the stream has ended
	heard   time.Time
	asking  bool // the window server was asked, and has not answered
	asked   time.Time
	now     image.Point // the size of the display, from the last answer
}

var _ capture.Source = (*Source)(nil)

// open starts the stream, and waits for the first picture.
func (s *Source) open(ctx context.Context, cfg Config) error {
	var err error
	found := make(chan Display, 1)
	failed := make(chan error, 1)
	go func() { // unguarded: it only calls macOS
		if display, err := find(s.sys, cfg.Display); err != nil {
			failed <- err
		} else {
			found <- display
		}
	}()
	select {
	case s.display = <-found:
	case err := <-failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: the window server does not answer", ctx.Err())
	}
	if !s.sys.permitted() {
		s.sys.request()
	}
	s.size, s.now = s.display.Size, s.display.Size
	s.stream, err = s.sys.start(ctx, params{
		display: s.display.number, size: s.size, nv12: s.kind == capture.Metal,
		cursor: s.cursor == capture.CursorEmbedded, fps: cfg.Demand.FPS,
	}, s.deliver, s.stopped)
	if err != nil {
		return err
	}
	for {
		if _, err := s.look(); err != nil || s.last != nil {
			return err
		}
		select {
		case <-s.news:
		case <-ctx.Done():
			return fmt.Errorf("%w: no picture came; %s", ctx.Err(), s.darkness())
		}
	}
}

// find returns a display by its ID, or the main one.
func find(sys system, id string) (Display, error) {
	if !sys.session() {
		return Display{}, errSession
	}
	list := sys.displays()
	i := slices.IndexFunc(list, func(d Display) bool { return d.ID == id || id == "" && d.Main })
	if i < 0 {
		return Display{}, errAbsent
	}
	return list[i], nil
}

// darkness says why no pictures come.
func (s *Source) darkness() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.dark {
	case statusBlank:
		return "the display is dark"
	case statusSuspended:
		return "macOS has suspended updates of the display"
	case statusComplete, statusIdle, statusStarted, statusStopped:
	}
	return "is the display on, and its session on the screen?"
}

func (s *Source) wake() {
	select {
	case s.news <- struct{}{}:
	default: // it is awake
	}
}

// deliver takes a sample of the stream. Of pictures that are not looked at only the newest is kept, with all damage.
func (s *Source) deliver(m sample) {
	s.mu.Lock()
	s.heard = time.Now()
	old := m.buffer
	switch m.status {
	case statusComplete, statusStarted:
		if m.buffer != 0 && !s.ending.Closed() && !s.ended {
			old = s.pending.buffer
			s.picture(m)
		}
	case statusIdle:
	case statusBlank, statusSuspended:
		s.dark, s.whole = m.status, true
	case statusStopped:
		s.failure = errors.New("macOS ended the stream")
	}
	s.mu.Unlock()
	if old != 0 {
		s.sys.release(old)
	}
	s.wake()
}

// picture makes a sample the pending one. The caller holds mu.
func (s *Source) picture(m sample) {
	if m.scale != s.scale { // the display may have another size
		s.scale, s.whole = m.scale, true
		if !s.asking {
			s.asked = time.Time{}
		}
	}
	m.known = m.known && len(m.damage) > 0
	if s.pending.buffer != 0 {
		m.known = m.known && s.pending.known && m.size == s.pending.size
		m.damage = capture.MergeDamage(s.pending.damage, m.damage)
	}
	s.dark, s.pending = 0, m
}

// stopped notes that macOS has ended the stream.
func (s *Source) stopped(err error) {
	s.mu.Lock()
	s.failure = err
	s.mu.Unlock()
	s.wake()
}

// Traits implements capture.Source.
func (s *Source) Traits() capture.Traits {
	return capture.Traits{Kind: s.kind, Slots: maxFrames, Damage: true, Cursor: s.cursor}
}

// Alive implements capture.Source.
func (s *Source) Alive() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// Next implements capture.Source.
func (s *Source) Next(ctx context.Context) (*capture.Frame, error) {
	s.next.Lock()
	defer s.next.Unlock()
	f, err := s.await(ctx)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, capture.ErrNotFound) { // it was there
		err = fmt.Errorf("%w: it was disconnected", capture.ErrLost)
	}
	return nil, s.ending.Failed(ctx, err, "darwin: display "+s.display.ID, s.end)
}

// await waits for a frame.
func (s *Source) await(ctx context.Context) (*capture.Frame, error) {
	timer := time.NewTimer(heartbeat)
	defer timer.Stop()
	for {
		if err := s.ending.Err(ctx); err != nil {
			return nil, err
		}
		if err := s.beat(time.Now()); err != nil {
			return nil, err
		}
		if f, err := s.step(); f != nil || err != nil {
			return f, err
		}
		timer.Reset(heartbeat)
		select {
		case <-s.news:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// step returns a frame if one is due.
func (s *Source) step() (*capture.Frame, error) {
	began := time.Now()
	s.follow()
	if !s.slots.Room() {
		return nil, s.failed()
	}
	damage, err := s.look()
	if err != nil {
		return nil, err
	}
	refresh := s.refresh.Swap(false)
	if len(damage) == 0 && !refresh {
		return nil, nil //nolint:nilnil // there is none yet
	}
	return s.frame(damage, refresh, began), nil
}

// follow gives the stream the size that the display has.
func (s *Source) follow() {
	s.mu.Lock()
	now := s.now
	changed := now != s.size
	s.whole = s.whole || changed
	s.mu.Unlock()
	if changed {
		s.log.Info("display resized", "width", now.X, "height", now.Y)
		s.size = now
		s.stream.resize(now)
	}
}

// failed returns why the stream has ended, or nil.
func (s *Source) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// beat asks the window server for the display, in a goroutine because that may hang. There is one at most.
func (s *Source) beat(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.asking && now.Sub(s.asked) > silence:
		return errors.New("the window server does not answer")
	case s.asking || now.Sub(s.asked) < heartbeat:
		return nil
	}
	s.asking, s.asked = true, now
	go func() { // unguarded: it only calls macOS
		display, err := find(s.sys, s.display.ID)
		s.mu.Lock()
		s.asking, s.heard = false, time.Now()
		if err != nil {
			s.failure = err
		} else {
			s.now = display.Size
		}
		s.mu.Unlock()
		s.wake()
	}()
	return nil
}

// Refresh implements capture.Source.
func (s *Source) Refresh() {
	s.refresh.Store(true)
	s.wake()
}

// Close implements capture.Source.
func (s *Source) Close() error {
	s.ending.Close()
	s.wake()
	s.next.Lock()
	defer s.next.Unlock()
	s.end()
	return nil
}

// end gives up the stream. Frames keep their memory.
func (s *Source) end() {
	if s.stream != nil {
		s.stream.close()
		s.stream = nil
	}
	if s.last != nil {
		s.last.shelf.Retire()
		s.last = nil
	}
	s.mu.Lock()
	s.ended = true
	old := s.pending.buffer
	s.pending = sample{}
	s.mu.Unlock()
	if old != 0 {
		s.sys.release(old)
	}
}

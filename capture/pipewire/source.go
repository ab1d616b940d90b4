package pipewire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/capture"
)

// Source captures one stream.
type Source struct {
	what   string // for messages
	log    *slog.Logger
	pipe   pipe
	owner  owner
	cursor capture.CursorMode

	news chan struct{} // something may be due
	next sync.Mutex    // held by Next, and by Close to wait for Next

	// The following fields belong to the holder of next.
	serial  uint64 // of format
	format  format
	formats error     // why pictures of format cannot be read
	last    *held     // the newest picture
	spare   [][]byte  // memory for copies
	missed  bool      // a picture was not looked at, so its damage is unknown
	bad     int       // pictures in a row that made no sense
	dropped uint64    // pictures without data so far
	wrong   error     // what was wrong with the last picture
	direct  bool      // pictures are the compositor's memory
	pinged  time.Time // when answers were asked for that have not come; zero for none
	pongs   uint64
	seq     uint64

	refresh atomic.Bool // the next frame must be whole
	ending  capture.Ending

	mu      sync.Mutex // guards the following fields
	ended   bool       // the pipe is closed
	out     int        // frames that are not released
	answers int        // that have not come
	heard   time.Time
}

var _ capture.Source = (*Source)(nil)

// newSource returns a source of a stream that open opens. It waits for the first picture. It owns o, also after an
// error.
func newSource(ctx context.Context, what string, o owner, d capture.Demand, log *slog.Logger,
	open func(wake func()) (pipe, error),
) (*Source, error) {
	s := &Source{
		what: what, log: log, owner: o, cursor: d.Cursor, news: make(chan struct{}, 1),
		heard: time.Now(),
	}
	s.refresh.Store(true)
	var err error
	if s.pipe, err = open(s.wake); err != nil {
		o.Close()
		return nil, err
	}
	if err := s.first(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// first waits for the first picture.
func (s *Source) first(ctx context.Context) error {
	for {
		if _, err := s.look(true); err != nil || s.last != nil {
			return err
		}
		select {
		case <-s.news:
		case <-s.owner.Lost():
			return s.owner.Err()
		case <-ctx.Done():
			switch {
			case s.wrong != nil:
				return s.wrong
			case s.serial == 0:
				return fmt.Errorf("%w: no format was agreed on (is a session manager like wireplumber running?)",
					ctx.Err())
			}
			return fmt.Errorf("%w: no picture came; is its session on the screen, and the monitor on?", ctx.Err())
		}
	}
}

func (s *Source) wake() {
	select {
	case s.news <- struct{}{}:
	default: // it is awake
	}
}

// Traits implements capture.Source.
func (s *Source) Traits() capture.Traits {
	return capture.Traits{Slots: maxFrames, Damage: true, Cursor: s.cursor}
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
	if err != nil {
		return nil, s.ending.Failed(ctx, err, "pipewire: "+s.what, s.end)
	}
	return f, nil
}

// await waits for a frame.
func (s *Source) await(ctx context.Context) (*capture.Frame, error) {
	timer := time.NewTimer(heartbeat)
	defer timer.Stop()
	for {
		if err := s.ending.Err(ctx); err != nil {
			return nil, err
		}
		began, room, refresh := time.Now(), s.room(), s.refresh.Load()
		change, err := s.look(room)
		switch {
		case err != nil:
			return nil, err
		case room && (change != nil || refresh):
			return s.frame(change, refresh, began), nil
		}
		if err := s.beat(began); err != nil {
			return nil, err
		}
		timer.Reset(heartbeat)
		select {
		case <-s.news:
		case <-timer.C:
		case <-ctx.Done():
		case <-s.owner.Lost():
			return nil, s.owner.Err()
		}
	}
}

// beat asks for answers when none has come for a while.
func (s *Source) beat(now time.Time) error {
	s.mu.Lock()
	heard := s.heard
	waiting := s.answers > 0
	ask := !waiting && now.Sub(heard) >= heartbeat
	if ask {
		s.answers = 2
	}
	s.mu.Unlock()
	switch {
	case ask:
		s.pinged = now
		s.pipe.ping()
		s.owner.Ping(s.answered)
	case waiting && now.Sub(s.pinged) > silence:
		return errors.New("its compositor or PipeWire's daemon does not answer")
	}
	return nil
}

// answered notes an answer to a ping. Both the daemon and the compositor must answer.
func (s *Source) answered() {
	s.mu.Lock()
	if s.answers--; s.answers <= 0 {
		s.answers, s.heard = 0, time.Now()
	}
	s.mu.Unlock()
	s.wake()
}

// room reports whether another frame may be returned.
func (s *Source) room() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out < maxFrames
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
	if s.last != nil {
		s.drop(s.last)
		s.last = nil
	}
	s.mu.Lock()
	again := s.ended
	s.ended = true // nothing is given back any more
	s.spare = nil
	s.mu.Unlock()
	if again {
		return
	}
	s.pipe.close()
	s.owner.Close()
}

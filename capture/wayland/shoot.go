package wayland

import (
	"context"
	"errors"
	"image"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/wlproto"
)

// Limits for compositors.
const (
	// heartbeat is the interval for asking a compositor that sends nothing. The answer shows that it works.
	heartbeat = 500 * time.Millisecond
	// silence is the time after which a compositor without an answer is lost. They pause for seconds while a driver does.
	silence = 10 * time.Second
	// freshLimit is the time after which a picture that need not wait for a change counts as refused. A compositor
	// whose session is not on the screen delivers none.
	freshLimit = 5 * time.Second
	// maxAttempts is the number of attempts to capture while the output changes.
	maxAttempts = 5
)

// await waits for a picture of the compositor, and asks for it.
func (s *Source) await(ctx context.Context) (*capture.Frame, error) {
	for {
		if err := s.ending.Err(ctx); err != nil {
			return nil, err
		}
		f, err := s.step()
		if f != nil || err != nil {
			return f, err
		}
		if err := s.wait(); err != nil {
			return nil, err
		}
	}
}

// step does what is due for the current shot. It returns a frame when that is complete.
func (s *Source) step() (*capture.Frame, error) {
	if err := s.follow(); err != nil {
		return nil, err
	}
	shot := s.proto.shot()
	if refresh := s.refresh.Load(); s.slots.Room() && (refresh || !shot.begun) {
		s.begin(refresh)
	}
	switch {
	case shot.stopped:
		return nil, errors.New("the compositor stopped the capture")
	case !shot.begun:
	case shot.failed:
		return nil, s.retry("the compositor delivers no picture")
	case shot.ready && shot.orientation() != s.buffers.orientation():
		// It is known with the picture only.
		return nil, s.retry("the picture turns around")
	case shot.ready:
		return s.frame(), nil
	case shot.described && !shot.copying:
		if err := s.reshape(shot.layout); err != nil {
			return nil, err
		}
		if s.whole && !shot.fresh { // new buffers must not wait for a change
			s.begin(true)
			return nil, nil
		}
		s.slot = s.buffers.pick()
		s.since = time.Now()
		s.proto.copy(s.buffers.target(s.slot))
	}
	return nil, nil
}

// begin starts a shot. A fresh shot does not wait for a change.
func (s *Source) begin(fresh bool) {
	if fresh {
		s.refresh.Store(false)
		s.whole = true
	}
	s.since = time.Now()
	s.proto.begin(fresh || s.whole)
}

// retry gives up a shot and starts another. Several failures in a row mean that the output is lost.
func (s *Source) retry(why string) error {
	if s.attempts++; s.attempts >= maxAttempts {
		return errors.New(why)
	}
	s.begin(true)
	return nil
}

// follow looks whether the output is still there, and how it is turned.
func (s *Source) follow() error {
	if !s.outputs.Changed {
		return nil
	}
	s.outputs.Changed = false
	out, ok := s.outputs.Find(s.cfg.Output)
	if !ok || out.ID != s.output.ID {
		return errNoOutput
	}
	if out.Transform != s.output.Transform {
		s.proto.shot().transform = out.Transform
		s.Refresh()
	}
	s.output = out
	return nil
}

// wait handles events until something may be due.
func (s *Source) wait() error {
	now := time.Now()
	deadline := s.Alive().Add(heartbeat)
	if !s.pinged.IsZero() || deadline.Before(now) {
		deadline = now.Add(heartbeat)
	}
	if s.pinged.IsZero() && now.Sub(s.Alive()) >= heartbeat {
		s.ping(now)
	}
	err := s.conn.Wait(deadline)
	shot := s.proto.shot()
	switch {
	case errors.Is(err, wlproto.ErrWoken):
		return nil
	case !errors.Is(err, wlproto.ErrTimeout):
		return err
	case shot.begun && shot.fresh && time.Since(s.since) > freshLimit:
		return errors.New("the compositor delivers no picture; is its session on the screen, and the output on?")
	case s.pinged.IsZero():
		s.ping(time.Now())
	case time.Since(s.pinged) > silence:
		return wlproto.ErrSilent
	}
	return nil
}

func (s *Source) ping(now time.Time) {
	s.pinged = now
	s.conn.Ping(func() { s.pinged = time.Time{} })
}

// reshape gives the source buffers of a layout, if it lacks them.
func (s *Source) reshape(l layout) error {
	if s.buffers != nil && s.buffers.layout == l {
		return nil
	}
	if err := l.check(); err != nil {
		return err
	}
	if s.buffers != nil {
		width, height := l.upright()
		s.log.Info("display resized", "width", width, "height", height)
		s.buffers.retire(s.conn)
		s.buffers = nil
	}
	s.whole = true
	var err error
	s.buffers, err = newBuffers(s.conn, s.shm, l, s.slots)
	return err
}

// frame returns the finished shot as a frame, and ends the shot.
func (s *Source) frame() *capture.Frame {
	at, shot, slot := time.Now(), s.proto.shot(), s.slot
	s.proto.end()
	s.attempts = 0
	f := s.buffers.shelf.Lend(slot.index)
	f.Pix, f.Stride = slot.pix, s.buffers.fill(slot)
	f.Width, f.Height = s.buffers.upright()
	f.Damage, f.Exact = s.damage(shot, f.Bounds()), s.proto.reports()
	s.whole = false
	s.seq++
	f.Time, f.Seq, f.Took = at, s.seq, time.Since(at)
	return f
}

// damage returns what a shot changed.
func (s *Source) damage(shot *shot, bounds image.Rectangle) []image.Rectangle {
	var damage []image.Rectangle
	for _, r := range shot.damage {
		damage = append(damage, s.buffers.place(r))
	}
	damage = capture.MergeDamage(nil, damage)
	// A compositor that delivers a picture without damage did not say what changed.
	if s.whole || !s.proto.reports() || len(damage) == 0 {
		return []image.Rectangle{bounds}
	}
	return damage
}

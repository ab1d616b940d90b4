package kms

import (
	"context"
	"fmt"
	"image"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/descriptors"
	"wavryhost/platform/kms"
	"wavryhost/platform/kms/drm"
)

const (
	// maxFrames is the number of frames that may be held at once.
	maxFrames = 3
	// heartbeat is the interval for asking a helper while all frames are held.
	heartbeat = 500 * time.Millisecond
	// doubtInterval is the interval for comparing a picture whose program flips buffers. It may also change a picture in
	// place, as the console does that a person has just switched to.
	doubtInterval = time.Second
	// A picture that changes in place is compared in each frame, and in each stillInterval after it was still for
	// stillAfter.
	stillAfter, stillInterval = time.Second, time.Second / 10
	// defaultFPS is the rate of comparisons if the demand names none.
	defaultFPS = 60
)

// Source captures one output.
type Source struct {
	cfg  Config
	log  *slog.Logger
	conn *kms.Conn
	kind capture.Kind

	news chan struct{} // something may be due
	next sync.Mutex    // held by Next, and by Close to wait for Next

	// The following fields belong to the holder of next.
	store    store
	pointer  shapes
	seen     kms.State
	size     image.Point
	inPlace  bool      // the picture may change without a flip
	compared time.Time // when the picture was read
	changed  time.Time // when it differed
	warned   bool
	seq      uint64

	slots *capture.Slots

	refresh atomic.Bool // the next frame must be whole
	ending  capture.Ending
	heard   atomic.Pointer[time.Time]
}

var _ capture.Source = (*Source)(nil)

// store holds the pictures that come, and makes frames of them.
type store interface {
	// accept takes a picture, and what it keeps from files.
	accept(p *picture, files []*os.File) (outcome, error)
	// repeat makes the latest frame's picture that of the next one. It reports whether there is one.
	repeat() bool
	// frame returns the latest picture as a frame. There must be room for one.
	frame() *capture.Frame
	// close frees the memory, once all frames are released.
	close()
}

// picture is an answer of the helper with a picture.
type picture struct {
	*kms.Scanout
	pointer  *capture.Shape // in it, or nil
	replaced bool           // the framebuffer is another one
	look     bool           // it is time to look for changes in place
}

// outcome is what a picture changed.
type outcome struct {
	damage []image.Rectangle
	// compared reports whether the damage is the difference of pixels. blind reports whether they cannot be read.
	compared, blind bool
}

// embeds reports whether the pointer is drawn into the picture.
func (s *Source) embeds() bool { return s.cfg.Demand.Cursor == capture.CursorEmbedded }

// Traits implements capture.Source.
func (s *Source) Traits() capture.Traits {
	return capture.Traits{
		Kind: s.kind, Surfaces: !s.embeds(), Slots: maxFrames, Volatile: s.kind == capture.DMA, Damage: true,
		Cursor: s.cfg.Demand.Cursor,
	}
}

// Alive implements capture.Source.
func (s *Source) Alive() time.Time {
	return *s.heard.Load()
}

// Next implements capture.Source.
func (s *Source) Next(ctx context.Context) (*capture.Frame, error) {
	s.next.Lock()
	defer s.next.Unlock()
	f, err := s.await(ctx)
	if err != nil {
		return nil, s.ending.Failed(ctx, err, "kms: output "+s.cfg.Output, s.conn.Close)
	}
	return f, nil
}

// await waits for a frame.
func (s *Source) await(ctx context.Context) (*capture.Frame, error) {
	for {
		now, refresh := time.Now(), s.refresh.Load()
		due := s.compared.Add(s.interval())
		if err := s.ending.Err(ctx); err != nil {
			return nil, err
		}
		switch {
		case !s.slots.Room():
			s.pause(ctx, heartbeat)
			if _, _, err := s.look(ctx, kms.Query{Output: s.cfg.Output}); err != nil {
				return nil, err
			}
			continue
		case s.inPlace && !refresh && now.Before(due):
			s.pause(ctx, due.Sub(now))
			continue
		}
		q := s.query()
		if !refresh && now.Before(due) { // the helper reports flips
			q.Seen = &s.seen
		}
		scanout, files, err := s.look(ctx, q)
		if err != nil {
			return nil, err
		}
		damage, err := s.accept(scanout, files)
		if err != nil {
			return nil, err
		}
		off := scanout.Picture == nil
		if refresh && off && s.store.repeat() { // its last picture stays
			off = false
		}
		if !off && (refresh || len(damage) > 0) {
			return s.frame(damage, refresh, now), nil
		}
		if off && q.Seen == nil {
			s.pause(ctx, stillInterval)
		}
	}
}

// interval returns the time between two comparisons of pictures that were not flipped.
func (s *Source) interval() time.Duration {
	fps := s.cfg.Demand.FPS
	if fps <= 0 {
		fps = defaultFPS
	}
	switch {
	case !s.inPlace:
		return doubtInterval
	case s.compared.Sub(s.changed) > stillAfter:
		return max(stillInterval, time.Second/time.Duration(fps))
	}
	return time.Second / time.Duration(fps)
}

// pause waits for a time, or until something may be due.
func (s *Source) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.news:
	case <-ctx.Done():
	}
}

// look asks the helper.
func (s *Source) look(ctx context.Context, q kms.Query) (*kms.Scanout, []*os.File, error) {
	now, files, err := s.conn.Look(ctx, q)
	if err == nil {
		s.heard.Store(new(time.Now()))
	}
	if !q.Picture {
		descriptors.Close(files)
		files = nil
	}
	return now, files, err
}

// accept takes the picture that has come, if one has. It returns what that changed. It owns the files.
func (s *Source) accept(now *kms.Scanout, files []*os.File) ([]image.Rectangle, error) {
	defer descriptors.Close(files)
	before := s.seen
	if s.embeds() {
		if err := s.pointer.accept(now, files); err != nil {
			return nil, err
		}
	}
	s.seen = now.State
	if now.FB == 0 || now.Picture == nil {
		return nil, nil
	}
	if now.Rotation != drm.Rotate0 {
		return nil, fmt.Errorf("%w: driver %s turns the picture; turn it by the desktop's settings, or capture the desktop "+
			"as a display of x11, wayland or pipewire", capture.ErrUnsupported, now.Driver)
	}
	if now.Overlays > 0 && !s.warned {
		s.warned = true
		s.log.Warn("capture is degraded: a part of the screen is on planes of its own, which are left out",
			"planes", now.Overlays)
	}
	if size := now.Area.Size(); size != s.size {
		if s.size != (image.Point{}) {
			s.log.Info("display resized", "width", size.X, "height", size.Y)
		}
		s.size = size
	}
	p := &picture{Scanout: now, replaced: before.FB != now.FB}
	if s.embeds() && now.CursorFB != 0 {
		p.pointer = s.pointer.shape
	}
	flipped := before.FB != 0 && p.replaced
	began := time.Now()
	p.look = !began.Before(s.compared.Add(s.interval())) || s.inPlace && s.refresh.Load()
	if s.kind == capture.Memory || p.look || flipped {
		s.compared = began
	}
	out, err := s.store.accept(p, files)
	switch {
	case err != nil:
		return nil, err
	case flipped || out.blind:
		s.inPlace = false
	case out.compared && len(out.damage) > 0 && !now.Missed && before.CursorAt == now.CursorAt &&
		before.CursorFB == now.CursorFB:
		s.inPlace = true
	}
	if len(out.damage) > 0 {
		s.changed = s.compared
	}
	return out.damage, nil
}

// frame returns the latest picture as a frame. There must be room for one.
func (s *Source) frame(damage []image.Rectangle, whole bool, began time.Time) *capture.Frame {
	f := s.store.frame()
	f.Damage, f.Exact, f.Polled = damage, true, s.inPlace
	if whole {
		f.Damage = []image.Rectangle{f.Bounds()}
		s.refresh.Store(false)
	}
	s.seq++
	f.Time, f.Seq = time.Now(), s.seq
	f.Took = f.Time.Sub(began)
	return f
}

func (s *Source) wake() {
	select {
	case s.news <- struct{}{}:
	default: // it is awake
	}
}

// Refresh implements capture.Source.
func (s *Source) Refresh() {
	s.refresh.Store(true)
	s.wake()
}

// close gives the buffers back.
func (s *Source) close() {
	s.store.close()
	s.pointer.maps.close()
}

// Close implements capture.Source.
func (s *Source) Close() error {
	first := s.ending.Close()
	s.conn.Close()
	s.wake()
	s.next.Lock()
	defer s.next.Unlock()
	if first {
		s.close()
	}
	return nil
}

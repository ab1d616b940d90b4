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
	// diffRows is the height of the bands that are compared.
	diffRows = 16
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

	news chan struct{} // something may be due
	next sync.Mutex    // held by Next, and by Close to wait for Next

	// The following fields belong to the holder of next.
	maps     buffers
	pictures *pictures
	pointer  shapes
	seen     kms.State
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

// pictures is memory for pictures of one size. One picture more than there are slots is free, whatever is held. So the
// next picture can be compared with the latest one.
type pictures struct {
	size   image.Point
	shelf  *capture.Shelf
	slots  [maxFrames][]byte
	free   []byte
	latest int // the slot of the latest picture, or -1
}

// New opens an output. It takes no longer than ctx and five seconds. The Source outlives ctx.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Source, error) {
	if err := cfg.Demand.MemoryOnly(); err != nil {
		return nil, err
	}
	return dialed(ctx, cfg, func(ctx context.Context, c *kms.Conn) (*Source, error) {
		s := &Source{
			cfg: cfg, log: log.With("output", cfg.Output), conn: c, news: make(chan struct{}, 1),
			inPlace: true,
		}
		s.refresh.Store(true)
		s.heard.Store(new(time.Now()))
		s.slots = capture.NewSlots(maxFrames, s.wake)
		now, files, err := c.Look(ctx, kms.Query{Output: cfg.Output, Picture: true, Cursor: s.embeds()})
		if err == nil && now.FB == 0 {
			err = kms.ErrOff
			descriptors.Close(files)
		}
		if err == nil {
			_, err = s.accept(now, files)
		}
		if err != nil {
			s.unmap()
			return nil, err
		}
		return s, nil
	})
}

// embeds reports whether the pointer is drawn into the picture.
func (s *Source) embeds() bool { return s.cfg.Demand.Cursor == capture.CursorEmbedded }

// Traits implements capture.Source.
func (s *Source) Traits() capture.Traits {
	return capture.Traits{Slots: maxFrames, Damage: true, Cursor: s.cfg.Demand.Cursor}
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
		q := kms.Query{Output: s.cfg.Output, Picture: true, Cursor: s.embeds()}
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
		if refresh && off && s.pictures.latest >= 0 { // its last picture stays
			copy(s.pictures.free, s.pictures.slots[s.pictures.latest])
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

// accept reads the picture that has come, if one has. It returns what that changed. It owns the files.
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
	l, err := layoutOf(now.Picture, now.Area, now.Driver)
	if err != nil {
		return nil, err
	}
	s.reshape(l.size)
	s.compared = time.Now()
	if err := s.maps.read(l, now.Picture, files, s.pictures.free); err != nil {
		return nil, err
	}
	if shape := s.pointer.shape; s.embeds() && shape != nil && now.CursorFB != 0 {
		draw(s.pictures.free, l.size, shape, now.CursorAt)
	}
	damage := s.pictures.damage()
	flipped := before.FB != 0 && before.FB != now.FB
	switch {
	case flipped:
		s.inPlace = false
	case len(damage) > 0 && !now.Missed && before.CursorAt == now.CursorAt && before.CursorFB == now.CursorFB:
		s.inPlace = true
	}
	if len(damage) > 0 {
		s.changed = s.compared
	}
	return damage, nil
}

// reshape gives the source memory for pictures of a size, if it lacks that.
func (s *Source) reshape(size image.Point) {
	if s.pictures != nil && s.pictures.size == size {
		return
	}
	if s.pictures != nil {
		s.log.Info("display resized", "width", size.X, "height", size.Y)
		s.pictures.shelf.Retire()
		s.maps.close()
	}
	p := &pictures{size: size, shelf: s.slots.NewShelf(func() {}), latest: -1}
	for i := range p.slots {
		p.slots[i] = make([]byte, 4*size.X*size.Y)
	}
	p.free = make([]byte, 4*size.X*size.Y)
	s.pictures = p
}

// damage returns how the free picture differs from the latest one.
func (p *pictures) damage() []image.Rectangle {
	if p.latest < 0 {
		return []image.Rectangle{{Max: p.size}}
	}
	return capture.Diff(p.slots[p.latest], p.free, 4*p.size.X, p.size.Y, diffRows)
}

// frame returns the picture that was read last as a frame. There must be room for one.
func (s *Source) frame(damage []image.Rectangle, whole bool, began time.Time) *capture.Frame {
	p := s.pictures
	slot := 0
	for p.shelf.Held(slot) {
		slot++
	}
	p.slots[slot], p.free = p.free, p.slots[slot]
	p.latest = slot
	f := p.shelf.Lend(slot)
	f.Pix, f.Stride, f.Width, f.Height = p.slots[slot], 4*p.size.X, p.size.X, p.size.Y
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

// unmap gives the buffers back.
func (s *Source) unmap() {
	s.maps.close()
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
		s.unmap()
		s.pictures.shelf.Retire()
	}
	return nil
}

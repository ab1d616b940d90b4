package wayland

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"sync"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/wlproto"
)

// noDeadline is that of a wait without one.
var noDeadline time.Time

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

// Source captures one output of a compositor.
type Source struct {
	cfg Config
	log *slog.Logger

	conn    *wlproto.Conn
	outputs *wlproto.Outputs
	output  wlproto.Output
	shm     uint32
	proto   protocol

	next sync.Mutex // held by Next, and by Close to wait for Next

	// The following fields belong to the holder of next.
	buffers  *buffers
	slot     *slot     // what the current shot goes to
	whole    bool      // the next frame is damaged as a whole
	since    time.Time // when the current shot began, or its copy
	attempts int       // failed shots in a row
	pinged   time.Time // when an answer was asked for that has not come; zero for none
	seq      uint64
	lost     error

	mu      sync.Mutex // guards the following fields and the held slots of buffers
	refresh bool
	closed  bool
	frames  int // frames that are not yet released
}

// New opens an output. It takes no longer than ctx and five seconds. The Source outlives ctx.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Source, error) {
	if err := cfg.Demand.MemoryOnly(); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, wlproto.OpenTimeout)
	defer cancel()
	s, err := newSource(limited, cfg, log.With("compositor", cfg.Socket))
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, capture.WithReason(err, reason(err))
}

func newSource(ctx context.Context, cfg Config, log *slog.Logger) (*Source, error) {
	c, err := wlproto.Dial(ctx, cfg.Socket)
	if err != nil {
		return nil, fmt.Errorf("wayland: %w", err)
	}
	s := &Source{cfg: cfg, log: log, conn: c, whole: true}
	defer context.AfterFunc(ctx, c.Wake)()
	if err := s.open(ctx); err != nil {
		c.Close()
		if s.buffers != nil {
			s.retire()
		}
		return nil, fmt.Errorf("wayland: open output %s of %s: %w", cfg.Output, cfg.Socket, err)
	}
	return s, nil
}

func (s *Source) open(ctx context.Context) error {
	name, err := supported(s.conn)
	if err != nil {
		return err
	}
	if s.outputs, err = wlproto.NewOutputs(ctx, s.conn); err != nil {
		return err
	}
	if list := s.outputs.List(); s.cfg.Output == "" && len(list) > 0 {
		s.cfg.Output = list[0].Name
	}
	var found bool
	if s.output, found = s.outputs.Find(s.cfg.Output); !found {
		return errNoOutput
	}
	g, _ := s.conn.Global("wl_shm")
	s.shm, _ = s.conn.Bind(g, 1, nil)
	if embedded := s.cfg.Demand.Cursor == capture.CursorEmbedded; name == extManager {
		s.proto = newImageCopy(s.conn, s.output.ID, embedded)
	} else {
		s.proto = newScreencopy(s.conn, s.output.ID, embedded)
	}
	if !s.proto.reports() {
		s.log.Warn("capture is degraded: the compositor does not tell what changed, so the output is polled")
	}
	s.proto.shot().transform = s.output.Transform
	s.begin(true)
	shot := s.proto.shot()
	err = s.conn.Until(ctx, func() bool { return shot.described || shot.failed || shot.stopped })
	switch {
	case err != nil:
		return err
	case shot.failed || shot.stopped:
		return fmt.Errorf("%w: the compositor refuses", capture.ErrUnsupported)
	}
	return s.reshape(shot.layout)
}

// Traits implements capture.Source.
func (s *Source) Traits() capture.Traits {
	return capture.Traits{Slots: maxFrames, Damage: s.proto.reports(), Cursor: s.cfg.Demand.Cursor}
}

// Alive implements capture.Source.
func (s *Source) Alive() time.Time { return s.conn.Heard() }

// Next implements capture.Source.
func (s *Source) Next(ctx context.Context) (*capture.Frame, error) {
	s.next.Lock()
	defer s.next.Unlock()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, s.conn.Wake)()
	}
	f, err := s.await(ctx)
	switch {
	case err == nil:
		return f, nil
	case s.isClosed():
		return nil, capture.ErrClosed
	case ctx.Err() != nil && s.lost == nil:
		return nil, err
	}
	if s.lost == nil {
		err = capture.WithReason(err, capture.ErrLost)
		s.lost = fmt.Errorf("wayland: output %s of %s is lost: %w", s.cfg.Output, s.cfg.Socket, err)
		s.conn.Close()
	}
	return nil, s.lost
}

// await waits for a picture of the compositor, and asks for it.
func (s *Source) await(ctx context.Context) (*capture.Frame, error) {
	for {
		switch {
		case s.isClosed():
			return nil, capture.ErrClosed
		case s.lost != nil:
			return nil, s.lost
		case ctx.Err() != nil:
			return nil, ctx.Err()
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
	room, refresh := s.state()
	if room && (refresh || !shot.begun) {
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
		s.mu.Lock()
		s.slot = s.buffers.pick()
		s.mu.Unlock()
		s.since = time.Now()
		s.proto.copy(s.buffers.target(s.slot))
	}
	return nil, nil
}

// begin starts a shot. A fresh shot does not wait for a change.
func (s *Source) begin(fresh bool) {
	if fresh {
		s.mu.Lock()
		s.refresh = false
		s.mu.Unlock()
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

// state reports whether another frame may be returned, and whether a whole one is wanted.
func (s *Source) state() (room, refresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames < maxFrames, s.refresh
}

func (s *Source) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
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
		s.retire()
		s.buffers = nil
	}
	s.whole = true
	var err error
	s.buffers, err = newBuffers(s.conn, s.shm, l, s.release)
	return err
}

// frame returns the finished shot as a frame, and ends the shot.
func (s *Source) frame() *capture.Frame {
	at, shot, slot := time.Now(), s.proto.shot(), s.slot
	s.proto.end()
	s.attempts = 0
	f := capture.NewFrame(slot.release)
	f.Pix, f.Stride = slot.pix, s.buffers.fill(slot)
	f.Width, f.Height = s.buffers.upright()
	f.Damage, f.Exact = s.damage(shot, f.Bounds()), s.proto.reports()
	s.whole = false
	s.seq++
	f.Time, f.Seq, f.Took = at, s.seq, time.Since(at)

	s.mu.Lock()
	defer s.mu.Unlock()
	slot.held = true
	s.buffers.held++
	s.frames++
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

// release takes back a slot.
func (s *Source) release(b *buffers, slot *slot) {
	s.mu.Lock()
	slot.held = false
	b.held--
	s.frames--
	waiting := s.frames == maxFrames-1
	free := b.retired && b.held == 0
	s.mu.Unlock()
	if free {
		freeMemory(b.mem)
	}
	if waiting {
		s.conn.Wake()
	}
}

// retire gives up the buffers once their frames are released.
func (s *Source) retire() {
	b := s.buffers
	for _, id := range b.objects {
		s.conn.Send(id, 0)
		s.conn.Forget(id)
	}
	s.mu.Lock()
	b.retired = true
	free := b.held == 0
	s.mu.Unlock()
	if free {
		freeMemory(b.mem)
	}
}

// Refresh implements capture.Source.
func (s *Source) Refresh() {
	s.mu.Lock()
	s.refresh = true
	s.mu.Unlock()
	s.conn.Wake()
}

// Close implements capture.Source.
func (s *Source) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	s.conn.Close()
	s.next.Lock()
	defer s.next.Unlock()
	if !again && s.buffers != nil {
		s.retire()
	}
	return nil
}

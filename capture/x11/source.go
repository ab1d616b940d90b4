package x11

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/xproto"
)

// Source captures one screen of an X server, or one monitor of it.
//
// More may change between the server's report of a change and its copy of the pixels. Such pixels may be in the frame
// already, and are damage of the next frame, which follows without waiting.
type Source struct {
	cfg    Config
	log    *slog.Logger
	screen xproto.Screen
	pixels pixels
	conn   *xproto.Conn
	ext    extensions

	next sync.Mutex // held by Next, and by Close to wait for Next

	// The following fields belong to the holder of next.
	damage, region uint32      // resources; 0 without the DAMAGE extension
	dirty          bool        // the server reported damage
	resized        bool        // the server reported another size, or its answers suggest it
	origin         image.Point // of the pictures, on the screen
	plainMemory    bool        // shared memory did not work
	cursor         cursor
	buffers        *buffers
	doubt          doubt
	lost           error
	seq            uint64
	changes, needs []image.Rectangle
	plan           []read
	pending        []uint16 // sequence numbers of the current reads

	slots *capture.Slots

	refresh atomic.Bool // the next frame must be whole
	closed  atomic.Bool
}

// New opens a display. It takes no longer than ctx and five seconds. The Source outlives ctx.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Source, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, capture.WithReason(err, capture.ErrUnsupported)
	}
	limited, cancel := context.WithTimeout(ctx, xproto.OpenTimeout)
	defer cancel()
	s, err := newSource(limited, cfg, log)
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, capture.WithReason(err, reason(err))
}

// reason returns why a display could not be opened.
func reason(err error) error {
	_, refused := errors.AsType[xproto.RefusedError](err)
	_, silent := errors.AsType[xproto.SilentError](err)
	_, lost := errors.AsType[xproto.LostError](err)
	switch {
	case refused, errors.Is(err, fs.ErrPermission):
		return capture.ErrDenied
	case silent, errors.Is(err, context.DeadlineExceeded):
		return capture.ErrSilent
	case lost, errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, xproto.ErrName),
		errors.Is(err, errNoMonitor):
		return capture.ErrNotFound
	}
	return capture.ErrUnsupported
}

func newSource(ctx context.Context, cfg Config, log *slog.Logger) (*Source, error) {
	c, err := dial(ctx, cfg.Display, cfg.Authority)
	if err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, log: log.With("display", cfg.Display), screen: c.Screen, conn: c}
	s.refresh.Store(true)
	s.slots = capture.NewSlots(maxFrames, c.Wake)
	defer context.AfterFunc(ctx, c.Wake)()
	if err := s.open(ctx); err != nil {
		c.Close()
		if s.buffers != nil {
			s.retire()
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("the server does not answer: %w", err)
		}
		return nil, fmt.Errorf("x11: open display %s: %w", cfg.Display, err)
	}
	return s, nil
}

// dial connects to a display where this package can capture one.
func dial(ctx context.Context, display string, authority []string) (*xproto.Conn, error) {
	if err := checkSystem(); err != nil {
		return nil, err
	}
	c, err := xproto.Dial(ctx, display, authority)
	if err != nil {
		return nil, fmt.Errorf("x11: %w", err)
	}
	return c, nil
}

func (s *Source) open(ctx context.Context) error {
	c := s.conn
	var err error
	if s.pixels, err = pixelsOf(c.Setup, s.screen); err != nil {
		return err
	}
	if s.ext, err = queryExtensions(ctx, c); err != nil {
		return err
	}
	if err := rootless(ctx, c, s.screen, s.ext.randr); err != nil {
		return err
	}
	c.OnEvent = s.event
	// Events of the root window report a new size too, with and without RANDR.
	c.Send(opChangeWindowAttributes, 0, s.screen.Root, attributeEventMask, maskStructureNotify)
	c.WatchMonitors(s.ext.randr, s.screen.Root)
	if s.ext.damage.Present() && s.ext.fixes.Present() {
		s.damage, s.region = c.NewID(), c.NewID()
		c.Send(s.ext.fixes.Major, fixesCreateRegion, s.region)
		if err := c.Check(
			ctx, c.Send(s.ext.damage.Major, damageCreate, s.damage, s.screen.Root, damageNonEmpty),
		); err != nil {
			return fmt.Errorf("watch for damage: %w", err)
		}
	} else {
		s.log.Warn("capture is degraded: without DAMAGE and XFIXES the display is polled whole",
			"damage", s.ext.damage.Present(), "xfixes", s.ext.fixes.Present())
	}
	embedded := s.cfg.Demand.Cursor == capture.CursorEmbedded
	s.cursor = cursor{enabled: embedded && s.ext.fixes.Present(), interval: s.cfg.PointerInterval, stale: true}
	if s.cursor.enabled {
		c.Send(s.ext.fixes.Major, fixesSelectCursorInput, s.screen.Root, 1)
	} else if embedded {
		s.log.Warn("capture is degraded: without XFIXES the picture has no cursor")
	}
	return s.reshape(ctx)
}

// Next implements capture.Source.
func (s *Source) Next(ctx context.Context) (*capture.Frame, error) {
	s.next.Lock()
	defer s.next.Unlock()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, s.conn.Wake)()
	}
	f, err := s.await(ctx)
	var loss xproto.LostError
	switch {
	case err == nil:
		return f, nil
	case s.closed.Load():
		return nil, capture.ErrClosed
	case errors.As(err, &loss):
		s.lost = fmt.Errorf("%w: X server of display %s: %w", capture.ErrLost, s.cfg.Display, loss.Err)
		s.conn.Close()
		return nil, s.lost
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, capture.WithReason(err, capture.ErrLost)
}

// heartbeat is the interval for asking the server when no other request is sent. It shows that the server still
// answers.
const heartbeat = 500 * time.Millisecond

// Alive implements capture.Source.
func (s *Source) Alive() time.Time { return s.conn.Heard() }

// Traits implements capture.Source.
func (s *Source) Traits() capture.Traits {
	t := capture.Traits{Slots: maxFrames, Damage: s.damage != 0}
	if !s.cursor.enabled {
		t.Cursor = capture.CursorHidden
	}
	return t
}

// await waits for a change and for a free slot, then captures.
func (s *Source) await(ctx context.Context) (*capture.Frame, error) {
	for {
		switch {
		case s.closed.Load():
			return nil, capture.ErrClosed
		case s.lost != nil:
			return nil, s.lost
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		room := s.slots.Room()
		if room && (s.refresh.Load() || s.dirty || s.resized || s.damage == 0 || s.doubt.pollDue(time.Now()) ||
			s.cursor.enabled && s.cursorChanged()) {
			f, err := s.capture(ctx)
			if f != nil || err != nil {
				return f, err
			}
			continue
		}
		if s.checkDue(time.Now()) {
			if err := s.check(ctx); err != nil {
				return nil, err
			}
			continue
		}
		deadline := s.Alive().Add(heartbeat)
		if due := s.doubt.due(); s.damage != 0 && due.Before(deadline) && (room || !s.doubt.polls) {
			deadline = due
		}
		if due := s.cursor.due(); room && s.cursor.enabled && due.Before(deadline) {
			deadline = due
		}
		err := s.conn.Wait(deadline)
		switch {
		case errors.Is(err, xproto.ErrTimeout):
			err = s.look(ctx)
		case errors.Is(err, xproto.ErrWoken):
			err = nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (s *Source) cursorChanged() bool {
	return s.cursor.wanted(time.Now()) || s.cursor.changed(s.buffers.bounds())
}

// event records an event of the server. It runs during a wait, so it must not send requests or wait.
func (s *Source) event(b []byte) {
	switch kind := xproto.Kind(b); {
	case isRawMotion(b, s.ext.input):
		s.cursor.motion()
	case kind == eventConfigureNotify:
		s.resized = s.resized || le.Uint32(b[8:]) == s.screen.Root
	case s.ext.randr.Changed(b):
		s.resized = true
	case s.damage != 0 && kind == s.ext.damage.FirstEvent:
		s.dirty = true
	case s.cursor.enabled && kind == s.ext.fixes.FirstEvent+1:
		s.cursor.stale = true
	}
}

// maxAttempts is the number of attempts to capture while the display shrinks.
const maxAttempts = 5

// capture returns a frame, or nil if nothing visible has changed.
func (s *Source) capture(ctx context.Context) (*capture.Frame, error) {
	start := time.Now()
	for attempt := 1; ; attempt++ {
		if s.resized {
			if err := s.reshape(ctx); err != nil {
				return nil, s.giveUp(err)
			}
		}
		f, err := s.grab(ctx, start)
		switch _, refused := errors.AsType[xproto.RequestError](err); {
		case err == nil:
			return f, nil
		case !refused:
			return nil, s.giveUp(err)
		case attempt == maxAttempts:
			return nil, s.giveUp(fmt.Errorf("x11: read display %s: %w", s.cfg.Display, err))
		}
		// The display has most likely shrunk since the size was queried.
		_ = s.giveUp(err)
	}
}

// giveUp records that reports about changes, the cursor and the size are lost with an unfinished capture.
func (s *Source) giveUp(err error) error {
	s.resized, s.cursor.stale = true, true
	s.Refresh()
	return err
}

func (s *Source) grab(ctx context.Context, start time.Time) (*capture.Frame, error) {
	whole := s.refresh.Swap(false) || s.damage == 0

	bounds, polls := s.buffers.bounds(), s.doubt.polls
	s.doubt.polled = start
	if err := s.ask(ctx, whole || polls, bounds); err != nil {
		return nil, err
	}
	moved := s.cursor.enabled && s.cursor.changed(bounds)
	if len(s.changes) == 0 && !moved {
		return nil, nil
	}
	slot := s.buffers.pick()
	s.needs = capture.MergeDamage(append(s.needs[:0], slot.stale...), s.changes)
	s.plan = s.buffers.readPlan(s.plan[:0], s.needs)
	at := time.Now()
	if err := s.read(ctx, slot); err != nil {
		return nil, err
	}
	s.buffers.changed(slot, s.changes)
	damage := slices.Clone(s.changes)
	if polls {
		if changes := s.doubt.compare(slot.pix, s.buffers); !whole {
			damage = changes
		}
		if len(damage) == 0 && !moved {
			return nil, nil
		}
	}
	if moved {
		damage = capture.MergeDamage(damage, []image.Rectangle{s.cursor.shown.Intersect(bounds), s.cursor.rectangle(bounds)})
	}
	s.doubt.latest = slot
	slot.stale = slot.stale[:0]
	if s.cursor.enabled {
		s.cursor.shown, s.cursor.reshaped = s.cursor.draw(slot.pix, s.buffers.stride, bounds), false
		if !s.cursor.shown.Empty() {
			slot.stale = append(slot.stale, s.cursor.shown)
		}
	}
	return s.frame(slot, damage, at, start), nil
}

// ask finds out what changed, in s.changes, and where the cursor is. It takes one round trip.
func (s *Source) ask(ctx context.Context, whole bool, bounds image.Rectangle) error {
	c := s.conn
	s.changes = s.changes[:0]
	if whole {
		s.changes = append(s.changes, bounds)
	}
	var region, shape, pointer uint16
	if s.damage != 0 && (s.dirty || whole) {
		// Later damage is reported again.
		s.dirty = false
		c.Send(s.ext.damage.Major, damageSubtract, s.damage, 0, s.region)
		if !whole {
			region = c.Send(s.ext.fixes.Major, fixesFetchRegion, s.region)
		}
	}
	fetchShape := s.cursor.enabled && s.cursor.stale
	if fetchShape {
		s.cursor.fetch(time.Now())
		shape = c.Send(s.ext.fixes.Major, fixesGetCursorImage)
	}
	if s.cursor.enabled {
		pointer = c.Send(opQueryPointer, 0, s.screen.Root)
	}
	if s.damage != 0 && !whole && region != 0 {
		b, err := c.Await(ctx, region)
		if err != nil {
			return err
		}
		s.changes = parseRegion(s.changes, b, bounds.Add(s.origin), s.origin)
	}
	if fetchShape {
		if err := s.cursor.awaitShape(ctx, c, shape); err != nil {
			return err
		}
	}
	if s.cursor.enabled {
		b, err := c.Await(ctx, pointer)
		if err != nil {
			return err
		}
		at, ok := parsePointer(b)
		s.cursor.place(at.Sub(s.origin), ok, time.Now())
	}
	return nil
}

// frame returns a filled slot as a frame.
func (s *Source) frame(slot *slot, damage []image.Rectangle, at, start time.Time) *capture.Frame {
	s.seq++
	f := s.buffers.shelf.Lend(slot.index)
	f.Pix, f.Stride = slot.pix, s.buffers.stride
	f.Width, f.Height = s.buffers.width, s.buffers.height
	f.Damage, f.Exact, f.Polled = damage, s.damage != 0, s.doubt.polls
	f.Time, f.Seq, f.Took = at, s.seq, time.Since(start)
	return f
}

// reshape gives the source buffers of the display's size, if it lacks them.
func (s *Source) reshape(ctx context.Context) error {
	s.resized = false
	area, err := shownArea(ctx, s.conn, s.ext.randr, s.screen.Root, s.cfg.Monitor)
	if err != nil {
		return err
	}
	width, height := area.Dx(), area.Dy()
	moved := s.origin != area.Min
	s.origin = area.Min
	if s.buffers != nil {
		if s.buffers.width == width && s.buffers.height == height {
			if moved {
				s.buffers.changed(nil, []image.Rectangle{s.buffers.bounds()})
				s.Refresh()
			}
			return nil
		}
		s.log.Info("display resized", "width", width, "height", height)
		s.retire()
		s.buffers, s.doubt.latest = nil, nil
	}
	s.buffers, err = s.newBuffers(ctx, width, height)
	if err != nil {
		return err
	}
	s.Refresh()
	return nil
}

func (s *Source) newBuffers(ctx context.Context, width, height int) (*buffers, error) {
	_, _, size := layout(width, height)
	if width <= 0 || height <= 0 || size > maxSize {
		return nil, fmt.Errorf("x11: a display of %dx%d cannot be captured", width, height)
	}
	if !s.plainMemory {
		seg, err := s.shared(ctx, size)
		if err == nil {
			b := newBuffers(width, height, s.pixels, seg.mem, s.slots)
			b.shm = seg
			return b, nil
		}
		var loss xproto.LostError
		if errors.As(err, &loss) || ctx.Err() != nil {
			return nil, err
		}
		s.plainMemory = true
		s.log.Warn("capture is degraded: pictures come through the connection, at about ten times the CPU", "err", err)
	}
	return newBuffers(width, height, s.pixels, make([]byte, size), s.slots), nil
}

func (s *Source) shared(ctx context.Context, size int) (*segment, error) {
	switch {
	case !s.conn.Local():
		return nil, errors.New("the server may be on another machine")
	case !s.ext.shm.Present():
		return nil, errors.New("the server has no MIT-SHM extension")
	}
	return newSegment(ctx, s.conn, s.ext, size)
}

// retire gives up the buffers once their frames are released.
func (s *Source) retire() {
	b := s.buffers
	if b.shm != nil {
		// The server detaches after all earlier requests. On a dead connection it has detached already.
		s.conn.Send(s.ext.shm.Major, shmDetach, b.shm.xid)
	}
	b.shelf.Retire()
}

// Refresh implements capture.Source.
func (s *Source) Refresh() {
	s.refresh.Store(true)
	s.conn.Wake()
}

// Close implements capture.Source.
func (s *Source) Close() error {
	again := s.closed.Swap(true)
	s.conn.Close()
	s.next.Lock()
	defer s.next.Unlock()
	if !again && s.buffers != nil {
		s.retire()
	}
	return nil
}

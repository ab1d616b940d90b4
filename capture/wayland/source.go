package wayland

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/wlproto"
)

// noDeadline is that of a wait without one.
var noDeadline time.Time

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

	slots *capture.Slots

	refresh atomic.Bool // the next frame must be whole
	ending  capture.Ending
}

// New opens an output. It takes no longer than ctx and five seconds. The Source outlives ctx.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Source, error) {
	if err := cfg.Demand.MemoryOnly(); err != nil {
		return nil, err
	}
	return opened(ctx, func(ctx context.Context) (*Source, error) {
		return newSource(ctx, cfg, log.With("compositor", cfg.Socket))
	})
}

// opened opens a Source or a Pointer within the time for that, and gives an error its reason.
func opened[T any](ctx context.Context, open func(context.Context) (*T, error)) (*T, error) {
	limited, cancel := context.WithTimeout(ctx, wlproto.OpenTimeout)
	defer cancel()
	t, err := open(limited)
	switch {
	case err == nil:
		return t, nil
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
	s := &Source{cfg: cfg, log: log, conn: c, whole: true, slots: capture.NewSlots(maxFrames, c.Wake)}
	defer context.AfterFunc(ctx, c.Wake)()
	if err := s.open(ctx); err != nil {
		c.Close()
		if s.buffers != nil {
			s.buffers.retire(s.conn)
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
	if err != nil {
		return nil, s.ending.Failed(ctx, err, "wayland: output "+s.cfg.Output+" of "+s.cfg.Socket, s.conn.Close)
	}
	return f, nil
}

// Refresh implements capture.Source.
func (s *Source) Refresh() {
	s.refresh.Store(true)
	s.conn.Wake()
}

// Close implements capture.Source.
func (s *Source) Close() error {
	first := s.ending.Close()
	s.conn.Close()
	s.next.Lock()
	defer s.next.Unlock()
	if first && s.buffers != nil {
		s.buffers.retire(s.conn)
	}
	return nil
}

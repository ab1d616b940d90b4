package x11

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/xproto"
)

// Limits of a Pointer. A moving pointer is polled at pointerInterval, which is well under the 20 ms in which it must
// reach a viewer. shapeInterval bounds the frames of animated cursors.
const (
	pointerInterval = 8 * time.Millisecond
	shapeInterval   = 15 * time.Millisecond
)

// Pointer follows the pointer of one screen of an X server, or of one monitor of it.
type Pointer struct {
	cfg    Config
	conn   *xproto.Conn
	screen xproto.Screen
	fixes  xproto.Extension
	input  xproto.Extension
	randr  xproto.RandR
	closed atomic.Bool

	next sync.Mutex // held by NextPointer

	// The following fields belong to the holder of next.
	cursor  cursor
	area    image.Rectangle // that is shown, on the screen
	moved   bool            // the area may have changed
	fetched time.Time       // when the shape was requested last
	shape   *capture.Shape  // nil for an invisible one
	told    bool            // latest was returned once
	latest  capture.Pointer
	lost    error
}

var _ capture.PointerSource = (*Pointer)(nil)

// NewPointer opens the pointer of a display. It takes no longer than ctx and five seconds. The Pointer outlives ctx.
// The demand in cfg has no effect.
func NewPointer(ctx context.Context, cfg Config) (*Pointer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, capture.WithReason(err, capture.ErrUnsupported)
	}
	limited, cancel := context.WithTimeout(ctx, xproto.OpenTimeout)
	defer cancel()
	p, err := newPointer(limited, cfg)
	switch {
	case err == nil:
		return p, nil
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, capture.WithReason(err, reason(err))
}

func newPointer(ctx context.Context, cfg Config) (*Pointer, error) {
	c, err := dial(ctx, cfg.Display, cfg.Authority)
	if err != nil {
		return nil, err
	}
	p := &Pointer{
		cfg: cfg, conn: c, screen: c.Screen, moved: true,
		cursor: cursor{enabled: true, interval: min(pointerInterval, cfg.PointerInterval), stale: true},
	}
	defer context.AfterFunc(ctx, c.Wake)()
	if err := p.open(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("x11: open the pointer of display %s: %w", cfg.Display, err)
	}
	return p, nil
}

// errNoFixes means that a server does not show its pointer to clients.
var errNoFixes = fmt.Errorf("%w: the server has no XFIXES extension", capture.ErrUnsupported)

func (p *Pointer) open(ctx context.Context) error {
	ext, err := queryExtensions(ctx, p.conn)
	if err != nil {
		return err
	}
	if !ext.fixes.Present() {
		return errNoFixes
	}
	if err := rootless(ctx, p.conn, p.screen, ext.randr); err != nil {
		return err
	}
	p.fixes, p.input, p.randr = ext.fixes, ext.input, ext.randr
	p.conn.OnEvent = p.event
	p.conn.Send(opChangeWindowAttributes, 0, p.screen.Root, attributeEventMask, maskStructureNotify)
	p.conn.WatchMonitors(p.randr, p.screen.Root)
	p.conn.Send(p.fixes.Major, fixesSelectCursorInput, p.screen.Root, 1)
	return p.arrange(ctx)
}

// event records an event of the server. It runs during a wait, so it must not send requests or wait.
func (p *Pointer) event(b []byte) {
	switch kind := xproto.Kind(b); {
	case isRawMotion(b, p.input):
		p.cursor.motion()
	case kind == eventConfigureNotify:
		p.moved = p.moved || le.Uint32(b[8:]) == p.screen.Root
	case p.randr.Changed(b):
		p.moved = true
	case kind == p.fixes.FirstEvent+1:
		p.cursor.stale = true
	}
}

// NextPointer implements capture.PointerSource.
func (p *Pointer) NextPointer(ctx context.Context) (capture.Pointer, error) {
	p.next.Lock()
	defer p.next.Unlock()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, p.conn.Wake)()
	}
	got, err := p.await(ctx)
	switch _, lost := errors.AsType[xproto.LostError](err); {
	case err == nil:
		return got, nil
	case p.closed.Load():
		return capture.Pointer{}, capture.ErrClosed
	case ctx.Err() != nil && !lost:
		return capture.Pointer{}, err
	}
	if p.lost == nil {
		p.lost = fmt.Errorf("%w: pointer of display %s: %w", capture.ErrLost, p.cfg.Display, err)
		p.conn.Close()
	}
	return capture.Pointer{}, p.lost
}

// await waits for a change of the pointer.
func (p *Pointer) await(ctx context.Context) (capture.Pointer, error) {
	for {
		switch {
		case p.closed.Load():
			return capture.Pointer{}, capture.ErrClosed
		case p.lost != nil:
			return capture.Pointer{}, p.lost
		case ctx.Err() != nil:
			return capture.Pointer{}, ctx.Err()
		}
		if err := p.look(ctx, time.Now()); err != nil {
			return capture.Pointer{}, err
		}
		if now := p.pointer(); !p.told || now != p.latest {
			p.told, p.latest = true, now
			return now, nil
		}
		err := p.conn.Wait(p.due())
		if err != nil && !errors.Is(err, xproto.ErrTimeout) && !errors.Is(err, xproto.ErrWoken) {
			return capture.Pointer{}, err
		}
	}
}

// due is when to ask the server next.
func (p *Pointer) due() time.Time {
	due := p.cursor.pointerDue()
	for _, at := range []time.Time{p.shapeDue(), p.cursor.again} {
		if !at.IsZero() && at.Before(due) {
			due = at
		}
	}
	return due
}

// shapeDue is when to fetch another shape. It is zero when the shape is known.
func (p *Pointer) shapeDue() time.Time {
	if !p.cursor.stale {
		return time.Time{}
	}
	return p.fetched.Add(shapeInterval)
}

// look asks the server for what is due.
func (p *Pointer) look(ctx context.Context, now time.Time) error {
	if p.moved {
		if err := p.arrange(ctx); err != nil {
			return err
		}
	}
	if again := p.cursor.again; !again.IsZero() && !now.Before(again) {
		p.cursor.stale, p.cursor.again = true, time.Time{}
	}
	if p.cursor.stale && !now.Before(p.shapeDue()) {
		p.fetched = now
		p.cursor.stale = false
		seq := p.conn.Send(p.fixes.Major, fixesGetCursorImage)
		if err := p.cursor.awaitShape(ctx, p.conn, seq); err != nil {
			return err
		}
		p.reshape()
	}
	if now.Before(p.cursor.pointerDue()) {
		return nil
	}
	p.cursor.watch(p.conn, p.input, p.screen.Root, now)
	b, err := p.conn.Await(ctx, p.conn.Send(opQueryPointer, 0, p.screen.Root))
	if err != nil {
		return err
	}
	at, ok := parsePointer(b)
	p.cursor.place(at.Sub(p.area.Min), ok, now)
	return nil
}

// arrange finds the area on the screen.
func (p *Pointer) arrange(ctx context.Context) error {
	p.moved = false
	area, err := shownArea(ctx, p.conn, p.randr, p.screen.Root, p.cfg.Monitor)
	if err != nil {
		return err
	}
	p.area = area
	p.cursor.looked = time.Time{}
	return nil
}

// reshape makes a shape of the cursor, unless it looks as before.
func (p *Pointer) reshape() {
	c, was := &p.cursor, p.shape
	switch {
	case len(c.pix) == 0:
		p.shape = nil
	case was == nil, was.Width != c.width, was.Height != c.height, was.Hot != c.hot, !bytes.Equal(was.Pix, c.pix):
		p.shape = &capture.Shape{Width: c.width, Height: c.height, Hot: c.hot, Pix: bytes.Clone(c.pix)}
	}
}

// pointer returns the pointer's state.
func (p *Pointer) pointer() capture.Pointer {
	now := capture.Pointer{At: p.cursor.at, Display: p.area.Size()}
	if !p.cursor.rectangle(image.Rectangle{Max: now.Display}).Empty() {
		now.Visible, now.Shape = true, p.shape
	}
	return now
}

// Close implements capture.PointerSource.
func (p *Pointer) Close() error {
	p.closed.Store(true)
	p.conn.Close()
	return nil
}

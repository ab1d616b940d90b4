package wayland

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"sync"

	"wavryhost/capture"
	"wavryhost/platform/wlproto"
)

// maxPointer is the longest side of a pointer that is accepted, in pixels.
const maxPointer = 1024

// pointerFormats are the formats of pointers, by preference: with alpha first.
var pointerFormats = []uint32{formatARGB, formatABGR, formatXRGB, formatXBGR}

var (
	errNoPointers = fmt.Errorf("%w: the compositor has the pointer in the picture only (it lacks "+
		"ext-image-copy-capture-v1)", capture.ErrUnsupported)
	errNoPointer = fmt.Errorf("%w: the compositor has no pointer at present", capture.ErrUnsupported)
)

// Pointer follows the pointer of one output of a compositor, by the cursor sessions of ext-image-copy-capture-v1.
type Pointer struct {
	cfg    Config
	log    *slog.Logger
	conn   *wlproto.Conn
	ending capture.Ending

	next sync.Mutex // held by NextPointer, and by Close to wait for it

	// The following fields belong to the holder of next.
	outputs  *wlproto.Outputs
	output   wlproto.Output
	shm      uint32
	image    *imageCopy // copies the shape
	memory   *pool      // for that; nil before
	attempts int        // failed copies in a row
	inside   bool       // the pointer is on the output
	at       image.Point
	hot      image.Point // of the next shape
	shape    *capture.Shape
	known    bool // shape is
	told     bool // latest was returned once
	latest   capture.Pointer
}

var _ capture.PointerSource = (*Pointer)(nil)

// NewPointer opens the pointer of an output. It takes no longer than ctx and five seconds. The Pointer outlives ctx.
// The demand in cfg has no effect.
func NewPointer(ctx context.Context, cfg Config, log *slog.Logger) (*Pointer, error) {
	return opened(ctx, func(ctx context.Context) (*Pointer, error) { return newPointer(ctx, cfg, log) })
}

func newPointer(ctx context.Context, cfg Config, log *slog.Logger) (*Pointer, error) {
	c, err := wlproto.Dial(ctx, cfg.Socket)
	if err != nil {
		return nil, fmt.Errorf("wayland: %w", err)
	}
	p := &Pointer{cfg: cfg, log: log.With("compositor", cfg.Socket), conn: c}
	defer context.AfterFunc(ctx, c.Wake)()
	if err := p.open(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("wayland: open the pointer of output %s of %s: %w", cfg.Output, cfg.Socket, err)
	}
	return p, nil
}

// open starts a cursor session (staging/ext-image-copy-capture/ext-image-copy-capture-v1.xml).
func (p *Pointer) open(ctx context.Context) (err error) {
	switch name, err := supported(p.conn); {
	case err != nil:
		return err
	case name != extManager:
		return errNoPointers
	}
	if p.outputs, err = wlproto.NewOutputs(ctx, p.conn); err != nil {
		return err
	}
	if list := p.outputs.List(); p.cfg.Output == "" && len(list) > 0 {
		p.cfg.Output = list[0].Name
	}
	var found bool
	if p.output, found = p.outputs.Find(p.cfg.Output); !found {
		return errNoOutput
	}
	g, ok := p.conn.Global("wl_seat")
	if !ok {
		return errNoPointer
	}
	var capabilities uint32
	seat, _ := p.conn.Bind(g, 3, func(event uint16, a *wlproto.Args) {
		if event == 0 {
			capabilities = a.Uint()
		}
	})
	if err := p.conn.Sync(ctx); err != nil {
		return err
	}
	const hasPointer = 1
	if capabilities&hasPointer == 0 { // a request for the pointer would end the connection
		return errNoPointer
	}
	pointer := p.conn.New(nil)
	p.conn.Send(seat, 0, pointer)
	g, _ = p.conn.Global("wl_shm")
	p.shm, _ = p.conn.Bind(g, 1, nil)
	p.image = newImageCopy(p.conn, p.output.ID, false)
	p.image.formats = pointerFormats
	cursor := p.conn.New(p.cursorEvent)
	p.conn.Send(p.image.manager, 1, cursor, p.image.source, pointer)
	p.image.start = func(session uint32) { p.conn.Send(cursor, 1, session) }
	p.image.begin(true)
	if err := p.conn.Sync(ctx); err != nil {
		return err
	}
	// The first copy of a pointer that is elsewhere may wait for its return.
	var failed error
	return errors.Join(p.conn.Until(ctx, func() bool {
		failed = p.step()
		return failed != nil || !p.inside || p.known
	}), failed)
}

// cursorEvent records an event of the cursor session.
func (p *Pointer) cursorEvent(event uint16, a *wlproto.Args) {
	switch event {
	case 0: // enter
		p.inside = true
	case 1: // leave
		p.inside = false
	case 2: // position, of the hot spot, on the picture as people see it
		p.at = image.Pt(a.Int(), a.Int())
	case 3: // hotspot, in the compositor's image of the pointer; it holds for the next image
		p.hot = image.Pt(a.Int(), a.Int())
	}
}

// NextPointer implements capture.PointerSource.
func (p *Pointer) NextPointer(ctx context.Context) (capture.Pointer, error) {
	p.next.Lock()
	defer p.next.Unlock()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, p.conn.Wake)()
	}
	now, err := p.await(ctx)
	if err != nil {
		what := "wayland: pointer of output " + p.cfg.Output + " of " + p.cfg.Socket
		return capture.Pointer{}, p.ending.Failed(ctx, err, what, p.conn.Close)
	}
	return now, nil
}

// await waits for a change of the pointer.
func (p *Pointer) await(ctx context.Context) (capture.Pointer, error) {
	for {
		if err := p.ending.Err(ctx); err != nil {
			return capture.Pointer{}, err
		}
		if err := p.step(); err != nil {
			return capture.Pointer{}, err
		}
		if now := p.pointer(); !p.told || now != p.latest {
			p.told, p.latest = true, now
			return now, nil
		}
		if err := p.conn.Wait(noDeadline); err != nil && !errors.Is(err, wlproto.ErrWoken) {
			return capture.Pointer{}, err
		}
	}
}

// step does what is due for the shape, which a copy of it delivers whenever it changes.
func (p *Pointer) step() error {
	if p.outputs.Changed {
		p.outputs.Changed = false
		out, ok := p.outputs.Find(p.cfg.Output)
		if !ok || out.ID != p.output.ID {
			return errNoOutput
		}
		p.output = out
	}
	s := p.image.shot()
	switch {
	case s.stopped:
		return errors.New("the compositor stopped the capture of the pointer")
	case s.failed:
		if p.attempts++; p.attempts >= maxAttempts {
			return errors.New("the compositor delivers no shape of the pointer")
		}
		p.image.begin(false)
	case s.ready:
		p.attempts = 0
		p.reshape(s.layout)
		p.image.begin(false)
	}
	if !s.described || s.copying {
		return nil
	}
	if p.empty() { // another size follows
		p.shape, p.known = nil, true
		s.described = false
		return nil
	}
	if err := p.remember(s.layout); err != nil {
		return err
	}
	p.image.copy(p.memory.objects[0])
	return nil
}

// empty reports whether the pointer has no pixels. A copy under way may wait then: it fails with the next size, or has
// the next shape.
func (p *Pointer) empty() bool {
	return p.image.done && (p.image.offered.width == 0 || p.image.offered.height == 0)
}

// remember gives the pointer memory for a layout, if it lacks that.
func (p *Pointer) remember(l layout) error {
	l.transform, l.flipped = 0, false
	if p.memory != nil && p.memory.layout == l {
		return nil
	}
	if l.width < 0 || l.height < 0 || l.width > maxPointer || l.height > maxPointer {
		return fmt.Errorf("%w: a pointer of %dx%d pixels", capture.ErrUnsupported, l.width, l.height)
	}
	if err := l.check(); err != nil {
		return err
	}
	p.forget()
	var err error
	p.memory, err = newPool(p.conn, p.shm, l, 1)
	return err
}

// forget gives up the memory.
func (p *Pointer) forget() {
	if p.memory != nil {
		p.memory.destroy(p.conn)
		p.memory.free()
		p.memory = nil
	}
}

// reshape makes a shape of what the compositor has written, unless it looks as before.
func (p *Pointer) reshape(l layout) {
	w, h := l.upright()
	s := &capture.Shape{Width: w, Height: h, Hot: l.back(p.hot), Pix: make([]byte, 4*w*h)}
	l.convert(s.Pix, p.memory.mem)
	visible := false
	p.known = true
	for i := 3; i < len(s.Pix); i += 4 {
		if l.format == formatXRGB || l.format == formatXBGR {
			s.Pix[i] = 255
		}
		visible = visible || s.Pix[i] != 0
	}
	switch was := p.shape; {
	case !visible:
		p.shape = nil
	case was == nil, was.Width != w, was.Height != h, was.Hot != s.Hot, !bytes.Equal(was.Pix, s.Pix):
		p.shape = s
	}
}

// pointer returns the pointer's state.
func (p *Pointer) pointer() capture.Pointer {
	now := capture.Pointer{At: p.at}
	now.Display.X, now.Display.Y = p.output.Upright()
	if p.inside && p.shape != nil && !p.empty() {
		corner := p.at.Sub(p.shape.Hot)
		r := image.Rectangle{Min: corner, Max: corner.Add(image.Pt(p.shape.Width, p.shape.Height))}
		if r.Overlaps(image.Rectangle{Max: now.Display}) {
			now.Visible, now.Shape = true, p.shape
		}
	}
	return now
}

// Close implements capture.PointerSource.
func (p *Pointer) Close() error {
	p.ending.Close()
	p.conn.Close()
	p.next.Lock()
	defer p.next.Unlock()
	p.forget()
	return nil
}

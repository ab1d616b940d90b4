package kms

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"os"
	"sync"

	"wavryhost/capture"
	"wavryhost/platform/descriptors"
	"wavryhost/platform/kms"
)

// maxPointer is the longest side of a pointer that is accepted, in pixels.
const maxPointer = 1024

// shapes reads the shapes of a pointer.
type shapes struct {
	maps  buffers
	shape *capture.Shape // nil while there is none
}

// accept reads the shape that has come, if one has. A pointer that cannot be read is not visible.
func (p *shapes) accept(now *kms.Scanout, files []*os.File) error {
	b := now.Cursor
	if now.CursorFB == 0 {
		p.shape = nil
	}
	if b == nil {
		return nil
	}
	l, err := layoutOf(b, image.Rect(0, 0, b.Width, b.Height), now.Driver)
	if err == nil && (b.Width > maxPointer || b.Height > maxPointer) {
		err = fmt.Errorf("%w: a pointer of %dx%d pixels", capture.ErrUnsupported, b.Width, b.Height)
	}
	if err != nil {
		p.shape = nil
		return nil //nolint:nilerr // better no pointer than no picture
	}
	s := &capture.Shape{Width: b.Width, Height: b.Height, Hot: now.Hot, Pix: make([]byte, 4*b.Width*b.Height)}
	err = p.maps.use(l, int(files[b.Parts[0].File].Fd()), func(mem []byte) { l.read(s.Pix, mem) })
	if err != nil {
		return err
	}
	visible := false
	for i := 3; i < len(s.Pix); i += 4 {
		if l.opaque() {
			s.Pix[i] = 255
		}
		visible = visible || s.Pix[i] != 0
	}
	was := p.shape
	switch {
	case !visible:
		p.shape = nil
	case was == nil || was.Width != s.Width || was.Height != s.Height || was.Hot != s.Hot || !bytes.Equal(was.Pix, s.Pix):
		p.shape = s
	}
	return nil
}

// Pointer follows the pointer of an output: the plane that the graphics card lays over the picture. A program that
// draws its pointer itself has it in the picture.
type Pointer struct {
	cfg    Config
	conn   *kms.Conn
	ending capture.Ending

	next sync.Mutex // held by NextPointer, and by Close to wait for it

	// The following fields belong to the holder of next.
	shapes shapes
	seen   *kms.State
	told   bool // latest was returned once
	latest capture.Pointer
}

var _ capture.PointerSource = (*Pointer)(nil)

// NewPointer opens the pointer of an output. It takes no longer than ctx and five seconds. The Pointer outlives ctx.
// The demand in cfg has no effect.
func NewPointer(ctx context.Context, cfg Config) (*Pointer, error) {
	return dialed(ctx, cfg, func(ctx context.Context, c *kms.Conn) (*Pointer, error) {
		p := &Pointer{cfg: cfg, conn: c}
		if err := p.look(ctx); err != nil {
			p.shapes.maps.close()
			return nil, err
		}
		return p, nil
	})
}

// look asks for the pointer.
func (p *Pointer) look(ctx context.Context) error {
	now, files, err := p.conn.Look(ctx, kms.Query{Output: p.cfg.Output, Seen: p.seen, Cursor: true})
	if err != nil {
		return err
	}
	defer descriptors.Close(files)
	if err := p.shapes.accept(now, files); err != nil {
		return err
	}
	p.seen = &now.State
	return nil
}

// pointer returns the pointer's state.
func (p *Pointer) pointer() capture.Pointer {
	now := capture.Pointer{Display: p.latest.Display}
	if p.seen.FB != 0 {
		now.Display = p.seen.Area.Size()
	}
	s := p.shapes.shape
	if s == nil || p.seen.CursorFB == 0 {
		now.At = p.latest.At
		return now
	}
	corner := p.seen.CursorAt
	now.At = corner.Add(s.Hot)
	r := image.Rectangle{Min: corner, Max: corner.Add(image.Pt(s.Width, s.Height))}
	if r.Overlaps(image.Rectangle{Max: now.Display}) {
		now.Visible, now.Shape = true, s
	}
	return now
}

// NextPointer implements capture.PointerSource.
func (p *Pointer) NextPointer(ctx context.Context) (capture.Pointer, error) {
	p.next.Lock()
	defer p.next.Unlock()
	for {
		if err := p.ending.Err(ctx); err != nil {
			return capture.Pointer{}, err
		}
		if now := p.pointer(); !p.told || now != p.latest {
			p.told, p.latest = true, now
			return now, nil
		}
		if err := p.look(ctx); err != nil {
			return capture.Pointer{}, p.ending.Failed(ctx, err, "kms: pointer of output "+p.cfg.Output, p.conn.Close)
		}
	}
}

// Close implements capture.PointerSource.
func (p *Pointer) Close() error {
	p.ending.Close()
	p.conn.Close()
	p.next.Lock()
	defer p.next.Unlock()
	p.shapes.maps.close()
	return nil
}

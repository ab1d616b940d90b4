package xproto

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"strings"
)

// Requests of RANDR that change the size of a screen.
const (
	randrGetScreenSizeRange = 6
	randrSetScreenSize      = 7
	randrCreateMode         = 16
	randrDestroyMode        = 17
	randrAddOutputMode      = 18
	randrDeleteOutputMode   = 19
	randrSetCRTCConfig      = 21
	randrGetResources       = 25 // GetScreenResourcesCurrent

	opGrabServer   = 36
	opUngrabServer = 37
)

// modePrefix begins the names of the modes that Resize makes.
const modePrefix = "wavry-"

// millimeters is the length of an inch.
const millimeters = 25.4

// ErrFixedSize means that the screen's size cannot be changed. The text says why.
var ErrFixedSize = errors.New("the screen's size cannot be changed")

// RangeError means that a size is outside the screen's limits.
type RangeError struct{ Min, Max image.Point }

func (e RangeError) Error() string {
	return fmt.Sprintf("the screen takes sizes from %dx%d to %dx%d", e.Min.X, e.Min.Y, e.Max.X, e.Max.Y)
}

// Resize changes the size of a screen with one monitor, which then fills it, at a resolution in dots per inch. Other
// clients see the old size or the new one, and nothing between. The error is a RangeError, or wraps ErrFixedSize, for
// what the screen cannot do. ctx must have an end: another client may have grabbed the server.
func (c *Conn) Resize(ctx context.Context, root uint32, size image.Point, dpi float64) (err error) {
	randr, err := c.QueryRandR(ctx)
	switch {
	case err != nil:
		return err
	case !randr.monitors:
		return fmt.Errorf("%w: the server has no RANDR 1.5", ErrFixedSize)
	}
	if err := c.inRange(ctx, randr, root, size); err != nil {
		return err
	}
	// All that is read stays true until the size is set.
	c.Send(opGrabServer, 0)
	defer func() {
		c.Send(opUngrabServer, 0)
		err = errors.Join(err, c.Sync(context.WithoutCancel(ctx)))
	}()
	width, height, err := c.Geometry(ctx, root)
	if err != nil || image.Pt(width, height) == size {
		return err
	}
	r := resizing{conn: c, randr: randr, root: root}
	if err := r.load(ctx); err != nil {
		return err
	}
	mode, err := r.mode(ctx, size)
	if err != nil {
		return err
	}
	before := r.current
	if err := r.off(ctx); err != nil {
		return err
	}
	if err = r.set(ctx, size, mode, dpi); err != nil {
		return errors.Join(err, r.set(ctx, image.Pt(width, height), before, dpi))
	}
	r.tidy(mode)
	return nil
}

func (c *Conn) inRange(ctx context.Context, r RandR, root uint32, size image.Point) error {
	b, err := c.Await(ctx, c.Send(r.Major, randrGetScreenSizeRange, root))
	if err != nil {
		return err
	}
	e := RangeError{
		Min: image.Pt(int(le.Uint16(b[8:])), int(le.Uint16(b[10:]))),
		Max: image.Pt(int(le.Uint16(b[12:])), int(le.Uint16(b[14:]))),
	}
	if size.X < e.Min.X || size.Y < e.Min.Y || size.X > e.Max.X || size.Y > e.Max.Y {
		return e
	}
	return nil
}

// resizing is a change of a screen's size.
type resizing struct {
	conn  *Conn
	randr RandR
	root  uint32

	stamp        uint32 // of the configuration
	crtc, output uint32 // of the only monitor
	current      uint32 // its mode
	modes        []mode
	has          []uint32 // the modes of the output
}

// mode is a mode of the screen's resources.
type mode struct {
	id   uint32
	size image.Point
	name string
}

// load reads the screen's only monitor.
func (r *resizing) load(ctx context.Context) error {
	b, err := r.conn.Await(ctx, r.conn.Send(r.randr.Major, randrGetResources, r.root))
	if err != nil {
		return err
	}
	var outputs []uint32
	r.stamp = le.Uint32(b[12:])
	if outputs, r.modes, err = parseResources(b); err != nil {
		return err
	}
	active := 0
	for _, output := range outputs {
		if b, err = r.conn.Await(ctx, r.conn.Send(r.randr.Major, randrGetOutputInfo, output, r.stamp)); err != nil {
			return err
		}
		crtc := le.Uint32(b[12:])
		if crtc == 0 {
			continue
		}
		active++
		r.crtc, r.output = crtc, output
		if r.has, err = parseOutputModes(b); err != nil {
			return err
		}
	}
	if active != 1 {
		return fmt.Errorf("%w: it has %d monitors, which must be arranged by hand", ErrFixedSize, active)
	}
	if b, err = r.conn.Await(ctx, r.conn.Send(r.randr.Major, randrGetCRTCInfo, r.crtc, r.stamp)); err != nil {
		return err
	}
	r.current = le.Uint32(b[20:])
	if degrees(le.Uint16(b[24:])) != 0 {
		return fmt.Errorf("%w: its monitor is turned", ErrFixedSize)
	}
	return nil
}

var errResources = errors.New("xproto: the server's list of modes is damaged")

// parseResources reads the outputs and modes of a screen.
func parseResources(b []byte) (outputs []uint32, modes []mode, err error) {
	crtcs, n := int(le.Uint16(b[16:])), int(le.Uint16(b[18:]))
	count, names := int(le.Uint16(b[20:])), int(le.Uint16(b[22:]))
	b = b[32:]
	if len(b) < 4*crtcs+4*n+32*count+names {
		return nil, nil, errResources
	}
	b = b[4*crtcs:]
	for range n {
		outputs = append(outputs, le.Uint32(b))
		b = b[4:]
	}
	text := b[32*count:][:names]
	for range count {
		length := int(le.Uint16(b[26:]))
		if length > len(text) {
			return nil, nil, errResources
		}
		modes = append(modes, mode{
			id: le.Uint32(b), size: image.Pt(int(le.Uint16(b[4:])), int(le.Uint16(b[6:]))), name: string(text[:length]),
		})
		text, b = text[length:], b[32:]
	}
	return outputs, modes, nil
}

// parseOutputModes reads the modes in the information about an output.
func parseOutputModes(b []byte) (list []uint32, err error) {
	crtcs, n := int(le.Uint16(b[26:])), int(le.Uint16(b[28:]))
	if len(b) < 36+4*(crtcs+n) {
		return nil, errResources
	}
	for i := range n {
		list = append(list, le.Uint32(b[36+4*(crtcs+i):]))
	}
	return list, nil
}

// mode returns a mode of a size that the output has. It is made if there is none.
func (r *resizing) mode(ctx context.Context, size image.Point) (uint32, error) {
	id := uint32(0)
	for _, m := range r.modes {
		if m.size != size {
			continue
		}
		if slices.Contains(r.has, m.id) {
			return m.id, nil
		}
		if strings.HasPrefix(m.name, modePrefix) {
			id = m.id
		}
	}
	c := r.conn
	if id == 0 {
		b, err := c.Await(ctx, r.create(size))
		if err != nil {
			return 0, fmt.Errorf("make a mode: %w", err)
		}
		id = le.Uint32(b[8:])
	}
	if err := c.Check(ctx, c.Send(r.randr.Major, randrAddOutputMode, r.output, id)); err != nil {
		return 0, fmt.Errorf("add a mode to the output: %w", err)
	}
	return id, nil
}

// create requests a mode of 60 Hz. No cable carries it, so it has the least blanking that servers accept.
func (r *resizing) create(size image.Point) uint16 {
	const blank, rate = 8, 60
	name := fmt.Sprintf("%s%dx%d", modePrefix, size.X, size.Y)
	total := image.Pt(size.X+blank, size.Y+blank)
	c := r.conn
	c.out = append(c.out, r.randr.Major, randrCreateMode)
	c.out = le.AppendUint16(c.out, uint16(2+8+Pad(len(name))/4))
	for _, word := range []uint32{
		r.root, 0, Pair(size.X, size.Y), uint32(total.X * total.Y * rate),
		Pair(size.X+2, size.X+4), Pair(total.X, 0), Pair(size.Y+2, size.Y+4), Pair(total.Y, len(name)), 0,
	} {
		c.out = le.AppendUint32(c.out, word)
	}
	c.out = appendPadded(c.out, name)
	c.seq++
	return c.seq
}

// configure has the monitor show a mode, or nothing for mode 0.
func (r *resizing) configure(ctx context.Context, mode uint32) error {
	const upright = 1
	words := []uint32{r.crtc, 0, r.stamp, 0, mode, Pair(upright, 0)}
	if mode != 0 {
		words = append(words, r.output)
	}
	b, err := r.conn.Await(ctx, r.conn.Send(r.randr.Major, randrSetCRTCConfig, words...))
	switch {
	case err != nil:
		return fmt.Errorf("set the monitor's mode: %w", err)
	case b[1] != 0:
		return fmt.Errorf("set the monitor's mode: the server refuses it with status %d", b[1])
	}
	return nil
}

// off turns the monitor off. The screen may then have any size.
func (r *resizing) off(ctx context.Context) error { return r.configure(ctx, 0) }

// set sets the size of the screen and the mode of its monitor.
func (r *resizing) set(ctx context.Context, size image.Point, mode uint32, dpi float64) error {
	length := func(pixels int) uint32 { return uint32(math.Round(float64(pixels) * millimeters / dpi)) }
	c := r.conn
	err := c.Check(ctx, c.Send(
		r.randr.Major, randrSetScreenSize, r.root, Pair(size.X, size.Y), max(1, length(size.X)), max(1, length(size.Y)),
	))
	if err != nil {
		return fmt.Errorf("set the screen's size: %w", err)
	}
	return r.configure(ctx, mode)
}

// tidy removes the modes that Resize made before. A mode that another monitor uses stays.
func (r *resizing) tidy(used uint32) {
	for _, m := range r.modes {
		if m.id == used || !strings.HasPrefix(m.name, modePrefix) {
			continue
		}
		r.conn.Send(r.randr.Major, randrDeleteOutputMode, r.output, m.id)
		r.conn.Send(r.randr.Major, randrDestroyMode, m.id)
	}
}

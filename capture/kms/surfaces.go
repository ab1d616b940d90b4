package kms

import (
	"errors"
	"fmt"
	"hash/maphash"
	"image"
	"math"
	"os"
	"slices"

	"wavryhost/capture"
	"wavryhost/platform/descriptors"
	"wavryhost/platform/kms"
	"wavryhost/platform/kms/drm"
)

// surfaces are the DMA-BUFs of pictures, which are passed on without a copy.
//
// Another framebuffer is a change. A picture in rows is also compared by a hash. The hash of a new framebuffer is not
// computed at once, because reading the memory of a card may be slow. The program may draw on before it is, or flip
// twice between two looks. So the first look after a flip makes a frame in any case, and is the last one for a picture
// that cannot be read.
type surfaces struct {
	driver string
	maps   buffers
	copier *capture.Copier
	shelf  *capture.Shelf
	seed   maphash.Seed

	latest surface
	looked bool // at the latest framebuffer
	sum    uint64
}

// surface is a picture. Its owner is a frame that the frames over it hold, and that closes the files.
type surface struct {
	*capture.DMABuf
	size  image.Point
	owner *capture.Frame
}

// newSurfaces returns a store for pictures of a driver.
func newSurfaces(driver string, slots *capture.Slots) *surfaces {
	s := &surfaces{driver: driver, seed: maphash.MakeSeed()}
	s.copier = &capture.Copier{Copy: s.copy}
	s.shelf = slots.NewShelf(s.maps.close)
	return s
}

// accept implements store.
func (s *surfaces) accept(p *picture, files []*os.File) (outcome, error) {
	size := p.Area.Size()
	d, err := s.describe(p, files)
	if err != nil {
		return outcome{}, err
	}
	before := s.latest
	s.keep(surface{DMABuf: d, size: size}, files)
	whole := []image.Rectangle{{Max: size}}
	switch first := before.owner == nil; {
	case !first && (p.replaced || before.Buffer != d.Buffer):
		s.looked = false
		return outcome{damage: whole}, nil
	case !p.look:
		return outcome{}, nil
	}
	sum, err := s.hash(d, size)
	out := outcome{blind: errors.Is(err, capture.ErrUnsupported) || errors.Is(err, kms.ErrUnsupported)}
	if err != nil && !out.blind {
		return outcome{}, err
	}
	out.compared = s.looked && !out.blind
	if !s.looked || s.sum != sum {
		out.damage = whole
	}
	s.looked, s.sum = true, sum
	return out, nil
}

// describe returns the surface of a picture.
func (s *surfaces) describe(p *picture, files []*os.File) (*capture.DMABuf, error) {
	b := p.Picture
	if err := checkSize(b, p.Area, s.driver); err != nil {
		return nil, err
	}
	l, unreadable := layoutOf(b, p.Area, s.driver)
	shifted := p.Area.Min != image.Point{}
	if shifted && (unreadable != nil || l.offset > math.MaxUint32) {
		return nil, fmt.Errorf("%w: driver %s shows the part %v of a picture of format %s (modifier %s, in %d parts), which "+
			"cannot be cut out", capture.ErrUnsupported, s.driver, p.Area, drm.FormatName(b.Format),
			drm.ModifierName(b.Modifier), len(b.Parts))
	}
	d := &capture.DMABuf{FourCC: b.Format, Modifier: b.Modifier, Device: capture.Device(p.Render), Ready: -1}
	type place struct {
		inode          uint64
		offset, stride uint32
	}
	id := struct {
		format   uint32
		modifier uint64
		size     image.Point
		places   [4]place
	}{format: b.Format, modifier: b.Modifier, size: p.Area.Size()}
	for i, part := range b.Parts {
		plane := capture.Plane{FD: int(files[part.File].Fd()), Offset: part.Offset, Stride: part.Pitch}
		if shifted {
			plane.Offset = uint32(l.offset)
		}
		inode, size, err := identify(plane.FD)
		if err != nil {
			return nil, err
		}
		if unreadable == nil {
			err = l.fits(size)
		} else if size <= uint64(plane.Offset) {
			err = fmt.Errorf("%w: it has %d bytes, and a part at byte %d", errUnknown, size, plane.Offset)
		}
		if err != nil {
			return nil, err
		}
		d.Planes = append(d.Planes, plane)
		id.places[i] = place{inode, plane.Offset, plane.Stride}
	}
	d.Buffer = maphash.Comparable(s.seed, id)
	return d, nil
}

// keep makes a picture the latest one. It takes its files.
func (s *surfaces) keep(l surface, files []*os.File) {
	taken := slices.Clone(files)
	clear(files)
	l.owner = capture.NewFrame(func(*capture.Frame) { descriptors.Close(taken) })
	s.drop()
	s.latest = l
}

// drop gives up the latest picture.
func (s *surfaces) drop() {
	if s.latest.owner != nil {
		s.latest.owner.Release()
		s.latest.owner = nil
	}
}

// hash returns a hash of a picture. If programs cannot read the pixels, the error wraps capture.ErrUnsupported or
// kms.ErrUnsupported.
func (s *surfaces) hash(d *capture.DMABuf, size image.Point) (sum uint64, err error) {
	l, err := s.layout(d, size)
	if err != nil {
		return 0, err
	}
	err = s.maps.use(l, d.Planes[0].FD, func(mem []byte) { sum = l.sum(s.seed, mem) })
	return sum, err
}

// layout returns where the pixels of a surface are.
func (s *surfaces) layout(d *capture.DMABuf, size image.Point) (layout, error) {
	b := &kms.Buffer{Width: size.X, Height: size.Y, Format: d.FourCC, Modifier: d.Modifier}
	for _, p := range d.Planes {
		b.Parts = append(b.Parts, drm.Part{Offset: p.Offset, Pitch: p.Stride})
	}
	return layoutOf(b, image.Rectangle{Max: size}, s.driver)
}

// copy copies a surface to main memory.
func (s *surfaces) copy(from capture.Surface, dst []byte, stride int) error {
	d, ok := from.(*capture.DMABuf)
	if !ok {
		return fmt.Errorf("%w: a %v is no %v", capture.ErrUnsupported, from.Kind(), capture.DMA)
	}
	l, err := s.layout(d, image.Pt(stride/4, len(dst)/stride))
	if err != nil {
		return err
	}
	return s.maps.use(l, d.Planes[0].FD, func(mem []byte) { l.read(dst, mem) })
}

// repeat implements store. The next frame has the latest picture anyway.
func (*surfaces) repeat() bool { return true }

// frame implements store.
func (s *surfaces) frame() *capture.Frame {
	l := s.latest
	l.owner.Retain()
	slot := s.shelf.Lend(freeSlot(s.shelf))
	f := capture.NewSurfaceFrame(l.DMABuf, s.copier, func(*capture.Frame) {
		l.owner.Release()
		slot.Release()
	})
	f.Width, f.Height = l.size.X, l.size.Y
	return f
}

// close implements store.
func (s *surfaces) close() {
	s.drop()
	s.shelf.Retire()
}

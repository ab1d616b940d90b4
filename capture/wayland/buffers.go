package wayland

import (
	"wavryhost/capture"
	"wavryhost/platform/wlproto"
)

// maxFrames is the number of frames that may be held at once.
const maxFrames = 3

// pool is memory for pictures of one layout, which the compositor maps.
type pool struct {
	layout
	mem     []byte
	objects []uint32 // a wl_buffer for each picture
}

// newPool makes memory for n pictures, and has the compositor map it.
func newPool(c *wlproto.Conn, shm uint32, l layout, n int) (*pool, error) {
	size := l.stride * l.height
	mem, fd, err := newMemory(n * size)
	if err != nil {
		return nil, err
	}
	p := &pool{layout: l, mem: mem}
	id := c.New(nil)
	c.Send(shm, 0, id, wlproto.File(fd), int32(n*size))
	for i := range n {
		object := c.New(nil)
		c.Send(id, 0, object, int32(i*size), int32(l.width), int32(l.height), int32(l.stride), l.format)
		p.objects = append(p.objects, object)
	}
	c.Send(id, 1)
	c.Forget(id)
	err = c.Flush()
	closeFile(fd)
	if err != nil {
		p.free()
		return nil, err
	}
	return p, nil
}

// picture returns one of the pictures.
func (p *pool) picture(i int) shared {
	size := p.stride * p.height
	return shared{pix: p.mem[i*size : (i+1)*size : (i+1)*size], buffer: p.objects[i]}
}

// destroy has the compositor forget the pictures. The memory remains.
func (p *pool) destroy(c *wlproto.Conn) {
	for _, id := range p.objects {
		c.Send(id, 0)
		c.Forget(id)
	}
}

// free gives up the memory.
func (p *pool) free() { freeMemory(p.mem) }

// buffers is a pool for frames. It lives until it is retired and its frames are released.
type buffers struct {
	*pool
	slots   [maxFrames]slot
	staging *shared // where the compositor writes, if frames are converted

	shelf *capture.Shelf
}

// shared is a picture in memory of the compositor.
type shared struct {
	pix    []byte
	buffer uint32 // wl_buffer
}

// slot is memory for one frame.
type slot struct {
	shared
	index int
}

// newBuffers makes memory, and has the compositor map it.
func newBuffers(c *wlproto.Conn, shm uint32, l layout, slots *capture.Slots) (*buffers, error) {
	n := maxFrames
	if !l.direct() {
		n = 1
	}
	p, err := newPool(c, shm, l, n)
	if err != nil {
		return nil, err
	}
	b := &buffers{pool: p, shelf: slots.NewShelf(p.free)}
	if !l.direct() {
		one := p.picture(0)
		b.staging = &one
	}
	for i := range b.slots {
		s := &b.slots[i]
		s.index = i
		if b.staging == nil {
			s.shared = p.picture(i)
		} else {
			w, h := l.upright()
			s.pix = make([]byte, 4*w*h)
		}
	}
	return b, nil
}

// target returns the object that the compositor is to write for a slot.
func (b *buffers) target(s *slot) uint32 {
	if b.staging != nil {
		return b.staging.buffer
	}
	return s.buffer
}

// fill completes a slot after the compositor has written. It returns the bytes of a row.
func (b *buffers) fill(s *slot) (stride int) {
	if b.staging == nil {
		return b.stride
	}
	b.convert(s.pix, b.staging.pix)
	w, _ := b.upright()
	return 4 * w
}

// pick returns a slot that is not held. There must be one.
func (b *buffers) pick() *slot {
	for i := range b.slots {
		if !b.shelf.Held(i) {
			return &b.slots[i]
		}
	}
	panic("wayland: all slots are held")
}

// retire gives up the buffers once their frames are released.
func (b *buffers) retire(c *wlproto.Conn) {
	b.destroy(c)
	b.shelf.Retire()
}

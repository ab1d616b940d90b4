package wayland

import (
	"wavryhost/capture"
	"wavryhost/platform/wlproto"
)

// maxFrames is the number of frames that may be held at once.
const maxFrames = 3

// buffers is memory for pictures of one layout. It lives until it is retired and its frames are released.
type buffers struct {
	layout
	mem     []byte // shared with the compositor
	slots   [maxFrames]slot
	staging *shared // where the compositor writes, if frames are converted

	objects []uint32 // wl_buffer, destroyed when the buffers are retired
	shelf   *capture.Shelf
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
	b := &buffers{layout: l}
	size, n := l.stride*l.height, maxFrames
	if !l.direct() {
		n = 1
	}
	mem, fd, err := newMemory(n * size)
	if err != nil {
		return nil, err
	}
	b.mem = mem
	b.shelf = slots.NewShelf(func() { freeMemory(mem) })
	pool := c.New(nil)
	c.Send(shm, 0, pool, wlproto.File(fd), int32(n*size))
	for i := range n {
		one := shared{pix: mem[i*size : (i+1)*size : (i+1)*size], buffer: c.New(nil)}
		c.Send(pool, 0, one.buffer, int32(i*size), int32(l.width), int32(l.height), int32(l.stride), l.format)
		b.objects = append(b.objects, one.buffer)
		if l.direct() {
			b.slots[i].shared = one
		} else {
			b.staging = &one
		}
	}
	c.Send(pool, 1)
	c.Forget(pool)
	err = c.Flush()
	closeFile(fd)
	if err != nil {
		freeMemory(mem)
		return nil, err
	}
	for i := range b.slots {
		s := &b.slots[i]
		s.index = i
		if b.staging != nil {
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
	for _, id := range b.objects {
		c.Send(id, 0)
		c.Forget(id)
	}
	b.shelf.Retire()
}

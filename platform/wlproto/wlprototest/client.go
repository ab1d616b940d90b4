//go:build linux

package wlprototest

import (
	"image"
	"net"

	"golang.org/x/sys/unix"
)

// Client is a connection of a client. Compositor.mu guards it.
type Client struct {
	comp *Compositor
	conn *net.UnixConn

	files      []int
	objects    map[uint32]any
	registries []uint32
}

// The objects of clients, besides pool and buffer.
type (
	named    string // an object with no state, by its interface
	outputID struct{ screen *screen }
	source   struct{ screen *screen }
	// capturer remembers what changed since a client last read an output.
	capturer struct {
		screen *screen
		damage image.Rectangle
		first  bool
	}
	session struct {
		capturer
		id uint32
	}
	frame struct {
		*capturer
		id      uint32
		ext     bool
		waits   bool
		buffer  *buffer
		pending bool
	}
)

func newClient(c *Compositor, conn *net.UnixConn) *Client {
	return &Client{comp: c, conn: conn, objects: map[uint32]any{1: named("wl_display")}}
}

// Event sends an event. Arguments are of type uint32, int or string.
func (c *Client) Event(object uint32, op uint16, args ...any) { c.event(object, op, args...) }

// Raw sends bytes.
func (c *Client) Raw(b []byte) { _, _ = c.conn.Write(b) }

// Close ends the connection.
func (c *Client) Close() { _ = c.conn.Close() }

func (c *Client) event(object uint32, op uint16, args ...any) {
	b := make([]byte, 8)
	for _, arg := range args {
		switch v := arg.(type) {
		case uint32:
			b = le.AppendUint32(b, v)
		case int:
			b = le.AppendUint32(b, uint32(int32(v)))
		case string:
			b = le.AppendUint32(b, uint32(len(v)+1))
			b = append(b, v...)
			b = append(b, make([]byte, 4-len(v)%4)...)
		}
	}
	le.PutUint32(b, object)
	le.PutUint32(b[4:], uint32(len(b))<<16|uint32(op))
	c.Raw(b)
}

func (c *Client) serve() {
	defer func() {
		_ = c.conn.Close()
		c.comp.mu.Lock()
		defer c.comp.mu.Unlock()
		for _, o := range c.objects {
			if p, ok := o.(*pool); ok && p != nil {
				_ = unix.Munmap(p.mem)
			}
		}
	}()
	in, oob, read := make([]byte, 1<<16), make([]byte, 1024), 0
	for {
		n, m, _, _, err := c.conn.ReadMsgUnix(in[read:], oob)
		if err != nil || n == 0 {
			return
		}
		c.take(oob[:m])
		read += n
		for read >= 8 {
			size := int(le.Uint32(in[4:]) >> 16)
			if size < 8 || size > read {
				break
			}
			c.comp.mu.Lock()
			c.request(le.Uint32(in), uint16(le.Uint32(in[4:])), in[8:size])
			c.comp.mu.Unlock()
			read = copy(in, in[size:read])
		}
	}
}

// take keeps the descriptors of a message.
func (c *Client) take(oob []byte) {
	messages, _ := unix.ParseSocketControlMessage(oob)
	for i := range messages {
		fds, _ := unix.ParseUnixRights(&messages[i])
		c.files = append(c.files, fds...)
	}
}

// iface returns the interface of an object.
func iface(o any) string {
	switch o := o.(type) {
	case named:
		return string(o)
	case *pool:
		return "wl_shm_pool"
	case *buffer:
		return "wl_buffer"
	case *outputID:
		return "wl_output"
	case *source:
		return "ext_image_capture_source_v1"
	case *session:
		return "ext_image_copy_capture_session_v1"
	case *cursorSession:
		return "ext_image_copy_capture_cursor_session_v1"
	case *frame:
		if o.ext {
			return "ext_image_copy_capture_frame_v1"
		}
		return "zwlr_screencopy_frame_v1"
	}
	return ""
}

func (c *Client) request(id uint32, op uint16, b []byte) {
	o, ok := c.objects[id]
	if !ok {
		c.event(1, 0, id, uint32(0), "invalid object")
		return
	}
	if hook := c.comp.cfg.OnRequest; hook != nil && !hook(c, iface(o), op, b) {
		return
	}
	arg := func(i int) uint32 { return le.Uint32(b[4*i:]) }
	switch o := o.(type) {
	case named:
		if o == virtualPointer && op == 8 {
			c.destroy(id, true)
			return
		}
		c.global(string(o), op, b)
	case *pool:
		if op == 0 {
			c.objects[arg(0)] = &buffer{o, int(arg(1)), int(arg(2)), int(arg(3)), int(arg(4))}
			return
		}
		c.destroy(id, false) // the memory stays for its buffers
	case *session:
		if op == 0 {
			c.objects[arg(0)] = &frame{capturer: &o.capturer, id: arg(0), ext: true, waits: !o.first}
			return
		}
		c.destroy(id, true)
	case *cursorSession:
		if op == 1 {
			c.session(arg(0), o.screen.pointer.image)
			return
		}
		c.destroy(id, true)
	case *frame:
		c.frame(id, o, op, b)
	default:
		c.destroy(id, true)
	}
}

// destroy ends an object.
func (c *Client) destroy(id uint32, forget bool) {
	if forget {
		delete(c.objects, id)
	}
	c.event(1, 1, id)
}

func (c *Client) announce(g global) {
	for _, id := range c.registries {
		c.event(id, 0, g.name, g.iface, g.version)
	}
}

// virtualPointer is the interface of the objects of zwlr_virtual_pointer_manager_v1.
const virtualPointer named = "zwlr_virtual_pointer_v1"

func (c *Client) global(iface string, op uint16, b []byte) {
	arg := func(i int) uint32 { return le.Uint32(b[4*i:]) }
	switch {
	case iface == "wl_display" && op == 0:
		c.event(arg(0), 0, uint32(1))
		c.event(1, 1, arg(0))
	case iface == "wl_display":
		c.objects[arg(0)] = named("wl_registry")
		c.registries = append(c.registries, arg(0))
		for _, g := range c.comp.globals {
			c.event(arg(0), 0, g.name, g.iface, g.version)
		}
	case iface == "wl_registry":
		id := le.Uint32(b[len(b)-4:])
		for _, g := range c.comp.globals {
			switch {
			case g.name != arg(0):
			case g.output != nil:
				c.objects[id] = &outputID{g.output}
				c.describe(id, g.output)
			default:
				c.objects[id] = named(g.iface)
				if g.iface == "wl_seat" && !c.comp.cfg.NoPointer {
					c.event(id, 0, uint32(1))
				}
			}
		}
	case iface == "wl_shm":
		if len(c.files) > 0 {
			c.objects[arg(0)] = mapPool(c.files[0], int(arg(1)))
			c.files = c.files[1:]
		}
	case iface == "zwlr_screencopy_manager_v1":
		out, ok := c.objects[arg(2)].(*outputID)
		if !ok {
			return
		}
		f := &frame{capturer: c.capturer(out.screen), id: arg(0)}
		c.objects[f.id] = f
		c.event(f.id, 0, c.comp.cfg.Format, out.screen.Width, out.screen.Height, 4*out.screen.Width)
		if c.comp.cfg.Globals[iface] >= 3 {
			c.event(f.id, 6)
		}
	case iface == "ext_output_image_capture_source_manager_v1" && op == 0:
		out, _ := c.objects[arg(1)].(*outputID)
		c.objects[arg(0)] = &source{out.screen}
	case iface == "ext_image_copy_capture_manager_v1" && op == 0:
		src, _ := c.objects[arg(1)].(*source)
		c.session(arg(0), src.screen)
	case iface == "ext_image_copy_capture_manager_v1" && op == 1:
		src, _ := c.objects[arg(1)].(*source)
		c.track(arg(0), src.screen)
	case iface == "wl_seat":
		c.seat(op, arg(0))
	case iface == "zwlr_virtual_pointer_manager_v1" && op != 1: // the new object is the last argument
		c.objects[le.Uint32(b[len(b)-4:])] = virtualPointer
	case iface == "zwp_virtual_keyboard_manager_v1":
		c.objects[arg(1)] = named("zwp_virtual_keyboard_v1")
	}
}

// session starts a session for the pictures of a screen.
func (c *Client) session(id uint32, of *screen) {
	s := &session{capturer{of, image.Rectangle{}, true}, id}
	c.objects[id] = s
	c.constraints(s)
}

// capturer returns what remembers the damage of an output for wlr-screencopy.
func (c *Client) capturer(s *screen) *capturer {
	for _, o := range c.objects {
		if k, ok := o.(*capturer); ok && k.screen == s {
			return k
		}
	}
	k := &capturer{screen: s}
	for id := uint32(1 << 20); ; id++ { // no client has so many objects
		if _, taken := c.objects[id]; !taken {
			c.objects[id] = k
			return k
		}
	}
}

func (c *Client) constraints(s *session) {
	c.event(s.id, 0, s.screen.Width, s.screen.Height)
	format := c.comp.cfg.Format
	if s.screen.cursor && format == 1 {
		c.event(s.id, 1, format)
		format = 0 // with alpha
	}
	c.event(s.id, 1, format)
	c.event(s.id, 4)
}

func (c *Client) describe(id uint32, s *screen) {
	c.event(id, 0, s.X, s.Y, 0, 0, 0, "maker", "model", s.Transform)
	c.event(id, 1, uint32(1), s.Width, s.Height, 60000)
	c.event(id, 3, s.Scale)
	c.event(id, 4, s.Name)
	c.event(id, 2)
}

func (c *Client) resized(s *screen) {
	for id, o := range c.objects {
		switch o := o.(type) {
		case *outputID:
			if o.screen == s {
				c.describe(id, s)
			}
		case *session:
			if o.screen == s {
				c.constraints(o)
			}
		}
	}
	c.damaged(s, image.Rect(0, 0, s.Width, s.Height))
}

func (c *Client) damaged(s *screen, r image.Rectangle) {
	for _, o := range c.objects {
		switch o := o.(type) {
		case *capturer:
			if o.screen == s {
				o.damage = o.damage.Union(r)
			}
		case *session:
			if o.screen == s {
				o.damage = o.damage.Union(r)
			}
		}
	}
	c.progress()
}

func (c *Client) frame(id uint32, f *frame, op uint16, b []byte) {
	switch {
	case f.ext && op == 0, !f.ext && op == 1:
		c.destroy(id, true)
		return
	case f.ext && op == 1:
		f.buffer, _ = c.objects[le.Uint32(b)].(*buffer)
	case f.ext && op == 3:
		f.pending = true
	case !f.ext:
		f.buffer, _ = c.objects[le.Uint32(b)].(*buffer)
		f.pending, f.waits = true, op == 2
	}
	c.progress()
}

// progress finishes the shots that are due.
func (c *Client) progress() {
	for id, o := range c.objects {
		f, ok := o.(*frame)
		if !ok || !f.pending || !f.screen.gone && f.waits && f.damage.Empty() {
			continue
		}
		f.pending = false
		s, b := f.screen, f.buffer
		failed, ready := uint16(3), uint16(2)
		if f.ext {
			failed, ready = 4, 3
		}
		if s.gone || b == nil || b.width != s.Width || b.height != s.Height {
			c.event(id, failed, uint32(1))
			continue
		}
		for y := range s.Height {
			copy(b.pool.mem[b.offset+y*b.stride:], s.pix[4*y*s.Width:4*(y+1)*s.Width])
		}
		d := f.damage
		if f.first || !f.waits && !f.ext {
			d = image.Rect(0, 0, s.Width, s.Height)
		}
		f.first, f.damage = false, image.Rectangle{}
		if f.ext {
			c.event(id, 0, s.Transform)
			c.event(id, 1, d.Min.X, d.Min.Y, d.Dx(), d.Dy())
		} else {
			c.event(id, 1, uint32(0))
			if f.waits {
				c.event(id, 4, d.Min.X, d.Min.Y, d.Dx(), d.Dy())
			}
		}
		c.event(id, ready, uint32(0), uint32(0), uint32(0))
	}
}

// Stopped tells the client that a session is over, if the object is one.
func (c *Client) Stopped(id uint32) {
	if s, ok := c.objects[id].(*session); ok {
		c.event(s.id, 5)
	}
}

// Fail makes all pending and new shots fail. It reports whether it did.
func (c *Client) Fail() bool {
	for id, o := range c.objects {
		if f, ok := o.(*frame); ok && !f.ext {
			c.event(id, 3)
		}
	}
	return true
}

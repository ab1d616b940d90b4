//go:build linux

package wlprototest

import "image"

// Pointer returns the globals of ext-image-copy-capture-v1, and a seat.
func Pointer() map[string]uint32 {
	all := ImageCopy()
	all["wl_seat"] = 7
	return all
}

// cursor is the pointer of an output.
type cursor struct {
	image   *screen
	inside  bool
	at, hot image.Point
}

// cursorSession is an ext_image_copy_capture_cursor_session_v1.
type cursorSession struct {
	id     uint32
	screen *screen
}

func newCursor() *cursor { return &cursor{image: &screen{cursor: true}} }

// Point moves the pointer to a pixel of an output, as people see it.
func (c *Compositor) Point(output string, x, y int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(output)
	entered := !s.pointer.inside
	s.pointer.inside, s.pointer.at = true, image.Pt(x, y)
	c.tell(s, func(client *Client, id uint32) {
		if entered {
			client.event(id, 0)
			client.event(id, 3, s.pointer.hot.X, s.pointer.hot.Y)
		}
		client.event(id, 2, x, y)
	})
}

// Leave moves the pointer away from an output.
func (c *Compositor) Leave(output string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(output)
	s.pointer.inside = false
	c.tell(s, func(client *Client, id uint32) { client.event(id, 1) })
}

// Shape gives the pointer of an output another shape of one color. Its alpha is in the highest byte.
func (c *Compositor) Shape(output string, size, hot image.Point, transform, color uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(output)
	pointer := s.pointer
	resized := pointer.image.Width != size.X || pointer.image.Height != size.Y
	pointer.hot = hot
	pointer.image.Output = Output{Width: size.X, Height: size.Y, Transform: transform}
	pointer.image.pix = make([]byte, 4*max(0, size.X)*max(0, size.Y))
	for i := 0; i < len(pointer.image.pix); i += 4 {
		le.PutUint32(pointer.image.pix[i:], color)
	}
	c.tell(s, func(client *Client, id uint32) { client.event(id, 3, hot.X, hot.Y) })
	for client := range c.clients {
		if resized {
			client.resized(pointer.image)
		} else {
			client.damaged(pointer.image, image.Rectangle{Max: size})
		}
	}
}

// tell calls send for each cursor session of an output.
func (c *Compositor) tell(s *screen, send func(client *Client, id uint32)) {
	for client := range c.clients {
		for id, o := range client.objects {
			if k, ok := o.(*cursorSession); ok && k.screen == s {
				send(client, id)
			}
		}
	}
}

// seat handles what a client asks of a seat.
func (c *Client) seat(op uint16, id uint32) {
	if op != 0 {
		return
	}
	if c.comp.cfg.NoPointer {
		c.event(1, 0, id, uint32(0), "this seat has no pointer")
		return
	}
	c.objects[id] = named("wl_pointer")
}

// track starts a cursor session.
func (c *Client) track(id uint32, s *screen) {
	k := &cursorSession{id, s}
	c.objects[id] = k
	if s.pointer.inside {
		c.event(id, 0)
		c.event(id, 2, s.pointer.at.X, s.pointer.at.Y)
		c.event(id, 3, s.pointer.hot.X, s.pointer.hot.Y)
	}
}

// Constrain announces a size for copies of the pointer, which may be nonsense.
func (c *Compositor) Constrain(output string, width, height int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(output).pointer.image
	s.Width, s.Height = width, height
	for client := range c.clients {
		for _, o := range client.objects {
			if k, ok := o.(*session); ok && k.screen == s {
				client.constraints(k)
			}
		}
	}
}

// FailCopies makes all copies under way fail.
func (c *Client) FailCopies() {
	for id, o := range c.objects {
		if f, ok := o.(*frame); ok && f.ext {
			c.event(id, 4, uint32(0))
		}
	}
}

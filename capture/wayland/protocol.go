package wayland

import (
	"image"
	"slices"

	"wavryhost/platform/wlproto"
)

// protocol is a protocol for capture. It asks for one picture at a time, and records the compositor's answers in its
// shot. One goroutine uses it.
type protocol interface {
	// begin starts a shot. A fresh one does not wait for a change. The compositor describes its pictures.
	begin(fresh bool)
	// copy has the compositor write the picture, once it is described.
	copy(buffer uint32)
	// end gives up the shot, finished or not.
	end()
	// shot returns the current shot.
	shot() *shot
	// reports reports whether the compositor reports damage.
	reports() bool
}

// shot is the request for a picture.
type shot struct {
	layout
	begun, fresh bool
	described    bool // layout is complete, except for the transform and the flip
	copying      bool
	ready        bool
	failed       bool
	stopped      bool // the compositor captures this output no more
	damage       []image.Rectangle
}

// exchange is the object of a picture under way, and what is known of it.
type exchange struct {
	conn    *wlproto.Conn
	frame   uint32 // 0 for none
	destroy uint16 // the request that ends frame
	s       shot
}

func (e *exchange) shot() *shot { return &e.s }

func (e *exchange) end() {
	if e.frame != 0 {
		e.conn.Send(e.frame, e.destroy)
		e.conn.Forget(e.frame)
		e.frame = 0
	}
	e.s.begun = false
}

// screencopy is wlr-screencopy-unstable-v1.
type screencopy struct {
	exchange
	manager, output uint32
	version         uint32
	cursor          int32
}

func newScreencopy(c *wlproto.Conn, output uint32, cursor bool) *screencopy {
	p := &screencopy{exchange: exchange{conn: c, destroy: 1}, output: output}
	g, _ := c.Global(wlrManager)
	p.manager, p.version = c.Bind(g, 3, nil)
	if cursor {
		p.cursor = 1
	}
	return p
}

func (p *screencopy) reports() bool { return p.version >= 2 }

func (p *screencopy) begin(fresh bool) {
	p.end()
	p.s = shot{begun: true, fresh: fresh || !p.reports(), layout: p.s.orientation()}
	id := p.conn.New(p.event)
	p.frame = id
	p.conn.Send(p.manager, 0, id, p.cursor, p.output)
}

func (p *screencopy) copy(buffer uint32) {
	request := uint16(2) // copy_with_damage
	if p.s.fresh {
		request = 0
	}
	p.s.copying = true
	p.conn.Send(p.frame, request, buffer)
}

func (p *screencopy) event(event uint16, a *wlproto.Args) {
	s := &p.s
	switch event {
	case 0: // buffer
		if s.copying {
			return
		}
		s.format, s.width, s.height, s.stride = a.Uint(), a.Int(), a.Int(), a.Int()
		s.described = s.described || p.version < 3
	case 1:
		s.flipped = a.Uint()&1 != 0
	case 2:
		s.ready = s.copying
	case 3:
		s.failed = true
	case 4:
		s.hurt(a)
	case 6: // buffer_done
		if !s.copying {
			s.described = true
		}
	}
}

// hurt records damage.
func (s *shot) hurt(a *wlproto.Args) {
	x, y := a.Int(), a.Int()
	r := image.Rect(x, y, x+a.Int(), y+a.Int())
	if len(s.damage) < 64 {
		s.damage = append(s.damage, r)
		return
	}
	s.damage[0] = s.damage[0].Union(r)
}

// orientation returns what is learned with a picture, and holds for the next one most likely.
func (l layout) orientation() layout { return layout{transform: l.transform, flipped: l.flipped} }

// imageCopy is ext-image-copy-capture-v1.
type imageCopy struct {
	exchange
	manager, source  uint32
	start            func(session uint32) // requests the session
	formats          []uint32             // that can be read, by preference
	session          uint32
	offered          layout // by the session
	done             bool
	offeredFormats   []uint32
	announcedFormats []uint32
}

func newImageCopy(c *wlproto.Conn, output uint32, cursor bool) *imageCopy {
	p := &imageCopy{exchange: exchange{conn: c, destroy: 0}, formats: formats}
	g, _ := c.Global(extManager)
	p.manager, _ = c.Bind(g, 1, nil)
	g, _ = c.Global(extSources)
	sources, _ := c.Bind(g, 1, nil)
	p.source = c.New(nil)
	c.Send(sources, 0, p.source, output)
	c.Send(sources, 1)
	c.Forget(sources)
	var options uint32
	if cursor {
		options = 1
	}
	p.start = func(session uint32) { c.Send(p.manager, 0, session, p.source, options) }
	return p
}

func (p *imageCopy) reports() bool { return true }

// begin starts a shot. Only the first one of a session does not wait for a change.
func (p *imageCopy) begin(fresh bool) {
	p.end()
	p.s = shot{begun: true, fresh: fresh, layout: p.s.orientation()}
	if !fresh && p.session != 0 {
		p.describe()
		return
	}
	if p.session != 0 {
		p.conn.Send(p.session, 1)
		p.conn.Forget(p.session)
	}
	p.done, p.offeredFormats, p.announcedFormats = false, nil, nil
	p.session = p.conn.New(p.sessionEvent)
	p.start(p.session)
}

// describe takes what the session offers.
func (p *imageCopy) describe() {
	if !p.done || p.s.copying || !p.s.begun {
		return
	}
	was := p.s.orientation()
	p.s.layout, p.s.described = p.offered, true
	p.s.transform, p.s.flipped = was.transform, was.flipped
	p.s.stride = 4 * p.offered.width
	for _, f := range p.formats {
		if slices.Contains(p.offeredFormats, f) {
			p.s.format = f
			return
		}
	}
	if len(p.offeredFormats) > 0 { // the check names it
		p.s.format = p.offeredFormats[0]
	}
}

func (p *imageCopy) copy(buffer uint32) {
	p.s.copying = true
	p.frame = p.conn.New(p.event)
	p.conn.Send(p.session, 0, p.frame)
	p.conn.Send(p.frame, 1, buffer)
	// All of the buffer is old: it has another picture in it.
	p.conn.Send(p.frame, 2, int32(0), int32(0), int32(p.s.width), int32(p.s.height))
	p.conn.Send(p.frame, 3)
}

func (p *imageCopy) sessionEvent(event uint16, a *wlproto.Args) {
	switch event {
	case 0:
		p.offered.width, p.offered.height = a.Int(), a.Int()
	case 1:
		if f := a.Uint(); len(p.announcedFormats) < 256 {
			p.announcedFormats = append(p.announcedFormats, f)
		}
	case 4: // done; what was announced replaces what was offered before
		p.done = true
		if len(p.announcedFormats) > 0 {
			p.offeredFormats, p.announcedFormats = p.announcedFormats, nil
		}
		p.describe()
	case 5:
		p.s.stopped = true
	}
}

func (p *imageCopy) event(event uint16, a *wlproto.Args) {
	const stopped = 2
	s := &p.s
	switch event {
	case 0:
		s.transform = a.Uint() & 7
	case 1:
		s.hurt(a)
	case 3:
		s.ready = true
	case 4:
		s.failed = true
		s.stopped = s.stopped || a.Uint() == stopped
	}
}

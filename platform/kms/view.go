package kms

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"wavryhost/platform/kms/drm"
)

// view is what one connection looks at. Its cards are its own, so that their handles are.
type view struct {
	nodes      func() []Node
	cards      map[string]*card
	connectors map[string]uint32    // by the IDs of outputs
	looked     map[string]time.Time // the last look at an output
}

func newView(nodes func() []Node) *view {
	return &view{
		nodes: nodes, cards: make(map[string]*card), connectors: make(map[string]uint32),
		looked: make(map[string]time.Time),
	}
}

// card is an open card.
type card struct {
	*drm.Card
	render RenderNode
}

func (v *view) close() {
	for name := range v.cards {
		v.drop(name)
	}
}

// drop closes a card.
func (v *view) drop(name string) {
	_ = v.cards[name].Close()
	delete(v.cards, name)
}

// answer answers a request. The caller must close the files.
func (v *view) answer(ctx context.Context, r request) (answer, []*drm.Framebuffer) {
	if r.Query == nil {
		return answer{Outputs: v.outputs()}, nil
	}
	name, _ := Card(r.Query.Output)
	s, files, err := v.look(ctx, *r.Query)
	if err == nil {
		return answer{Scanout: s}, files
	}
	if v.cards[name] != nil && (errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EIO)) { // a new one may come
		v.drop(name)
		err = fmt.Errorf("%w: the card is gone: %w", ErrAbsent, err)
	}
	return failed(reasoned(err)), nil
}

// reasoned adds the reason to an error that has none.
func reasoned(err error) error {
	for _, reason := range reasons {
		if errors.Is(err, reason) {
			return err
		}
	}
	reason := ErrUnsupported
	switch {
	case errors.Is(err, drm.ErrNoHandles), errors.Is(err, fs.ErrPermission):
		reason = ErrDenied
	case errors.Is(err, syscall.ENOENT): // an object that has just gone
		reason = ErrAbsent
	}
	return fmt.Errorf("%w: %w", reason, err)
}

// outputs lists the connected outputs of all cards. A card that cannot be read is one output that says so.
func (v *view) outputs() []Output {
	var all []Output
	nodes := v.nodes()
	for name := range v.cards {
		if !slices.ContainsFunc(nodes, func(n Node) bool { return n.Name == name }) {
			v.drop(name)
		}
	}
	for _, n := range nodes {
		c, err := v.card(n.Name)
		var connectors []drm.Connector
		if err == nil {
			connectors, err = c.Connectors()
		}
		if err != nil {
			if v.cards[n.Name] != nil {
				v.drop(n.Name)
			}
			if !errors.Is(err, syscall.EOPNOTSUPP) { // a card that only renders
				all = append(all, Output{ID: n.Name, Why: clip(err.Error())})
			}
			continue
		}
		for _, con := range connectors {
			if con.Connected {
				all = append(all, describe(c.Card, n.Name+"@"+con.Name, con))
			}
		}
	}
	return all[:min(len(all), maxOutputs)]
}

// describe describes an output.
func describe(c *drm.Card, id string, con drm.Connector) Output {
	o := Output{ID: id, Driver: c.Driver()}
	p, err := c.Pipe(con)
	if err != nil {
		o.Why = clip(err.Error())
		return o
	}
	o.Width, o.Height, o.Refresh = p.Width, p.Height, p.Refresh
	if s, err := c.Primary(p); err == nil && s.FB != 0 {
		o.Width, o.Height = s.SrcWidth, s.SrcHeight
	}
	return o
}

// card returns a card, which it opens if it is not open yet.
func (v *view) card(name string) (*card, error) {
	if c := v.cards[name]; c != nil {
		return c, nil
	}
	for _, n := range v.nodes() {
		if n.Name != name {
			continue
		}
		dev, err := n.Open()
		if err != nil {
			return nil, err
		}
		c, err := drm.New(dev)
		if err != nil {
			return nil, err
		}
		v.cards[name] = &card{c, n.Render}
		return v.cards[name], nil
	}
	return nil, fmt.Errorf("%w: there is no card %s", ErrAbsent, clip(name))
}

// connector returns the connector of an output.
func (v *view) connector(c *drm.Card, output string) (drm.Connector, error) {
	_, name := Card(output)
	con, err := drm.Connector{}, error(nil)
	if id, known := v.connectors[output]; known {
		con, err = c.Connector(id)
	}
	if err != nil || con.Name != name {
		list, err := c.Connectors()
		if err != nil {
			return con, err
		}
		i := slices.IndexFunc(list, func(o drm.Connector) bool { return o.Name == name })
		if i < 0 {
			return con, fmt.Errorf("%w: the card has no connector %s", ErrAbsent, clip(name))
		}
		con = list[i]
		clear(v.connectors) // a caller that tries names must not fill it
		v.connectors[output] = con.ID
	}
	if !con.Connected {
		return con, fmt.Errorf("%w: connector %s has no monitor", ErrAbsent, name)
	}
	return con, nil
}

// look answers a query.
func (v *view) look(ctx context.Context, q Query) (*Scanout, []*drm.Framebuffer, error) {
	name, _ := Card(q.Output)
	c, err := v.card(name)
	if err != nil {
		return nil, nil, err
	}
	con, err := v.connector(c.Card, q.Output)
	if err != nil {
		return nil, nil, err
	}
	pipe, err := c.Pipe(con)
	if err != nil && !errors.Is(err, drm.ErrOff) {
		return nil, nil, err
	}
	s := &Scanout{Driver: c.Driver(), Render: c.render, Rotation: drm.Rotate0}
	if pipe != nil {
		s.Refresh, s.Overlays = pipe.Refresh, pipe.Overlays
	}
	for limit := time.Now().Add(waitTime); ; {
		if err := v.state(c.Card, pipe, q, s); err != nil {
			return nil, nil, err
		}
		changed := q.Seen == nil || s.State != *q.Seen || q.Picture && s.Missed
		if !changed && time.Now().Before(limit) && ctx.Err() == nil {
			v.pause(ctx, c.Card, pipe, limit)
			continue
		}
		if !changed {
			return s, nil, nil
		}
		files, err := export(c.Card, q, s)
		return s, files, err
	}
}

// state looks at the planes.
func (v *view) state(c *drm.Card, pipe *drm.Pipe, q Query, s *Scanout) error {
	now := time.Now()
	// Within two frames there may be two flips, the second back to the same buffer.
	frame := time.Second / time.Duration(max(s.Refresh, 1))
	if last, ok := v.looked[q.Output]; !ok || now.Sub(last) > frame*3/2 {
		s.Missed = true
	}
	clear(v.looked)
	v.looked[q.Output] = now
	s.State = State{}
	if pipe == nil {
		return nil
	}
	p, err := c.Primary(pipe)
	if err != nil {
		return err
	}
	s.FB, s.Rotation = p.FB, p.Rotation
	if s.FB != 0 {
		s.Area = image.Rect(p.SrcX, p.SrcY, p.SrcX+p.SrcWidth, p.SrcY+p.SrcHeight)
	}
	if !q.Picture && s.FB != 0 {
		s.FB = 1 // other pictures are no change
	}
	if !q.Cursor {
		return nil
	}
	cursor, err := c.Cursor(pipe)
	if err == nil && cursor.FB != 0 {
		s.CursorFB, s.CursorAt, s.Hot = cursor.FB, image.Pt(cursor.X, cursor.Y), image.Pt(cursor.HotX, cursor.HotY)
	}
	return err
}

// pause waits for the next picture of the screen.
func (v *view) pause(ctx context.Context, c *drm.Card, pipe *drm.Pipe, limit time.Time) {
	rest := time.Until(limit)
	if pipe != nil {
		if c.WaitVBlank(pipe) == nil {
			return
		}
		rest = min(rest, time.Second/time.Duration(max(pipe.Refresh, 1)))
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// export makes files of the buffers that a query asks for.
func export(c *drm.Card, q Query, s *Scanout) (files []*drm.Framebuffer, err error) {
	n := 0
	one := func(fb uint32, readable bool) (*Buffer, error) {
		f, err := c.Framebuffer(fb, readable)
		if err != nil {
			return nil, err
		}
		b := &Buffer{Width: f.Width, Height: f.Height, Format: f.Format, Modifier: f.Modifier, Parts: f.Parts}
		for i := range b.Parts {
			b.Parts[i].File += n
		}
		n += len(f.Files)
		files = append(files, f)
		return b, nil
	}
	if q.Picture && s.FB != 0 {
		if s.Picture, err = one(s.FB, !q.Surface); errors.Is(err, syscall.ENOENT) { // it was replaced in this moment
			s.State = State{}
			return nil, nil
		}
	}
	if err == nil && s.CursorFB != 0 && (q.Seen == nil || q.Seen.CursorFB != s.CursorFB) {
		if s.Cursor, err = one(s.CursorFB, true); errors.Is(err, syscall.ENOENT) {
			s.CursorFB, err = 0, nil
		}
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return nil, err
	}
	return files, nil
}

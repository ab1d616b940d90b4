package wlproto

import (
	"cmp"
	"context"
	"image"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Output is a monitor of a compositor.
type Output struct {
	// ID is the object, for requests.
	ID uint32
	// Name is the name of its connector, such as DP-1 or HEADLESS-1. It stays the same over restarts.
	Name string
	// Area is where it is on the desktop, in the units of programs.
	Area image.Rectangle
	// Width and Height are the pixels of its mode, before Transform turns them.
	Width, Height int
	// Transform is the value of wl_output.transform.
	Transform uint32
	// Scale is the factor by which programs enlarge what they show.
	Scale float64

	global  uint32
	at      image.Point
	logical image.Point // the size in the units of programs; 0,0 if it is unknown
	whole   int         // the scale without fractions
	xdg     uint32
}

// Upright returns the size of the picture as people see it.
func (o Output) Upright() (width, height int) {
	if o.Transform&1 != 0 {
		return o.Height, o.Width
	}
	return o.Width, o.Height
}

// Outputs follows the outputs of a connection.
type Outputs struct {
	conn    *Conn
	all     map[uint32]*Output // by the global's name
	manager uint32             // zxdg_output_manager_v1, or 0
	version uint32
	// Changed is set when an output has come, gone or changed.
	Changed bool
}

// NewOutputs learns the outputs. Events of the connection keep them current.
func NewOutputs(ctx context.Context, c *Conn) (*Outputs, error) {
	o := &Outputs{conn: c, all: make(map[uint32]*Output)}
	if g, ok := c.Global("zxdg_output_manager_v1"); ok {
		o.manager, o.version = c.Bind(g, 3, nil)
	}
	for _, g := range slices.SortedFunc(maps.Values(c.globals), func(a, b Global) int {
		return cmp.Compare(a.Name, b.Name)
	}) {
		o.global(g, false)
	}
	c.OnGlobal = o.global
	return o, c.Sync(ctx)
}

func (o *Outputs) global(g Global, gone bool) {
	if g.Interface != "wl_output" {
		return
	}
	o.Changed = true
	if gone {
		if out := o.all[g.Name]; out != nil {
			o.remove(out, g.Version)
		}
		return
	}
	out := &Output{global: g.Name, whole: 1}
	out.ID, _ = o.conn.Bind(g, 4, func(event uint16, a *Args) { o.event(out, event, a) })
	o.all[g.Name] = out
	if o.manager == 0 {
		return
	}
	out.xdg = o.conn.New(func(event uint16, a *Args) { o.xdgEvent(out, event, a) })
	o.conn.Send(o.manager, 1, out.xdg, out.ID)
}

func (o *Outputs) remove(out *Output, version uint32) {
	delete(o.all, out.global)
	if out.xdg != 0 {
		o.conn.Send(out.xdg, 0)
		o.conn.Forget(out.xdg)
	}
	if version >= 3 { // older ones have no request for it
		o.conn.Send(out.ID, 0)
		o.conn.Forget(out.ID)
	}
}

func (o *Outputs) event(out *Output, event uint16, a *Args) {
	o.Changed = true
	switch event {
	case 0: // geometry
		x, y := a.Int(), a.Int()
		if out.xdg == 0 {
			out.at = image.Pt(x, y)
		}
		for range 3 {
			a.Uint()
		}
		a.Text()
		a.Text()
		out.Transform = a.Uint() & 7
	case 1: // mode
		if flags, w, h := a.Uint(), a.Int(), a.Int(); flags&1 != 0 {
			out.Width, out.Height = w, h
		}
	case 3: // scale
		out.whole = max(1, a.Int())
	case 4: // name
		out.Name = a.Text()
	}
}

func (o *Outputs) xdgEvent(out *Output, event uint16, a *Args) {
	o.Changed = true
	switch event {
	case 0: // logical_position
		out.at = image.Pt(a.Int(), a.Int())
	case 1: // logical_size
		out.logical = image.Pt(a.Int(), a.Int())
	case 3: // name
		if name := a.Text(); out.Name == "" {
			out.Name = name
		}
	}
}

// List returns the outputs, from left to right and top to bottom.
func (o *Outputs) List() []Output {
	var list []Output
	for _, out := range o.all {
		one := *out
		one.Name = cmp.Or(one.Name, "output-"+strconv.Itoa(int(one.global)))
		one.Scale = float64(one.whole)
		w, h := one.Upright()
		if w > 0 && one.logical.X > 0 {
			one.Scale = math.Round(float64(w)/float64(one.logical.X)*100) / 100
		} else {
			one.logical = image.Pt(w, h).Div(one.whole)
		}
		one.Area = image.Rectangle{one.at, one.at.Add(one.logical)}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Output) int {
		return cmp.Or(a.Area.Min.Y-b.Area.Min.Y, a.Area.Min.X-b.Area.Min.X, cmp.Compare(a.Name, b.Name))
	})
	return list
}

// Find returns the output of a name.
func (o *Outputs) Find(name string) (Output, bool) {
	list := o.List()
	i := slices.IndexFunc(list, func(out Output) bool { return out.Name == name })
	if i < 0 {
		return Output{}, false
	}
	return list[i], true
}

package xproto

import (
	"context"
	"errors"
	"fmt"
	"image"
	"strings"
)

// Requests of RANDR, and the events that it selects (randrproto.txt).
const (
	randrQueryVersion  = 0
	randrSelectInput   = 4
	randrGetOutputInfo = 9
	randrGetCRTCInfo   = 20
	randrGetMonitors   = 42 // from 1.5 on

	randrScreenChange, randrCRTCChange, randrOutputChange = 1, 2, 4

	opGetAtomName = 17
	opGetProperty = 20

	atomResourceManager = 23
	atomString          = 31
)

// RandR is the extension RANDR of a server. The zero value means that the server lacks it.
type RandR struct {
	Extension
	monitors bool // version 1.5
}

// Monitor is a monitor of a screen.
type Monitor struct {
	// Name is the name of its output ("DP-1"), or a name that a client gave it. It is unique on the screen and has
	// only letters, digits, dots, hyphens and underscores.
	Name string
	// Area is its part of the screen, in pixels.
	Area image.Rectangle
	// Rotation is how far the monitor is turned counterclockwise, in degrees: 0, 90, 180 or 270.
	Rotation int
	Primary  bool
}

// QueryRandR asks for RANDR and its version.
func (c *Conn) QueryRandR(ctx context.Context) (RandR, error) {
	ext, err := c.QueryExtension(ctx, "RANDR")
	if err != nil || !ext.Present() {
		return RandR{}, err
	}
	b, err := c.Await(ctx, c.Send(ext.Major, randrQueryVersion, 1, 5))
	if err != nil {
		return RandR{}, err
	}
	major, minor := le.Uint32(b[8:]), le.Uint32(b[12:])
	return RandR{Extension: ext, monitors: major > 1 || major == 1 && minor >= 5}, nil
}

// WatchMonitors requests events for changes of a screen and its monitors, which Changed recognizes.
func (c *Conn) WatchMonitors(r RandR, root uint32) {
	if r.Present() {
		c.Send(r.Major, randrSelectInput, root, Pair(randrScreenChange|randrCRTCChange|randrOutputChange, 0))
	}
}

// Changed reports whether WatchMonitors requested an event.
func (r RandR) Changed(event []byte) bool {
	kind := Kind(event)
	return r.Present() && (kind == r.FirstEvent || kind == r.FirstEvent+1)
}

// maxMonitors bounds the monitors of a screen. Xorg's dummy driver has 16 outputs.
const maxMonitors = 64

// Monitors returns the active monitors of a screen. It returns none for servers without RANDR 1.5.
func (c *Conn) Monitors(ctx context.Context, r RandR, root uint32) ([]Monitor, error) {
	if !r.monitors {
		return nil, nil
	}
	b, err := c.Await(ctx, c.Send(r.Major, randrGetMonitors, root, 1))
	if err != nil {
		return nil, err
	}
	raw, err := parseMonitors(b)
	if err != nil {
		return nil, err
	}
	taken := make(map[string]bool)
	var list []Monitor
	for _, m := range raw {
		name, err := c.atomName(ctx, m.atom)
		if err == nil {
			m.Rotation, err = c.rotation(ctx, r, m.output)
		}
		var refused RequestError
		switch {
		case errors.As(err, &refused): // it has just gone
			continue
		case err != nil:
			return nil, err
		}
		m.Name = plainName(name)
		for n := 2; taken[m.Name]; n++ {
			m.Name = fmt.Sprintf("%s_%d", plainName(name), n)
		}
		taken[m.Name] = true
		list = append(list, m.Monitor)
	}
	return list, nil
}

type rawMonitor struct {
	Monitor
	atom, output uint32
}

// parseMonitors reads the reply to GetMonitors, which has the ID of the name and of the first output.
func parseMonitors(b []byte) ([]rawMonitor, error) {
	n := int(le.Uint32(b[12:]))
	var list []rawMonitor
	for b = b[32:]; n > 0; n-- {
		if len(b) < 24 || len(list) == maxMonitors {
			return nil, fmt.Errorf("xproto: the server's list of monitors is damaged, or has more than %d", maxMonitors)
		}
		m := rawMonitor{atom: le.Uint32(b)}
		m.Primary = b[4] != 0
		x, y := int(int16(le.Uint16(b[8:]))), int(int16(le.Uint16(b[10:])))
		m.Area = image.Rect(x, y, x+int(le.Uint16(b[12:])), y+int(le.Uint16(b[14:])))
		outputs := int(le.Uint16(b[6:]))
		if len(b) < 24+4*outputs {
			return nil, errors.New("xproto: the server's list of monitors is cut short")
		}
		if outputs > 0 {
			m.output = le.Uint32(b[24:])
		}
		b = b[24+4*outputs:]
		if !m.Area.Empty() {
			list = append(list, m)
		}
	}
	return list, nil
}

// plainName replaces what a Monitor's name cannot have.
func plainName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '-'
	}, name[:min(len(name), 40)])
	if name == "" {
		return "unnamed"
	}
	return name
}

func (c *Conn) atomName(ctx context.Context, atom uint32) (string, error) {
	b, err := c.Await(ctx, c.Send(opGetAtomName, 0, atom))
	if err != nil {
		return "", err
	}
	n := min(int(le.Uint16(b[8:])), len(b)-32)
	return string(b[32 : 32+n]), nil
}

// rotation returns how far an output is turned. A monitor without an output is not.
func (c *Conn) rotation(ctx context.Context, r RandR, output uint32) (int, error) {
	if output == 0 {
		return 0, nil
	}
	b, err := c.Await(ctx, c.Send(r.Major, randrGetOutputInfo, output, 0))
	if err != nil {
		return 0, err
	}
	crtc := le.Uint32(b[12:])
	if crtc == 0 {
		return 0, nil
	}
	if b, err = c.Await(ctx, c.Send(r.Major, randrGetCRTCInfo, crtc, 0)); err != nil {
		return 0, err
	}
	return degrees(le.Uint16(b[24:])), nil
}

// degrees converts a set of RANDR's rotations and reflections.
func degrees(rotation uint16) int {
	switch {
	case rotation&2 != 0:
		return 90
	case rotation&4 != 0:
		return 180
	case rotation&8 != 0:
		return 270
	}
	return 0
}

// Scale returns the factor by which programs enlarge texts: the resource Xft.dpi that desktops set, over 96. It is 1
// without that resource.
func (c *Conn) Scale(ctx context.Context) (float64, error) {
	const enough = 16 << 10         // words
	root := c.Setup.Screens[0].Root // of all screens
	b, err := c.Await(ctx, c.Send(opGetProperty, 0, root, atomResourceManager, atomString, 0, enough))
	if err != nil {
		return 1, err
	}
	n := min(int(le.Uint32(b[16:])), len(b)-32)
	return parseScale(string(b[32 : 32+n])), nil
}

func parseScale(resources string) float64 {
	for line := range strings.Lines(resources) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) != "Xft.dpi" {
			continue
		}
		var dpi float64
		if _, err := fmt.Sscan(value, &dpi); err == nil && dpi >= 24 && dpi <= 960 {
			return dpi / 96
		}
	}
	return 1
}

package display

import (
	"path/filepath"
	"slices"
	"strings"
)

// portalID is the ID of the screen that a portal shows.
const portalID = "pipewire:portal"

// busSocket returns the path of the socket of a session bus, or nothing if it has none.
func busSocket(bus string) string {
	path, ok := strings.CutPrefix(bus, "unix:path=")
	if !ok {
		return ""
	}
	path, _, _ = strings.Cut(path, ",")
	return path
}

// outputs describes the outputs of a compositor. Each is a display; the desktop as a whole is none. A compositor
// without outputs is one display that is not usable.
func (s *server) outputs() []Display {
	switch {
	case s.address.portal:
		return []Display{s.chosen()}
	case s.address.kms:
		return s.scanouts()
	}
	name := filepath.Base(s.address.server)
	whole := s.display(0)
	whole.ID, whole.Name = "wayland:"+name, "Wayland display "+name
	whole.Backend, whole.Address, whole.Authority = "wayland", s.address.server, nil
	output, of := "Output ", " of Wayland display "+name
	if s.address.gnome {
		whole.ID, whole.Name, whole.Backend, output, of = "pipewire:gnome", "GNOME", "pipewire", "Monitor ", " of GNOME"
	}
	if whole.State != Usable {
		return []Display{whole}
	}
	var list []Display
	for _, screen := range s.screens {
		for _, m := range screen.Monitors {
			d := whole
			d.ID += "@" + m.Name
			d.Name = output + m.Name + of
			d.Monitor, d.Width, d.Height, d.Layout = m.Name, m.Width, m.Height, m.Layout
			list = append(list, d)
		}
	}
	if len(list) == 0 {
		whole.State, whole.Why = Unusable, "the compositor has no output at present"
		list = append(list, whole)
	}
	return list
}

// scanouts describes the outputs of graphics cards. A helper that does not answer is one display that is not usable.
func (s *server) scanouts() []Display {
	whole := s.display(0)
	whole.ID, whole.Name, whole.Backend, whole.Authority = "kms", "Outputs of graphics cards", "kms", nil
	whole.Address, whole.Width, whole.Height, whole.Scale = s.address.server, 0, 0, 0
	if s.state != Usable {
		whole.State, whole.Why = s.state, s.why
		return []Display{whole}
	}
	var list []Display
	for _, screen := range s.screens {
		for _, m := range screen.Monitors {
			d := whole
			d.State, d.Why = Usable, screen.Why
			if d.Why != "" {
				d.State = Unusable
			}
			d.ID += ":" + m.Name
			d.Name = "Output " + m.Name + " of a graphics card"
			d.Monitor, d.Width, d.Height, d.Layout = m.Name, m.Width, m.Height, m.Layout
			list = append(list, d)
		}
	}
	if len(list) == 0 {
		whole.State, whole.Why = Unusable, "no monitor is connected"
		list = append(list, whole)
	}
	return list
}

// chosen describes the screen of a portal: a person chooses it when it is opened.
func (s *server) chosen() Display {
	d := s.display(0)
	d.ID, d.Name, d.Backend, d.Authority = portalID, "Screen of the desktop's portal", "pipewire", nil
	d.Address = s.address.server
	return d
}

// settle decides about the portal's screen: it is for desktops on Wayland that cannot be captured directly.
func settle(list []Display) []Display {
	direct, wayland := "", false
	for _, d := range list {
		one := d.Backend == "wayland" || d.Backend == "pipewire" && d.ID != portalID
		wayland = wayland || one
		if one && d.State == Usable && direct == "" {
			direct = d.ID
		}
	}
	for i := range list {
		if list[i].ID == portalID && direct != "" {
			list[i].State, list[i].Why = Unusable, "the desktop is captured directly, as "+direct
		}
	}
	return slices.DeleteFunc(list, func(d Display) bool { return d.ID == portalID && !wayland })
}

package display

import (
	"path/filepath"
	"strings"
)

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

package display

import "path/filepath"

// outputs describes the outputs of a compositor. Each is a display; the desktop as a whole is none. A compositor
// without outputs is one display that is not usable.
func (s *server) outputs() []Display {
	name := filepath.Base(s.address.server)
	whole := s.display(0)
	whole.ID, whole.Name = "wayland:"+name, "Wayland display "+name
	whole.Backend, whole.Address, whole.Authority = "wayland", s.address.server, nil
	if whole.State != Usable {
		return []Display{whole}
	}
	var list []Display
	for _, screen := range s.screens {
		for _, m := range screen.Monitors {
			d := whole
			d.ID += "@" + m.Name
			d.Name = "Output " + m.Name + " of Wayland display " + name
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

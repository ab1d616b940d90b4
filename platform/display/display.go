// Package display lists the displays of a machine, and makes a virtual one where there is none.
package display

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// State is the state of a display.
type State string

// The states of a display.
const (
	// Usable displays can be captured, according to the last check.
	Usable State = "usable"
	// Slow displays did not answer in time. They may still exist, and are asked again.
	Slow State = "slow"
	// Unusable displays cannot be captured, for the reason in Why.
	Unusable State = "unusable"
)

// Display is a display that may be captured.
type Display struct {
	// ID names it in requests and configuration: "x11:0", "x11:0.1", "x11:0@DP-1", "wayland:wayland-1@DP-1",
	// "pipewire:gnome@DP-1", "pipewire:portal", "kms:0000:00:02.0@DP-1".
	ID string
	// Name is a name for people.
	Name string
	// Backend is the capture backend: "x11", "wayland", "pipewire" or "kms".
	Backend string
	// Address is what the backend connects to: ":0", ":0.1", the path of a socket, or the address of a session bus.
	Address string
	// Monitor is the name of the monitor, if the display is one monitor of a screen.
	Monitor string
	// Authority has the X authority files to try, in order.
	Authority []string
	// Width and Height are in pixels, from the last check. They are 0 when unknown.
	Width, Height int
	Layout
	State State
	// Why says why it is not usable.
	Why string
	// Named displays are named by DISPLAY.
	Named bool
	// Remote displays may be on another machine. Their servers are reached by TCP, as with ssh -X.
	Remote bool
}

// Layout says how a display is arranged.
type Layout struct {
	// X and Y are the position on the desktop, in pixels.
	X, Y int
	// Rotation is how far the monitor is turned counterclockwise, in degrees. Pictures are upright.
	Rotation int
	// Scale is the factor by which programs enlarge what they show, or 0 if it is unknown.
	Scale float64
	// Primary is set on the monitor where the desktop has its panel.
	Primary bool
}

// Screen is a screen of a server.
type Screen struct {
	Width, Height int // pixels
	Scale         float64
	// Why says why it cannot be captured. It is empty when it can.
	Why string
	// Monitors are displays of their own, unless there is one only that fills the screen.
	Monitors []Monitor
}

// Monitor is a monitor of a screen.
type Monitor struct {
	Name          string
	Width, Height int // pixels
	Layout
}

// separate returns the monitors that are displays of their own.
func (s Screen) separate() []Monitor {
	if len(s.Monitors) == 1 && s.Monitors[0].Width == s.Width && s.Monitors[0].Height == s.Height {
		return nil
	}
	return s.Monitors
}

// address is a parsed display name.
type address struct {
	server  string // ":0", "host:10", "/path"
	screen  int
	monitor string
	remote  bool
	wayland bool // server is the socket of a compositor
	gnome   bool // server is the session bus of GNOME
	portal  bool // server is the session bus of a portal
	kms     bool // server is the socket of the helper for graphics cards
}

// parseAddress parses a value of DISPLAY, which "@" and the name of a monitor may follow. Unknown forms are left to the
// backend to refuse.
func parseAddress(display string) address {
	display, monitor := SplitMonitor(display)
	a := parseScreen(display)
	a.monitor = monitor
	return a
}

// SplitMonitor separates the address of a screen from the name of its monitor: ":0@DP-1".
func SplitMonitor(address string) (screen, monitor string) {
	screen, monitor, _ = strings.Cut(address, "@")
	return screen, monitor
}

func parseScreen(display string) address {
	if strings.HasPrefix(display, "/") {
		return address{server: display}
	}
	host, number, _ := strings.Cut(display, ":")
	if i := strings.LastIndexByte(display, ':'); i >= 0 { // IPv6 addresses have several
		host, number = display[:i], display[i+1:]
	}
	a := address{server: display}
	if n, screen, ok := strings.Cut(number, "."); ok {
		if s, err := strconv.ParseUint(screen, 10, 8); err == nil {
			a.server, a.screen = host+":"+n, int(s)
		}
	}
	switch host {
	case "":
	case "unix":
		a.server = strings.TrimPrefix(a.server, "unix")
	default:
		a.remote = true
	}
	return a
}

// of returns the address of a screen.
func (a address) of(screen int) string {
	if screen == 0 {
		return a.server
	}
	return a.server + "." + strconv.Itoa(screen)
}

// number is the display number, -1 where the address has none.
func (a address) number() int {
	n, err := strconv.Atoi(strings.TrimPrefix(a.server, ":"))
	if err != nil {
		return -1
	}
	return n
}

// socketsIn returns the addresses of the X servers with sockets in a directory. Each has a stamp that changes when the
// socket is replaced.
func socketsIn(dir string) map[address]string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	found := make(map[address]string)
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), "X")
		n, err := strconv.Atoi(name)
		if !ok || err != nil || n < 0 || e.Type()&fs.ModeSocket == 0 {
			continue
		}
		if info, err := e.Info(); err == nil {
			found[address{server: ":" + strconv.Itoa(n)}] = stamp(info)
		}
	}
	return found
}

// waylandSockets returns the sockets of compositors, that of WAYLAND_DISPLAY first.
func waylandSockets(env Env) []string {
	if env.RuntimeDir == "" {
		return nil
	}
	paths, err := filepath.Glob(filepath.Join(env.RuntimeDir, "wayland-*"))
	if err != nil {
		return nil
	}
	paths = slices.DeleteFunc(paths, func(p string) bool {
		info, err := os.Stat(p)
		return err != nil || info.Mode()&fs.ModeSocket == 0
	})
	slices.SortFunc(paths, func(a, b string) int {
		first := func(p string) int {
			if filepath.Base(p) == env.WaylandDisplay {
				return 0
			}
			return 1
		}
		return cmp.Or(first(a)-first(b), cmp.Compare(a, b))
	})
	return paths
}

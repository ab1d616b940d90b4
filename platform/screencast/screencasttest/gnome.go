//go:build linux

// Package screencasttest runs desktops for tests: mutter, GNOME's compositor, without a screen, with PipeWire and a
// session bus of its own, and a portal that does what a test says.
package screencasttest

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"wavryhost/platform/screencast"
)

// patience is the limit for everything that must happen.
const patience = 20 * time.Second

// Monitor is the name of mutter's first monitor.
const Monitor = "Meta-0"

// GNOME is a running mutter, and what it needs.
type GNOME struct {
	// Bus is the address of the session bus, and Socket the path of PipeWire's socket.
	Bus, Socket string

	dir, size string
	tb        testing.TB
	kill      func()
}

// Start runs mutter with a monitor of a size such as 640x480.
func Start(tb testing.TB, size string) *GNOME {
	tb.Helper()
	for _, name := range []string{"dbus-daemon", "pipewire", "wireplumber", "mutter", "foot"} {
		if _, err := exec.LookPath(name); err != nil {
			tb.Fatalf("needs %s: scripts/setup test", name)
		}
	}
	g := startBus(tb)
	g.size = size
	g.Run("pipewire")
	g.Await("the socket of PipeWire", func() bool { return g.Exists("pipewire-0") })
	g.Run("wireplumber")
	g.StartMutter()
	return g
}

// StartBus runs a session bus, and returns its address.
func StartBus(tb testing.TB) string {
	tb.Helper()
	return startBus(tb).Bus
}

// startBus runs the session bus of a session that has nothing else yet.
func startBus(tb testing.TB) *GNOME {
	tb.Helper()
	dir, err := os.MkdirTemp("", "gnome") //nolint:usetesting // a socket's path is at most 108 bytes
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { // a service that the bus started, and its mount, may end after the bus
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for limit := time.Now().Add(patience); os.RemoveAll(dir) != nil && time.Now().Before(limit); {
			<-tick.C
		}
	})
	g := &GNOME{
		Bus: "unix:path=" + filepath.Join(dir, "bus"), Socket: filepath.Join(dir, "pipewire-0"), dir: dir, tb: tb,
	}
	g.Run("dbus-daemon", "--session", "--address="+g.Bus, "--nofork", "--nopidfile")
	g.Await("the bus", func() bool { // its socket is there before it listens
		var d net.Dialer
		c, err := d.DialContext(tb.Context(), "unix", g.Path("bus"))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return g
}

// StartMutter starts mutter, again after its end.
func (g *GNOME) StartMutter() {
	g.tb.Helper()
	g.kill = g.Run("mutter", "--headless", "--wayland", "--no-x11", "--virtual-monitor", g.size,
		"--wayland-display", "wayland-9")
	g.Await("mutter", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		session, _, err := screencast.Record(ctx, g.Bus, Monitor, screencast.CursorHidden)
		if err == nil {
			session.Close()
		}
		return err == nil
	})
}

// Kill ends mutter.
func (g *GNOME) Kill() { g.kill() }

// Exists reports whether a file of the session exists.
func (g *GNOME) Exists(name string) bool {
	_, err := os.Stat(g.Path(name))
	return err == nil
}

// Path returns the path of a file of the session.
func (g *GNOME) Path(name string) string { return filepath.Join(g.dir, name) }

// Run starts a program in the session. It ends with the test, or by the returned function.
func (g *GNOME) Run(name string, args ...string) (kill func()) {
	g.tb.Helper()
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Dir, cmd.SysProcAttr = g.dir, &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "XDG_RUNTIME_DIR=" + g.dir, "LC_ALL=C.UTF-8",
		"DBUS_SESSION_BUS_ADDRESS=" + g.Bus, "DBUS_SYSTEM_BUS_ADDRESS=" + g.Bus, "WAYLAND_DISPLAY=wayland-9",
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		g.tb.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if g.tb.Failed() {
			g.tb.Logf("%s %v:\n%s", name, args, out.Bytes())
		}
	})
	g.tb.Cleanup(kill)
	return kill
}

// Owned reports whether a name on the bus has an owner. It starts none.
func (g *GNOME) Owned(name string) bool {
	conn, err := dbus.Connect(g.Bus)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	var owned bool
	err = conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned)
	return err == nil && owned
}

// Await waits until done reports true.
func (g *GNOME) Await(what string, done func() bool) {
	g.tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(limit) {
			g.tb.Fatalf("%s did not come within %v", what, patience)
		}
	}
}

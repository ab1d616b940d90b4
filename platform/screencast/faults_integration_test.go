//go:build integration && linux

package screencast

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

const patience = 20 * time.Second

// bus is a session bus of a test's own.
func bus(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bus") //nolint:usetesting // a socket's path is at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "bus")
	cmd := exec.CommandContext(context.Background(), "dbus-daemon", "--session", "--address=unix:path="+path,
		"--nofork", "--nopidfile")
	if err := cmd.Start(); err != nil {
		t.Fatalf("needs dbus-daemon: scripts/setup test: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); ; <-tick.C {
		if conn, err := dbus.Connect("unix:path=" + path); err == nil { // its socket is there before it listens
			_ = conn.Close()
			return "unix:path=" + path
		}
		if time.Now().After(limit) {
			t.Fatal("the bus did not start")
		}
	}
}

// fakeMutter is a mutter that does what a test says.
type fakeMutter struct {
	conn   *dbus.Conn
	create func() (dbus.ObjectPath, *dbus.Error)
	record func() (dbus.ObjectPath, *dbus.Error)
	start  func() *dbus.Error
}

const (
	fakeSession = "/org/gnome/Mutter/ScreenCast/Session/u1"
	fakeStream  = "/org/gnome/Mutter/ScreenCast/Stream/u1"
)

// CreateSession, RecordMonitor and Start are mutter's.
func (m *fakeMutter) CreateSession(map[string]dbus.Variant) (dbus.ObjectPath, *dbus.Error) {
	return m.create()
}

func (m *fakeMutter) RecordMonitor(string, map[string]dbus.Variant) (dbus.ObjectPath, *dbus.Error) {
	return m.record()
}

func (m *fakeMutter) Start() *dbus.Error { return m.start() }

func (m *fakeMutter) emit(path dbus.ObjectPath, name string, args ...any) {
	_ = m.conn.Emit(path, name, args...)
}

// fake puts a mutter on a bus that works, unless edit changes it.
func fake(t *testing.T, address string, edit func(m *fakeMutter)) *fakeMutter {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	m := &fakeMutter{conn: conn}
	m.create = func() (dbus.ObjectPath, *dbus.Error) { return fakeSession, nil }
	m.record = func() (dbus.ObjectPath, *dbus.Error) { return fakeStream, nil }
	m.start = func() *dbus.Error {
		m.emit(fakeStream, castStream+".PipeWireStreamAdded", uint32(42))
		return nil
	}
	if edit != nil {
		edit(m)
	}
	for path, of := range map[dbus.ObjectPath]string{castPath: castService, fakeSession: castSession} {
		if err := conn.Export(m, path, of); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.RequestName(castService, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return m
}

// What mutter does wrong ends with a reason and in time. A session that ends says why.
func TestMutterFaults(t *testing.T) {
	failed := func(name string) *dbus.Error { return dbus.NewError(name, []any{"no way"}) }
	for name, tt := range map[string]struct {
		edit   func(m *fakeMutter)
		reason error // nil for a session that opens
	}{
		"works": {nil, nil},
		"no such monitor": {func(m *fakeMutter) {
			m.record = func() (dbus.ObjectPath, *dbus.Error) { return "/", failed("org.freedesktop.DBus.Error.Failed") }
		}, ErrAbsent},
		"refused": {func(m *fakeMutter) {
			m.create = func() (dbus.ObjectPath, *dbus.Error) { return "/", failed("org.freedesktop.DBus.Error.AccessDenied") }
		}, ErrDenied},
		"no stream": {func(m *fakeMutter) { m.start = func() *dbus.Error { return nil } }, ErrSilent},
		"a stream of another kind": {func(m *fakeMutter) {
			m.start = func() *dbus.Error {
				m.emit(fakeStream, castStream+".PipeWireStreamAdded", "forty-two")
				return nil
			}
		}, errAny},
		"no session": {func(m *fakeMutter) {
			m.create = func() (dbus.ObjectPath, *dbus.Error) { return "/elsewhere", nil }
		}, ErrAbsent},
		"it ends while it starts": {func(m *fakeMutter) {
			m.start = func() *dbus.Error {
				m.emit(fakeSession, castSession+".Closed")
				return nil
			}
		}, errAny},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := bus(t)
			m := fake(t, address, tt.edit)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			s, node, err := Record(ctx, address, "DP-1", CursorHidden)
			if tt.reason != nil {
				if err == nil || tt.reason != errAny && !errors.Is(err, tt.reason) { //nolint:errorlint // errAny is a mark
					t.Errorf("got %v; want %v", err, tt.reason)
				}
				return
			}
			if err != nil || node != 42 {
				t.Fatalf("got node %d, %v", node, err)
			}
			defer s.Close()
			answered := make(chan struct{})
			s.Ping(func() { close(answered) })
			<-answered
			m.emit(fakeSession, castSession+".Closed")
			<-s.Lost()
			if s.Err() == nil {
				t.Error("the session does not say why it has ended")
			}
		})
	}
}

// errAny stands for any error.
var errAny = errors.New("any")

// Without mutter, and without a bus, nothing is there. A bus that goes ends the session.
func TestNoMutter(t *testing.T) {
	address := bus(t)
	for _, at := range []string{"", "unix:path=" + t.TempDir() + "/none", address} {
		if _, _, err := Record(t.Context(), at, "DP-1", CursorHidden); !errors.Is(err, ErrAbsent) {
			t.Errorf("on bus %q: got %v; want %v", at, err, ErrAbsent)
		}
		if d, err := OpenDesktop(t.Context(), at); err == nil {
			if _, err := d.Monitors(t.Context()); !errors.Is(err, ErrAbsent) {
				t.Errorf("on bus %q: got %v; want %v", at, err, ErrAbsent)
			}
			d.Close()
		}
	}
	m := fake(t, address, nil)
	s, _, err := Record(t.Context(), address, "DP-1", CursorHidden)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_ = m.conn.Close()
	<-s.Lost()
	if s.Err() == nil {
		t.Error("the session does not say why it has ended")
	}
}

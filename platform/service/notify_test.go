package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// manager listens as systemd does.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Skipf("no datagram sockets in the file system: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 1024)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestNotifierTellsItsState(t *testing.T) {
	conn := manager(t)
	n := NewNotifier(slog.New(slog.DiscardHandler))
	n.Ready()
	n.Status("2 viewers\nREADY=0")
	n.Stopping()
	for _, want := range []string{"READY=1", "STATUS=2 viewers READY=0", "STOPPING=1"} {
		if got := receive(t, conn); got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}

func TestWatchdogSignsOnlyWhileHealthy(t *testing.T) {
	conn := manager(t)
	t.Setenv("WATCHDOG_USEC", "4000")
	t.Setenv("WATCHDOG_PID", "")
	ctx, cancel := context.WithCancel(t.Context())
	var healthy atomic.Bool
	var asked atomic.Int32
	enough, done := make(chan struct{}), make(chan error, 1)
	var signs atomic.Int32
	n := NewNotifier(slog.New(slog.DiscardHandler))
	go func() {
		done <- n.Watchdog(ctx, func() bool {
			if asked.Add(1) == 5 {
				close(enough)
			}
			if healthy.Load() {
				signs.Add(1)
			}
			return healthy.Load()
		})
	}()
	<-enough
	n.Status("still sick") // comes first only if no sign was given so far
	healthy.Store(true)
	for _, want := range []string{"STATUS=still sick", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := receive(t, conn); got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if signs.Load() < 2 {
		t.Errorf("%d signs for two messages", signs.Load())
	}
}

// A manager that does not read blocks nothing forever.
func TestWatchdogEndsBesideAManagerThatDoesNotRead(t *testing.T) {
	conn := manager(t)
	var full error
	for full == nil { // as many as the kernel keeps for one who does not read: ten, or some hundred
		fill, err := net.DialUnix("unixgram", nil, conn.LocalAddr().(*net.UnixAddr))
		if err != nil {
			t.Fatal(err)
		}
		if err := fill.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, full = fill.Write([]byte("STATUS=full")) // of sockets of their own: each has a limit, too
		fill.Close()
	}
	if !errors.Is(full, os.ErrDeadlineExceeded) {
		t.Fatalf("a full socket says %v; want that it has no room", full)
	}
	t.Setenv("WATCHDOG_USEC", "4000")
	t.Setenv("WATCHDOG_PID", "")
	ctx, cancel := context.WithCancel(t.Context())
	asked, done := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		done <- NewNotifier(slog.New(slog.DiscardHandler)).Watchdog(ctx, func() bool {
			select {
			case asked <- struct{}{}:
			default:
			}
			return true
		})
	}()
	<-asked
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
}

func TestWatchdogWithoutManager(t *testing.T) {
	for _, tc := range []struct {
		usec, pid, want string
	}{
		{"", "", ""},
		{"1000", "1", ""}, // another process's
		{"soon", "", "service: watchdog: error converting WATCHDOG_USEC"},
	} {
		t.Setenv("WATCHDOG_USEC", tc.usec)
		t.Setenv("WATCHDOG_PID", tc.pid)
		err := NewNotifier(slog.New(slog.DiscardHandler)).Watchdog(t.Context(), func() bool {
			t.Error("asked for its health")
			return true
		})
		switch {
		case tc.want == "" && err != nil, tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)):
			t.Errorf("%+v: got %v", tc, err)
		}
	}
}

func TestUnreachableManagerIsLogged(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	var b strings.Builder
	NewNotifier(slog.New(slog.NewTextHandler(&b, nil))).Ready()
	if !strings.Contains(b.String(), `msg="service manager not notified" message="READY=1"`) {
		t.Errorf("logged %q", b.String())
	}
}

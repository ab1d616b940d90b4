//go:build integration && linux

package desktop

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"wavryhost/platform/child"
	"wavryhost/platform/xproto"
)

// with lists the processes that have an entry in their environment.
func with(t *testing.T, entry string) (all []int) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		environ, _ := os.ReadFile(path) // it may have ended
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil &&
			slices.Contains(strings.Split(string(environ), "\x00"), entry) {
			all = append(all, pid)
		}
	}
	return all
}

// opens reports whether a display accepts the cookie in a file.
func opens(t *testing.T, address, authority string) bool {
	t.Helper()
	c, err := xproto.Dial(t.Context(), address, []string{authority})
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Two displays run side by side. Neither opens with the cookie of the other one, the crash of one server leaves the
// other one alone, and nothing is left of a display that has ended, not even what its programs put into the background.
func TestTwoRealDisplays(t *testing.T) {
	if err := child.Adopt(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "desktop")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	socket := filepath.Join(dir, "s")
	ln, err := Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- NewSupervisor(log).Run(ctx, ln) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the supervisor ended with %v", err)
		}
	}()

	hold := func(id string, programs ...[]string) (*OnDemand, func()) {
		o := NewOnDemand(Config{
			Socket: socket, ID: id, Width: 320, Height: 240, Keep: time.Millisecond, Programs: programs,
		}, log)
		t.Cleanup(func() { _ = o.Close() })
		release, err := o.Hold(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		return o, release
	}
	ann, leave := hold("virtual:ann", []string{"sh", "-c", "setsid sleep 9876 & exec sleep 9877"})
	ben, _ := hold("virtual:ben", []string{"xclock"}, []string{"no-such-program"})
	a, keyA := ann.Address()
	b, keyB := ben.Address()
	if a == b || keyA == keyB {
		t.Fatalf("displays %s with %s and %s with %s", a, keyA, b, keyB)
	}
	for _, c := range []struct {
		address, authority string
		want               bool
	}{{a, keyA, true}, {b, keyB, true}, {a, keyB, false}, {b, keyA, false}} {
		if got := opens(t, c.address, c.authority); got != c.want {
			t.Errorf("%s with %s: opens %v; want %v", c.address, c.authority, got, c.want)
		}
	}
	until(t, "programs run", func() bool {
		return len(with(t, "XAUTHORITY="+keyA)) == 2 && len(with(t, "XAUTHORITY="+keyB)) == 1
	})
	list, err := Ask(t.Context(), socket)
	if err != nil || len(list) != 2 || !slices.Equal(list[1].Missing, []string{"no-such-program"}) {
		t.Errorf("status %+v, %v", list, err)
	}

	before := with(t, "XAUTHORITY="+keyA)
	server := 0
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		line, _ := os.ReadFile(path)
		if strings.HasPrefix(string(line), "Xvfb\x00"+b+"\x00") && strings.Contains(string(line), keyB) {
			server, _ = strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	if err := syscall.Kill(server, syscall.SIGKILL); err != nil || server == 0 {
		t.Fatalf("kill the server %d: %v", server, err)
	}
	until(t, "the other server is back", func() bool {
		return !slices.Contains(with(t, "XAUTHORITY="+keyB), server) && opens(t, b, keyB)
	})
	if !slices.Equal(with(t, "XAUTHORITY="+keyA), before) || !opens(t, a, keyA) {
		t.Error("the crash of one server has changed the other display")
	}

	leave()
	until(t, "nothing is left of the display", func() bool {
		_, err := os.Stat(keyA)
		return os.IsNotExist(err) && len(with(t, "XAUTHORITY="+keyA)) == 0
	})
	if !opens(t, b, keyB) {
		t.Error("the end of one display has ended the other one")
	}
}

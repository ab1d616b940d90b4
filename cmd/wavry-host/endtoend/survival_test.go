//go:build integration

package endtoend

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wavryhost/platform/desktop"
	"wavryhost/platform/xproto"
)

// outliving is a daemon with a virtual display that outlives it.
type outliving struct {
	options hostOptions
	socket  string
}

func newOutliving(t *testing.T) *outliving {
	t.Helper()
	need(t, "Xvfb", "xterm", "xclock")
	ln, err := net.Listen("tcp", "127.0.0.1:0") // both daemons have the same address
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	dir, err := os.MkdirTemp("", "wavry-survival-")
	if err != nil {
		t.Fatal(err)
	}
	o := &outliving{socket: filepath.Join(dir, "control.sock")}
	o.options = hostOptions{
		listen: address, token: "survival-survival-survival",
		env: []string{
			"DISPLAY=", "WAVRY_HOST_AUTH__TOKEN=survival-survival-survival", "STATE_DIRECTORY=" + dir,
		},
		args: []string{"--display", "virtual", "displays.virtual_keep=10m", "displays.virtual_socket=" + o.socket},
	}
	t.Cleanup(func() {
		_ = exec.Command(hostBinary, "desktop", "end", "--socket", o.socket).Run() // there may be none by now
		_ = os.RemoveAll(dir)
	})
	return o
}

// status describes the desktop.
func (o *outliving) status(t *testing.T) (s desktop.Status) {
	t.Helper()
	out, err := exec.Command(hostBinary, "desktop", "status", "--json", "--socket", o.socket).CombinedOutput()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		t.Fatalf("desktop status: %v: %s", err, out)
	}
	return s
}

// family returns the descendants of a process.
func family(t testing.TB, pid int) (all []int) {
	t.Helper()
	for _, child := range childrenOf(t, pid) {
		all = append(all, child)
		all = append(all, family(t, child)...)
	}
	return all
}

// lasting returns the processes of the desktop that do not come and go: its X server, and its programs' windows.
func lasting(t *testing.T, supervisor int) (pids []int) {
	t.Helper()
	for _, pid := range family(t, supervisor) {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if slices.Contains([]string{"Xvfb", "xterm", "xclock", "xeyes"}, strings.TrimSpace(string(name))) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// keys returns the number of keys that are pressed on the desktop.
func keys(t *testing.T, c *xproto.Conn) (n int) {
	t.Helper()
	const queryKeymap = 44
	reply, err := c.Await(t.Context(), c.Send(queryKeymap, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range reply[8:40] {
		for ; b != 0; b &= b - 1 {
			n++
		}
	}
	return n
}

// A daemon that is killed leaves the desktop as it is, with nothing pressed. The next daemon attaches to it, and the
// page shows it again.
func TestDesktopOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	o := newOutliving(t)
	h := startHost(t, o.options)
	b := openBrowser(t, "", h.page(""))
	b.waitFrames(t, 3, patience)
	before := o.status(t)
	var programs []int
	eventually(t, patience, "the programs run", func() error {
		if programs = lasting(t, before.Supervisor); len(programs) < 3 {
			return fmt.Errorf("processes %v", programs)
		}
		return nil
	})
	if before.Daemons != 1 {
		t.Errorf("%d daemons are attached; want 1", before.Daemons)
	}
	if group, err := syscall.Getpgid(before.Supervisor); err != nil || group == h.Process.Pid {
		t.Errorf("the supervisor is in process group %d, %v; want one of its own", group, err)
	}

	x, err := xproto.Dial(t.Context(), before.Display, []string{before.Authority})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	xtest, err := x.QueryExtension(t.Context(), "XTEST")
	if err != nil {
		t.Fatal(err)
	}
	const keyPress, fakeInput, shiftLeft = 2, 2, 50
	x.Send(xtest.Major, fakeInput, keyPress|shiftLeft<<8, 0, 0, 0, 0, 0, 0, 0) // as the daemon holds it for a viewer
	if n := keys(t, x); n != 1 {
		t.Fatalf("%d keys are pressed; want 1", n)
	}

	if err := h.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	<-h.done
	eventually(t, patience, "the key is released", func() error {
		if n := keys(t, x); n != 0 {
			return fmt.Errorf("%d keys are pressed", n)
		}
		return nil
	})
	t.Logf("keys released %v after the end of the daemon", time.Since(killed).Round(time.Millisecond))

	restarted := time.Now()
	h = startHost(t, o.options)
	ready := time.Now()
	// The page has another connection as soon as another session is there.
	b.waitLive(t, h)
	t.Logf("picture back %v after the start of the next daemon, which was ready after %v",
		time.Since(restarted).Round(time.Millisecond), ready.Sub(restarted).Round(time.Millisecond))

	after := o.status(t)
	if after.Supervisor != before.Supervisor || after.Display != before.Display || !after.Started.Equal(before.Started) {
		t.Errorf("the desktop is %+v; want %+v", after, before)
	}
	if left := lasting(t, after.Supervisor); !slices.Equal(left, programs) {
		t.Errorf("processes %v became %v", programs, left)
	}

	// A restart by the service manager leaves it, too.
	h.stop(t)
	if again := o.status(t); again.Supervisor != before.Supervisor || again.Daemons != 0 {
		t.Errorf("after SIGTERM the desktop is %+v", again)
	}

	// Its own end leaves nothing.
	all := append(family(t, before.Supervisor), before.Supervisor)
	if out, err := exec.Command(hostBinary, "desktop", "end", "--socket", o.socket).CombinedOutput(); err != nil {
		t.Fatalf("desktop end: %v: %s", err, out)
	}
	for _, pid := range all {
		waitGone(t, pid)
	}
	for _, path := range []string{o.socket, before.Authority, "/tmp/.X11-unix/X" + before.Display[1:]} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s after the end: %v; want it gone", path, err)
		}
	}
}

// An update is tried by the running daemon. The restart into it then takes no trial of encoders, leaves the desktop
// alone, and the page shows it again.
func TestUpgradeInPlace(t *testing.T) {
	t.Parallel()
	o := newOutliving(t)
	o.options.program = filepath.Join(t.TempDir(), "wavry-host")
	install := func() { installProgram(t, hostBinary, o.options.program) }
	install()
	h := startHost(t, o.options)
	b := openBrowser(t, "", h.page(""))
	b.waitFrames(t, 3, patience)
	before := o.status(t)
	install()
	if code, body, err := h.send("POST", "/v1/trial", ""); err != nil || code != http.StatusAccepted {
		t.Fatalf("the trial: %d, %v: %s", code, err, body)
	}
	eventually(t, patience, "the installed program is tried", func() error {
		_, body, err := h.request("GET", "/v1/host")
		if err != nil {
			return err
		}
		var host struct {
			Pending bool `json:"restart_pending"`
			Trial   struct {
				State    string
				Problems []string
			}
		}
		if err := json.Unmarshal(body, &host); err != nil {
			return err
		}
		if !host.Pending || host.Trial.State == "failed" {
			t.Fatalf("the trial: %+v", host)
		}
		if host.Trial.State != "passed" {
			return errNotYet
		}
		return nil
	})

	restarted := time.Now()
	h.stop(t)
	stopped := time.Now()
	h = startHost(t, o.options)
	ready := time.Now()
	b.waitLive(t, h)
	t.Logf("picture back %v after the order to restart: stopped after %v, ready again after %v",
		time.Since(restarted).Round(time.Millisecond), stopped.Sub(restarted).Round(time.Millisecond),
		ready.Sub(stopped).Round(time.Millisecond))
	h.waitLog(t, "encoders known from before the start are not tried")
	if after := o.status(t); after.Supervisor != before.Supervisor || after.Display != before.Display {
		t.Errorf("the desktop is %+v; want %+v", after, before)
	}
}

// installProgram puts a copy of a program in its place, as a package manager does. Another process writes it: a process
// of the tests that starts meanwhile would inherit the file, which then could not be started.
func installProgram(t *testing.T, from, to string) {
	t.Helper()
	next := to + ".next"
	if out, err := exec.Command("install", "-m", "755", from, next).CombinedOutput(); err != nil {
		t.Fatalf("copy the program: %v: %s", err, out)
	}
	if err := os.Rename(next, to); err != nil {
		t.Fatal(err)
	}
}

// waitLive waits until the page plays a session of the daemon.
func (b *browser) waitLive(t *testing.T, h *host) {
	t.Helper()
	eventually(t, patience, "the page shows the desktop again", func() error {
		var id string
		if err := b.eval(`window.wavry.session ? window.wavry.session.id : ""`, &id); err != nil {
			return err
		}
		in, err := b.inbound()
		if err != nil {
			return err
		}
		list, err := h.sessions()
		if err != nil {
			return err
		}
		if len(list) != 1 || list[0].ID != id || in.FramesDecoded < 1 {
			return errNotYet
		}
		return nil
	})
}

package display

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func socket(t *testing.T, path string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

// house is a machine of a test's own.
type house struct {
	env Env
	// asked counts the probes of each server.
	mu     sync.Mutex
	asked  map[string]int
	answer map[string]func(context.Context) ([]Screen, error)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{asked: make(map[string]int), answer: make(map[string]func(context.Context) ([]Screen, error))}
	h.env = Env{
		SocketDir: t.TempDir(), RuntimeDir: t.TempDir(), ProcDir: t.TempDir(),
	}
	h.env.X.Probe = func(ctx context.Context, address string, _ []string) ([]Screen, error) {
		h.mu.Lock()
		h.asked[address]++
		answer := h.answer[address]
		h.mu.Unlock()
		if answer == nil {
			return []Screen{{Width: 1280, Height: 720}}, nil
		}
		return answer(ctx)
	}
	return h
}

// server makes the sign of an X server.
func (h *house) server(t *testing.T, number string) {
	t.Helper()
	socket(t, filepath.Join(h.env.SocketDir, "X"+number))
}

func (h *house) says(address string, answer func(context.Context) ([]Screen, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer[address] = answer
}

func (h *house) count(address string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[address]
}

func (h *house) registry() *Registry { return NewRegistry(h.env, slog.New(slog.DiscardHandler)) }

func short(list []Display) (all []string) {
	for _, d := range list {
		all = append(all, fmt.Sprintf("%s %s %dx%d", d.ID, d.State, d.Width, d.Height))
	}
	return all
}

func TestDisplaysAndWhatIsWrongWithThem(t *testing.T) {
	h := newHouse(t)
	h.server(t, "7")
	h.server(t, "10")
	h.server(t, "49")
	h.server(t, "50")
	h.says(":50", func(context.Context) ([]Screen, error) {
		return nil, fmt.Errorf("nobody is there: %w", syscall.ECONNREFUSED)
	}) // left behind
	socket(t, filepath.Join(h.env.RuntimeDir, "wayland-0"))
	for _, name := range []string{"X3", "Xjunk", "other"} { // no sockets, or no displays
		if err := os.WriteFile(filepath.Join(h.env.SocketDir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.env.Display = ":10.0"
	h.says(":7", func(context.Context) ([]Screen, error) { return nil, errors.New("access denied") })
	h.says(":49", func(context.Context) ([]Screen, error) {
		return []Screen{{Width: 640, Height: 480, Why: "depth 8"}, {Width: 800, Height: 600}}, nil
	})
	r := h.registry()
	r.Look(t.Context())
	list := r.List()
	want := []string{
		"x11:10 usable 1280x720",
		"x11:7 unusable 0x0",
		"x11:49 unusable 640x480",
		"x11:49.1 usable 800x600",
		"wayland:wayland-0 unusable 0x0",
	}
	if got := short(list); !slices.Equal(got, want) {
		t.Fatalf("got %q; want %q", got, want)
	}
	if !list[0].Named || list[1].Named || list[1].Why != "access denied" || list[2].Why != "depth 8" ||
		list[3].Address != ":49.1" ||
		list[4].Why == "" {
		t.Errorf("got %+v", list)
	}
}

func TestScreenThatDISPLAYNamesComesFirst(t *testing.T) {
	h := newHouse(t)
	h.server(t, "3")
	h.server(t, "49")
	h.env.Display = "unix:49.1"
	h.says(":49", func(context.Context) ([]Screen, error) {
		return []Screen{{Width: 1, Height: 1}, {Width: 2, Height: 2}}, nil
	})
	r := h.registry()
	r.Look(t.Context())
	if got, want := short(
		r.List(),
	), []string{
		"x11:49.1 usable 2x2", "x11:49 usable 1x1", "x11:3 usable 1280x720",
	}; !slices.Equal(
		got, want,
	) {
		t.Errorf("got %q; want %q", got, want)
	}
}

// What DISPLAY names may be another machine's: it is neither asked nor usable, unless the configuration names it.
func TestServerOfAnotherMachineIsLeftAlone(t *testing.T) {
	for _, name := range []string{"localhost:10.0", "host:0", "[::1]:3", "192.0.2.1:0"} {
		h := newHouse(t)
		h.server(t, "0")
		h.env.Display = name
		r := h.registry()
		r.Look(t.Context())
		list := r.List()
		if len(list) != 2 || list[0].ID != "x11:0" || list[1].State != Unusable || !list[1].Remote ||
			!strings.Contains(list[1].Why, "another machine") {
			t.Errorf("%s: got %+v; want the local server first and this one unusable", name, list)
		}
		if n := h.count(strings.TrimSuffix(name, ".0")); n != 0 {
			t.Errorf("%s was asked %d times", name, n)
		}
		h.env.Wanted = name
		r = h.registry()
		r.Look(t.Context())
		if list := r.List(); len(list) != 2 || list[1].State != Usable || !list[1].Remote {
			t.Errorf("%s, asked for: got %+v; want it usable", name, list)
		}
	}
}

func TestListWithoutDisplays(t *testing.T) {
	h := newHouse(t)
	h.env.SocketDir = filepath.Join(h.env.SocketDir, "none")
	r := h.registry()
	r.Look(t.Context())
	if got := r.List(); len(got) != 0 {
		t.Errorf("displays are %+v; want none", got)
	}
	h.env.Wanted = ":5"
	h.says(":5", func(context.Context) ([]Screen, error) { return nil, errors.New("nothing listens") })
	r = h.registry()
	r.Look(t.Context())
	if got, want := short(r.List()), []string{"x11:5 unusable 0x0"}; !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

// A server that answered is not asked again, because a connection may reset it. If its socket is replaced, it is.
func TestServersAreAskedOnChange(t *testing.T) {
	h := newHouse(t)
	h.server(t, "1")
	r := h.registry()
	r.Look(t.Context())
	now := time.Now()
	for range 1000 {
		now = now.Add(lookInterval)
		if asking := r.look(now); len(asking) > 0 {
			t.Fatal("a server that answered is asked again")
		}
	}
	if err := os.Remove(filepath.Join(h.env.SocketDir, "X1")); err != nil {
		t.Fatal(err)
	}
	r.Look(t.Context())
	if got := r.List(); len(got) != 0 {
		t.Errorf("got %+v; want none", got)
	}
	h.server(t, "1")
	r.Look(t.Context())
	if got, want := short(r.List()), []string{"x11:1 usable 1280x720"}; !slices.Equal(got, want) || h.count(":1") != 2 {
		t.Errorf("got %q after %d probes; want %q after 2", got, h.count(":1"), want)
	}
	r.Again(":1.0")
	r.Look(t.Context())
	if n := h.count(":1"); n != 3 {
		t.Errorf("asked %d times after it could not be opened; want 3", n)
	}
}

// A server that stops answering is slow, not gone, and one whose probe never returns is asked once.
func TestServerThatHangsIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		for _, n := range []string{"1", "2", "3"} {
			if err := os.WriteFile(filepath.Join(h.env.SocketDir, "X"+n), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		release := make(chan struct{})
		h.says(":1", func(ctx context.Context) ([]Screen, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("no answer: %w", ctx.Err())
		})
		h.says(":2", func(context.Context) ([]Screen, error) {
			<-release
			return []Screen{{Width: 640, Height: 480}}, nil
		})
		r := h.registry()
		r.sockets = func(string) map[address]string {
			return map[address]string{{server: ":1"}: "", {server: ":2"}: "", {server: ":3"}: ""}
		}
		began := time.Now()
		r.Look(t.Context())
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the look took %v", took)
		}
		if got, want := short(
			r.List(),
		), []string{
			"x11:1 slow 0x0", "x11:2 slow 0x0", "x11:3 usable 1280x720",
		}; !slices.Equal(
			got, want,
		) {
			t.Errorf("got %q; want %q", got, want)
		}
		for range 60 {
			time.Sleep(lookInterval)
			r.look(time.Now())
		}
		if one, two := h.count(":1"), h.count(":2"); one < 3 || one > 10 || two != 1 {
			t.Errorf("asked %d and %d times in a minute; want with growing pauses, and once", one, two)
		}
		h.says(":1", nil)
		close(release)
		time.Sleep(longestRetry + lookInterval)
		r.Look(t.Context())
		if got, want := short(
			r.List(),
		), []string{
			"x11:1 usable 1280x720", "x11:2 usable 640x480", "x11:3 usable 1280x720",
		}; !slices.Equal(
			got, want,
		) {
			t.Errorf("got %q; want %q", got, want)
		}
	})
}

// A probe that panics, as at a reply that its library does not expect, makes a display that cannot be used.
func TestPanicOfAProbeIsItsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		if err := os.WriteFile(filepath.Join(h.env.SocketDir, "X1"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		h.says(":1", func(context.Context) ([]Screen, error) { panic("planted in a reply") })
		r := h.registry()
		r.sockets = func(string) map[address]string { return map[address]string{{server: ":1"}: ""} }
		r.Look(t.Context())
		if got, want := short(r.List()), []string{"x11:1 unusable 0x0"}; !slices.Equal(got, want) {
			t.Errorf("got %q; want %q", got, want)
		}
	})
}

// A server that refused is asked again as soon as the authority file has other contents.
func TestAuthorityFileIsFollowed(t *testing.T) {
	h := newHouse(t)
	h.server(t, "1")
	h.env.Authority = filepath.Join(t.TempDir(), "authority")
	h.says(":1", func(context.Context) ([]Screen, error) { return nil, errors.New("refused") })
	r := h.registry()
	r.Look(t.Context())
	before := h.count(":1")
	h.says(":1", nil)
	if err := os.WriteFile(h.env.Authority, []byte("cookie"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Look(t.Context())
	if got := short(r.List()); h.count(":1") != before+1 || !slices.Equal(got, []string{"x11:1 usable 1280x720"}) {
		t.Errorf("got %q after %d probes; want it usable after %d", got, h.count(":1"), before+1)
	}
}

// A socket that was left behind costs nothing after a while, until somebody listens there again.
func TestSocketThatWasLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.server(t, "1")
		h.says(":1", func(context.Context) ([]Screen, error) { return nil, syscall.ECONNREFUSED })
		r := h.registry()
		socket := "1"
		r.sockets = func(string) map[address]string { return map[address]string{{server: ":1"}: socket} }
		minute := func() {
			for range 60 {
				r.Look(t.Context())
				time.Sleep(lookInterval)
			}
		}
		minute()
		before := h.count(":1")
		if before < 3 {
			t.Errorf("asked %d times in the first minute; want some, since a server makes its socket before it listens", before)
		}
		minute()
		if n := h.count(":1") - before; n > 0 {
			t.Errorf("asked %d times in the second minute; want none", n)
		}
		h.says(":1", nil)
		socket = "2"
		r.Look(t.Context())
		if got, want := short(r.List()), []string{"x11:1 usable 1280x720"}; !slices.Equal(got, want) {
			t.Errorf("got %q once there is another socket; want %q", got, want)
		}
	})
}

func TestAuthorityOfAServerThatRuns(t *testing.T) {
	proc := t.TempDir()
	for pid, args := range map[string][]string{
		"10": {"/usr/lib/xorg/Xorg", "vt2", "-auth", "/run/user/1000/gdm/Xauthority", ":0", "-nolisten", "tcp"},
		"11": {"xterm", ":1", "-auth", "/no"},
		"12": {"Xvfb", ":2", "-auth", "/tmp/" + virtualPrefix + "123/authority"},
		"13": {"Xtigervnc", ":3", "-auth"},
		"14": {"Xvfb", ":4", "-auth", "relative"},
	} {
		dir := filepath.Join(proc, pid)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cmdline"), []byte(strings.Join(args, "\x00")+"\x00"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/home/ann", filepath.Join(dir, "cwd")); err != nil {
			t.Fatal(err)
		}
	}
	for number, want := range map[int]string{
		0: "/run/user/1000/gdm/Xauthority", 1: "", 2: "", 3: "",
		4: "/home/ann/relative", 5: "", -1: "",
	} {
		if got := serverAuthority(commandLines(proc), number); got != want {
			t.Errorf("display %d: got %q; want %q", number, got, want)
		}
	}
}

func TestListenersOfTheKernel(t *testing.T) {
	got := parseListeners(`Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 35043 /tmp/.X11-unix/X7
0000000000000000: 00000003 00000000 00000000 0001 03 35050 /tmp/.X11-unix/X8
0000000000000000: 00000002 00000000 00010000 0001 01 35042 @/tmp/.X11-unix/X7
0000000000000000: 00000003 00000000 00000000 0001 03 20117
`)
	if len(got) != 2 || !got["/tmp/.X11-unix/X7"] || !got["@/tmp/.X11-unix/X7"] {
		t.Errorf("got %v; want the two that listen", got)
	}
}

// Each monitor of GNOME is a display. Without GNOME on the session bus there is none, and that is asked again.
func TestMonitorsOfGNOME(t *testing.T) {
	h := newHouse(t)
	h.env.Bus = "unix:path=" + filepath.Join(h.env.RuntimeDir, "bus") + ",guid=12"
	var absent atomic.Bool
	absent.Store(true)
	h.env.GNOME.Probe = func(context.Context, string, []string) ([]Screen, error) {
		if absent.Load() {
			return nil, fs.ErrNotExist
		}
		return []Screen{{Monitors: []Monitor{
			{Name: "DP-1", Width: 800, Height: 600, Layout: Layout{Primary: true}}, {Name: "DP-2", Width: 60, Height: 80},
		}}}, nil
	}
	r := h.registry()
	r.Look(t.Context())
	if got := short(r.List()); len(got) != 0 {
		t.Errorf("without GNOME: got %q; want none", got)
	}
	absent.Store(false)
	r.Again(h.env.Bus)
	r.Look(t.Context())
	list := r.List()
	want := []string{"pipewire:gnome@DP-1 usable 800x600", "pipewire:gnome@DP-2 usable 60x80"}
	if got := short(list); !slices.Equal(got, want) {
		t.Fatalf("got %q; want %q", got, want)
	}
	if list[0].Backend != "pipewire" || list[0].Address != h.env.Bus || list[0].Monitor != "DP-1" || !list[0].Primary {
		t.Errorf("got %+v", list[0])
	}
}

// The portal's screen is for desktops on Wayland that cannot be captured directly. It keeps its ID while it waits for a
// person.
func TestScreenOfAPortal(t *testing.T) {
	h := newHouse(t)
	h.env.Bus = "unix:path=" + filepath.Join(h.env.RuntimeDir, "bus")
	var answer, compositor atomic.Pointer[error]
	store := func(p *atomic.Pointer[error], err error) { p.Store(&err) }
	store(&answer, nil)
	store(&compositor, errors.New("no protocol"))
	h.env.Portal.Probe = func(context.Context, string, []string) ([]Screen, error) {
		return []Screen{{}}, *answer.Load()
	}
	h.env.Wayland.Probe = func(context.Context, string, []string) ([]Screen, error) {
		return []Screen{{Monitors: []Monitor{{Name: "DP-1", Width: 800, Height: 600}}}}, *compositor.Load()
	}
	r := h.registry()
	listed := func(what string, want ...string) []Display {
		t.Helper()
		r.Again(h.env.Bus)
		r.Again(filepath.Join(h.env.RuntimeDir, "wayland-0"))
		r.Look(t.Context())
		list := r.List()
		if got := short(list); !slices.Equal(got, want) {
			t.Errorf("%s: got %q; want %q", what, got, want)
		}
		return list
	}
	listed("without Wayland")
	socket(t, filepath.Join(h.env.RuntimeDir, "wayland-0"))
	list := listed("no other way", "wayland:wayland-0 unusable 0x0", "pipewire:portal usable 0x0")
	if d := list[1]; d.Backend != "pipewire" || d.Address != h.env.Bus || d.Monitor != "" {
		t.Errorf("got %+v", d)
	}
	store(&answer, fmt.Errorf("it waits for consent: %w", context.DeadlineExceeded))
	listed("no person answers", "wayland:wayland-0 unusable 0x0", "pipewire:portal slow 0x0")
	store(&answer, fs.ErrNotExist)
	listed("no portal", "wayland:wayland-0 unusable 0x0")
	store(&answer, nil)
	store(&compositor, nil)
	list = listed("a better way", "wayland:wayland-0@DP-1 usable 800x600", "pipewire:portal unusable 0x0")
	if want := "the desktop is captured directly, as wayland:wayland-0@DP-1"; list[1].Why != want {
		t.Errorf("got %q; want %q", list[1].Why, want)
	}
}

// Each output of a graphics card is a display, behind all others. Without a card there is none. Without a helper a
// display says how to switch it on.
func TestOutputsOfGraphicsCards(t *testing.T) {
	h := newHouse(t)
	h.server(t, "1")
	nodes := t.TempDir()
	h.env.Helper, h.env.Cards = filepath.Join(h.env.RuntimeDir, "helper"), filepath.Join(nodes, "card*")
	runs := false
	h.env.KMS.Probe = func(_ context.Context, socket string, _ []string) ([]Screen, error) {
		if !runs || socket != h.env.Helper {
			return nil, errors.New("switch it on")
		}
		return []Screen{
			{Monitors: []Monitor{{Name: "0000:00:02.0@DP-1", Width: 800, Height: 600}}},
			{Why: "it is switched off", Monitors: []Monitor{{Name: "0000:00:02.0@DP-2"}}},
		}, nil
	}
	r := h.registry()
	listed := func(what string, want ...string) []Display {
		t.Helper()
		r.Again(h.env.Helper)
		r.Look(t.Context())
		list := r.List()
		if got := short(list); !slices.Equal(got, append([]string{"x11:1 usable 1280x720"}, want...)) {
			t.Errorf("%s: got %q; want %q", what, got, want)
		}
		return list
	}
	listed("no card")
	if err := os.WriteFile(filepath.Join(nodes, "card0"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if list := listed("no helper", "kms unusable 0x0"); list[1].Why != "switch it on" {
		t.Errorf("got %+v", list[1])
	}
	runs = true
	list := listed("helper", "kms:0000:00:02.0@DP-1 usable 800x600", "kms:0000:00:02.0@DP-2 unusable 0x0")
	if d := list[1]; d.Backend != "kms" || d.Address != h.env.Helper || d.Monitor != "0000:00:02.0@DP-1" {
		t.Errorf("got %+v", d)
	}
	if list[2].Why != "it is switched off" {
		t.Errorf("got %+v", list[2])
	}
	if err := os.Remove(filepath.Join(nodes, "card0")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.env.Helper, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	listed("helper without a card", "kms:0000:00:02.0@DP-1 usable 800x600", "kms:0000:00:02.0@DP-2 unusable 0x0")
}

// Each output of a compositor is a display; a compositor that cannot be captured is one with the reason.
func TestOutputsOfACompositor(t *testing.T) {
	h := newHouse(t)
	good, bad := filepath.Join(h.env.RuntimeDir, "wayland-1"), filepath.Join(h.env.RuntimeDir, "wayland-0")
	socket(t, good)
	socket(t, bad)
	h.env.WaylandDisplay = "wayland-1"
	monitors := []Monitor{
		{Name: "DP-1", Width: 800, Height: 600}, {Name: "DP-2", Width: 60, Height: 80, Layout: Layout{X: 800, Rotation: 90}},
	}
	h.env.Wayland.Probe = func(_ context.Context, socket string, _ []string) ([]Screen, error) {
		if socket == bad {
			return nil, errors.New("no protocol")
		}
		return []Screen{{Monitors: monitors}}, nil
	}
	watched := make(chan func([]Screen), 1)
	h.env.Wayland.Watch = func(ctx context.Context, _ string, _ []string, report func([]Screen)) error {
		watched <- report
		<-ctx.Done()
		return ctx.Err()
	}
	r := h.registry()
	r.Look(t.Context())
	want := []string{
		"wayland:wayland-1@DP-1 usable 800x600", "wayland:wayland-1@DP-2 usable 60x80", "wayland:wayland-0 unusable 0x0",
	}
	list := r.List()
	if got := short(list); !slices.Equal(got, want) {
		t.Fatalf("got %q; want %q", got, want)
	}
	if list[1].X != 800 || list[1].Rotation != 90 || list[1].Address != good || list[1].Monitor != "DP-2" ||
		list[2].Why != "no protocol" {
		t.Errorf("got %+v", list)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	changes := make(chan struct{}, 100)
	running.Go(func() { r.Run(ctx, func() { changes <- struct{}{} }) })
	report := <-watched
	report([]Screen{{}})
	for {
		<-changes
		if got := short(r.List()); slices.Contains(got, "wayland:wayland-1 unusable 0x0") {
			return
		}
	}
}

// Package display tells which displays a machine has, and makes a virtual one where there is none.
package display

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Display is what could be captured.
type Display struct {
	// ID names it in requests and configuration: "x11:0".
	ID string
	// Name is for people.
	Name string
	// Backend is what captures it: "x11" or "wayland".
	Backend string
	// Address is what the backend connects to: ":0", or a socket's path.
	Address string
	// Width and Height are in pixels, 0 when it is not usable.
	Width, Height int
	Usable        bool
	// Why tells what is missing where it is not usable.
	Why string
}

// Env is where displays are looked for.
type Env struct {
	// Display and WaylandDisplay are the variables of these names, upper case.
	Display, WaylandDisplay string
	// RuntimeDir is XDG_RUNTIME_DIR.
	RuntimeDir string
	// SocketDir is where X servers listen. It defaults to /tmp/.X11-unix.
	SocketDir string
	// Probe connects to an X display and returns its size in pixels.
	Probe func(ctx context.Context, address string) (width, height int, err error)
}

// probeTime bounds one Probe: a server that does not answer must not keep the others from being listed.
const probeTime = 2 * time.Second

// List returns the displays in the order of their numbers, the one that DISPLAY names first. No display is no error.
func List(ctx context.Context, env Env) []Display {
	if env.SocketDir == "" {
		env.SocketDir = defaultSocketDir
	}
	var list []Display
	for _, address := range xAddresses(env) {
		list = append(list, Display{ID: "x11" + address, Name: "X display " + address, Backend: "x11", Address: address})
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var wg sync.WaitGroup
	for i := range list {
		wg.Go(func() { probe(ctx, env, &list[i]) })
	}
	wg.Wait()
	for _, path := range waylandSockets(env) {
		list = append(list, Display{
			ID: "wayland:" + filepath.Base(path), Name: "Wayland display " + filepath.Base(path), Backend: "wayland", Address: path,
			Why: "Wayland displays cannot be captured by this version; an X display (Xorg, Xvfb) or --display virtual can",
		})
	}
	return list
}

func probe(ctx context.Context, env Env, d *Display) {
	width, height, err := env.Probe(ctx, d.Address)
	if err != nil {
		d.Why = err.Error()
		return
	}
	d.Width, d.Height, d.Usable = width, height, true
}

// xAddresses returns the addresses of local X servers by their sockets, and the one that DISPLAY names first.
func xAddresses(env Env) []string {
	entries, err := os.ReadDir(env.SocketDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		entries = nil
	}
	var numbers []int
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), "X")
		if n, err := strconv.Atoi(name); ok && err == nil && n >= 0 && e.Type()&fs.ModeSocket != 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	var list []string
	if env.Display != "" {
		list = append(list, address(env.Display))
	}
	for _, n := range numbers {
		if a := fmt.Sprintf(":%d", n); !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// address returns DISPLAY without the screen number where it is 0: ":0.0" is ":0".
func address(display string) string { return strings.TrimSuffix(display, ".0") }

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

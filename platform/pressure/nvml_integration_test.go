//go:build integration && cgo && linux

package pressure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// build compiles testdata/nvml.c, and returns a reader of it.
func build(t *testing.T, flags ...string) (*nvidia, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), libraryName)
	args := append([]string{"-shared", "-fPIC", "-Wall", "-Werror", "-o", path, "testdata/nvml.c"}, flags...)
	if out, err := exec.CommandContext(t.Context(), "gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	lib := newLibrary(path)
	t.Cleanup(lib.unload)
	return &nvidia{lib: lib}, path
}

// mapped reports whether this process has a library loaded.
func mapped(t *testing.T, path string) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(maps, []byte(path))
}

var (
	full = GPU{
		ID:          "nvidia0",
		Name:        "NVIDIA Test",
		API:         "nvenc",
		Busy:        .41,
		Encoder:     .87,
		MemoryUsed:  3 << 30,
		MemoryTotal: 24 << 30,
		Sessions:    5,
	}
	mute = GPU{ID: "nvidia1", Name: strings.Repeat("x", 95), API: "nvenc"}
)

func TestLibrary(t *testing.T) {
	with := func(change func(*GPU)) []GPU {
		c := full
		change(&c)
		return []GPU{c, mute}
	}
	for name, c := range map[string]struct {
		flags []string
		want  []GPU
	}{
		"whole":            {nil, with(func(*GPU) {})},
		"without a count":  {[]string{"-DLACKS_STATS"}, with(func(c *GPU) { c.Sessions = 0 })},
		"use not told":     {fail("nvmlDeviceGetUtilizationRates", 3), with(func(c *GPU) { c.Busy = 0 })},
		"encoder not told": {fail("nvmlDeviceGetEncoderUtilization", 3), with(func(c *GPU) { c.Encoder = 0 })},
		"memory not told": {fail("nvmlDeviceGetMemoryInfo", 999), with(func(c *GPU) {
			c.MemoryUsed, c.MemoryTotal = 0,
				0
		})},
		"sessions not told": {fail("nvmlDeviceGetEncoderStats", 3), with(func(c *GPU) { c.Sessions = 0 })},
		"name not told":     {fail("nvmlDeviceGetName", 999), with(func(c *GPU) { c.Name = "NVIDIA" })},
	} {
		t.Run(name, func(t *testing.T) {
			n, path := build(t, c.flags...)
			for range 2 {
				got, err := n.read()
				if err != nil || !reflect.DeepEqual(got, c.want) {
					t.Errorf("%+v, %v; want %+v", got, err, c.want)
				}
			}
			if !mapped(t, path) {
				t.Errorf("%s is not mapped; what was read?", path)
			}
		})
	}
}

func fail(call string, code int) []string {
	return []string{fmt.Sprintf("-DFAIL=%q", call), fmt.Sprintf("-DCODE=%d", code)}
}

func TestLibraryThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		flags       []string
		unsupported bool
	}{
		"no driver":          {fail("nvmlInit_v2", 9), true},
		"does not start":     {fail("nvmlInit_v2", 999), false},
		"does not count":     {fail("nvmlDeviceGetCount_v2", 999), false},
		"gives no card":      {fail("nvmlDeviceGetHandleByIndex_v2", 15), false},
		"an old one":         {[]string{"-DLACKS_COUNT"}, true},
		"one that is broken": {[]string{"-DUNRESOLVED"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			n, path := build(t, c.flags...)
			for range 2 {
				got, err := n.read()
				if err == nil || errors.Is(err, ErrUnsupported) != c.unsupported {
					t.Errorf("%+v, %v", got, err)
				}
				t.Log(err)
			}
			if mapped(t, path) {
				t.Errorf("%s stays mapped", path)
			}
		})
	}
	t.Run("no library", func(t *testing.T) {
		text := filepath.Join(t.TempDir(), libraryName)
		if err := os.WriteFile(text, []byte("not a library"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{text, text + ".missing"} {
			if got, err := (&nvidia{lib: newLibrary(path)}).read(); !errors.Is(err, ErrUnsupported) ||
				!strings.Contains(err.Error(), path) {
				t.Errorf("%+v, %v; want one that names %s", got, err, path)
			}
		}
	})
}

// A call that hangs in the driver blocks neither callers nor the end.
func TestLibraryThatHangs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hang")
	n, _ := build(t, fmt.Sprintf("-DHANG=%q", file))
	returned := make(chan struct{}, 100)
	g := newGPUs(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), []driver{{"nvml", func() ([]GPU, error) {
		defer func() { returned <- struct{}{} }()
		return n.read()
	}}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	eventually(t, "the cards", func() bool { return reflect.DeepEqual(g.Read(), []GPU{full, mute}) })
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "cards that hang are forgotten", func() bool { return len(g.Read()) == 0 })
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * gpuPatience):
		t.Errorf("it does not end within %v", 2*gpuPatience)
	}
	for len(returned) > 0 {
		<-returned
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	<-returned // before the library is unloaded
}

// A driver that is installed while the daemon runs is loaded when somebody asks for a look.
func TestLibraryThatComesLater(t *testing.T) {
	_, path := build(t)
	later := path + ".later"
	n := &nvidia{lib: newLibrary(later)}
	answered := make(chan error, 100)
	g := newGPUs(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), []driver{{"nvml", func() ([]GPU, error) {
		cards, err := n.read()
		answered <- err
		return cards, err
	}}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	if err := <-answered; !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v; want that there is none", err)
	}
	if err := os.Rename(path, later); err != nil {
		t.Fatal(err)
	}
	g.Look()
	eventually(t, "the cards", func() bool { return reflect.DeepEqual(g.Read(), []GPU{full, mute}) })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	n.lib.unload()
}

// eventually waits until ok, and fails the test when that takes too long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-limit.C:
			t.Fatalf("%s: not within 30 s", what)
		case <-tick.C:
		}
	}
}

//go:build linux

package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"wavryhost/capture"
	"wavryhost/cmd/wavry-host/config"
	"wavryhost/platform/display"
	"wavryhost/platform/kms"
	"wavryhost/platform/kms/drm"
	"wavryhost/platform/kms/kmstest"
)

// The helper's own process serves a display of the daemon: from the probe to the picture.
func TestOutputOfAGraphicsCardIsCaptured(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	h := kmstest.Serve(t, only(os.Getuid()), k)
	log := slog.New(slog.DiscardHandler)
	d := &displaySearch{displays: display.NewRegistry(display.Env{
		SocketDir: t.TempDir(), RuntimeDir: t.TempDir(), Helper: h.Socket, Cards: h.Socket,
		KMS: display.Client{Probe: probeKMS, Watch: watchKMS},
	}, log)}
	d.displays.Look(t.Context())
	all := d.found()
	if len(all) != 1 || all[0].ID != "kms:0000:00:02.0@HDMI-A-1" || all[0].State != display.Usable ||
		all[0].Width != 64 || !strings.Contains(all[0].Name, "graphics card") {
		t.Fatalf("got %+v", all)
	}
	if _, err := config.Load(config.Sources{Env: []string{"WAVRY_HOST_DISPLAYS__DEFAULT=" + all[0].ID}}); err != nil {
		t.Errorf("an ID that is listed is no setting: %v", err)
	}
	s, err := opener(all[0], &config.Config{}, log)(t.Context(), capture.Demand{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := s.Next(t.Context())
	if err != nil || f.Width != 64 || f.Height != 48 {
		t.Fatalf("got %+v, %v", f, err)
	}
	f.Release()
	c := &catalog{cfg: &config.Config{Input: config.Input{UInput: config.None}}, log: log}
	c.cursor.Store(true)
	if c.input(all[0]) != nil {
		t.Error("got input for an output of a graphics card although it is off")
	}
	if c.cfg.Input.UInput = config.American; c.input(all[0]) == nil {
		t.Error("got no input for an output of a graphics card")
	}
	p, err := c.pointer(all[0])(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if now, err := p.NextPointer(t.Context()); err != nil || now.Display.X != 64 {
		t.Errorf("got %+v, %v", now, err)
	}
}

func TestHelperIsAbsentOrForAnother(t *testing.T) {
	if _, err := probeKMS(t.Context(), filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, errNoHelper) {
		t.Errorf("got %v; want %v", err, errNoHelper)
	}
	h := kmstest.Serve(t, only(os.Getuid()+1), kmstest.New(t, 64, 48))
	_, err := probeKMS(t.Context(), h.Socket, nil)
	if os.Getuid() != 0 && (!errors.Is(err, kms.ErrDenied) || !strings.Contains(err.Error(), "--user")) {
		t.Errorf("got %v; want a refusal", err)
	}
	if os.Getuid() == 0 && err != nil {
		t.Errorf("got %v; want that root is admitted", err)
	}
}

// kms-helper --check says of each output what is read, or why nothing is.
func TestCheckOfGraphicsCards(t *testing.T) {
	good, bad := kmstest.New(t, 64, 48), kmstest.New(t, 64, 48)
	bad.Name = "0000:03:00.0"
	bad.Change(bad.Shown(0), func(f *kmstest.FB) { f.Modifiers[0] = 2<<56 | 1 })
	broken := kmstest.New(t, 64, 48)
	broken.Name = "0000:04:00.0"
	broken.Fail(drm.IoctlGetResources, syscall.EINVAL)
	var out bytes.Buffer
	cfg := kms.HelperConfig{Nodes: func() []kms.Node { return []kms.Node{good.Node(), bad.Node(), broken.Node()} }}
	err := checkCards(t.Context(), &app{stdout: &out}, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"0000:00:02.0@HDMI-A-1  fake    64x48  64x48, read in ", "0000:03:00.0@HDMI-A-1  fake    64x48  no: kms: open",
		"(AMD)", "0000:04:00.0                   0x0    no: list connectors: invalid argument",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got:\n%s\nwant it to say %q", out.String(), want)
		}
	}
	err = checkCards(t.Context(), &app{stdout: &out}, kms.HelperConfig{Nodes: func() []kms.Node { return nil }},
		slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "no graphics card") {
		t.Errorf("got %v", err)
	}
}

// An output of a graphics card takes no input, so that it gives way to any other display of the machine.
func TestGraphicsCardsGiveWay(t *testing.T) {
	card := candidate{ID: "kms:card@DP-1", Backend: "kms", State: display.Usable}
	x := candidate{ID: "x11:0", Backend: "x11", State: display.Usable}
	if id, _ := pick("auto", "", []candidate{card}); id != card.ID {
		t.Errorf("got %s; want the only one", id)
	}
	if id, _ := pick("auto", card.ID, []candidate{x, card}); id != x.ID {
		t.Errorf("got %s; want %s, which has come", id, x.ID)
	}
	if id, _ := pick("auto", card.ID, []candidate{card}); id != card.ID {
		t.Errorf("got %s; want it to stay", id)
	}
}

// The helper's socket replaces a socket without a process, and nothing else.
func TestSocketOfTheHelper(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	first, err := listenForDaemon(t.Context(), path, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenForDaemon(t.Context(), path, os.Getuid()); !errors.Is(err, errSocketInUse) {
		t.Errorf("a socket in use: got %v; want %v", err, errSocketInUse)
	}
	if ln, ok := first.(*net.UnixListener); ok {
		ln.SetUnlinkOnClose(false)
	}
	_ = first.Close()
	again, err := listenForDaemon(t.Context(), path, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	if err := os.WriteFile(path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenForDaemon(t.Context(), path, os.Getuid()); err == nil {
		t.Error("a file is taken for a socket")
	}
	if text, err := os.ReadFile(path); string(text) != "kept" {
		t.Errorf("the file has %q, %v", text, err)
	}
}

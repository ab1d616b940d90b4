//go:build integration

package endtoend

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Chromium decodes AV1. The codec of a session changes in the same track, without a freeze.
func TestTheCodecChangesInABrowser(t *testing.T) {
	// A change takes a frame time. The browser and the encoder share the machine with other tests.
	const most = 2 * time.Second
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.desktop(t)
	config := filepath.Join(t.TempDir(), "config.yaml")
	set := func(mode string) {
		t.Helper()
		if err := os.WriteFile(config, []byte("encoding: {av1: "+mode+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("auto")
	h := startHost(t, hostOptions{args: []string{
		"--config", config, "--display", x.id(), "displays.cursor=false",
	}})
	b := openBrowser(t, "", h.page(""))
	b.waitFrames(t, 1, patience)
	b.waitPicture(t, x)
	first := h.session(t)
	if first.Codec != "H264" {
		t.Errorf("the session begins with %s; want H264", first.Codec)
	}
	scrolling := x.moving(t)
	b.waitFrames(t, 30, patience)
	b.watchFreezes(t)
	for _, c := range []struct{ mode, codec, encoder string }{
		{"always", "AV1", "libaom-av1"}, {"never", "H264", "libx264"}, {"always", "AV1", "libaom-av1"},
	} {
		set(c.mode)
		if status, body, err := h.request("POST", "/v1/reload"); err != nil || status/100 != 2 {
			t.Fatalf("reload: status %d: %s, %v", status, body, err)
		}
		h.waitEncoder(t, c.encoder)
		b.waitFrames(t, 30, patience)
		s := h.session(t)
		if s.ID != first.ID || s.Codec != c.codec || s.CodecReason != "setting" {
			t.Errorf("session %s of %s (%s); want %s of %s", s.ID, s.Codec, s.CodecReason, first.ID, c.codec)
		}
		t.Logf("%s: longest time without a picture: %v", c.codec, b.longestFreeze(t).Round(time.Millisecond))
	}
	if froze := b.longestFreeze(t); froze > most {
		t.Errorf("no picture for %v; want %v at most", froze, most)
	}
	scrolling.kill() // a picture that moves is never that of the display a moment later
	b.waitPicture(t, x)
}

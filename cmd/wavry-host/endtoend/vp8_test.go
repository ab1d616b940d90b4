//go:build integration

package endtoend

import (
	"fmt"
	"testing"
)

// mustBeVP8 checks that the only session is of VP8.
func (h *host) mustBeVP8(t testing.TB) snapshot {
	t.Helper()
	s := h.session(t)
	if s.Codec != "VP8" || s.Encoder != "libvpx" {
		t.Errorf("the session is of %s by %s; want VP8 by libvpx", s.Codec, s.Encoder)
	}
	return s
}

// Browsers whose page takes VP8 alone show the desktop, at rest and while it moves.
func TestVP8InBrowsers(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.desktop(t)
	page := clientPage(t)
	h := startForPage(t, page, x.id(), "displays.cursor=false")
	for name, open := range map[string]func() *browser{
		"Chromium": func() *browser { return openBrowser(t, "", page) },
		"Firefox":  func() *browser { return openFirefox(t, page) },
	} {
		b := open()
		var said string
		watch := fmt.Sprintf(ownClient, h.url+"/whep/default", h.token, `["video"]`, "video/VP8")
		if err := b.eval(watch, &said); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b.waitFrames(t, 1, patience)
		b.waitPicture(t, x)
		s := h.mustBeVP8(t)
		scrolling := x.moving(t)
		b.waitFrames(t, 100, patience)
		h.waitSize(t, x, b.size)
		if status, body, err := h.request("POST", "/v1/sessions/"+s.ID+"/keyframe"); err != nil || status/100 != 2 {
			t.Fatalf("ask for a keyframe: status %d: %s, %v", status, body, err)
		}
		eventually(t, patience, "the keyframe is sent", func() error {
			if h.session(t).KeyframesSent == s.KeyframesSent {
				return errNotYet
			}
			return nil
		})
		b.waitFrames(t, 20, patience)
		scrolling.kill()
		b.waitPicture(t, x)
		if err := b.eval(`window.leave().then(() => "gone")`, &said); err != nil {
			t.Errorf("%s leaves: %v", name, err)
		}
		h.waitEmpty(t)
	}
}

// aiortc decodes VP8 by libvpx, GStreamer depacketizes it by code of its own. Both get the picture, with losses, too.
func TestVP8InReceivers(t *testing.T) {
	t.Parallel()
	for name, program := range map[string]string{"aiortc": aiortc, "GStreamer": gstreamer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchOverLink(t)
			r := startReceiver(t, program, w.viewer, w.host, "vp8")
			r.waitFrames(t, 100)
			r.waitPicture(t, w.x)
			watchLossesRepaired(t, w, r, w.mustBeVP8(t))
			if got := r.leave(t); !got.Rising {
				t.Error("the time stamps of the pictures do not rise")
			}
			w.waitEmpty(t)
		})
	}
}

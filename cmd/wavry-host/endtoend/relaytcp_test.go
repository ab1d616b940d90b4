//go:build integration

package endtoend

import (
	"fmt"
	"testing"
	"time"
)

// A relay that reaches the viewer over TCP holds back what the connection cannot carry, and discards what it cannot
// hold (coturn#1289). Each change of a whole still screen is such a burst: it arrives, and nothing is lost by it.
func TestRelayOverTCP(t *testing.T) {
	t.Parallel()
	r := newRelayed(t)
	x := startX(t, 0, 640, 480) // small, so that the encoder of a busy machine keeps its size
	x.background(t, "#204060")
	const secret = "shared-with-coturn"
	r.relay(t, secret)
	ip(t, "netns", "exec", r.router, "tc", "qdisc", "replace", "dev", "r9", "root",
		"tbf", "rate", "4mbit", "burst", "16kb", "latency", "100ms")
	h := startExposed(t, r.host, r.hostIP, "--display", x.id(), "displays.cursor=false",
		"ice.servers="+fmt.Sprintf("[{urls: ['turn:%s:3478?transport=tcp'], secret: %s}]", r.relayIP, secret))
	b := openBrowser(t, r.viewer, h.page(""))
	b.waitPicture(t, x)
	id := h.session(t).ID
	h.waitPath(t, id, "relay", "")
	for range 4 {
		letters := x.program(t, "xterm", "-geometry", "106x36+0+0", "-fn", "fixed", "-b", "0", "-e", "sh", "-c",
			"head -c 2800 /dev/urandom | base64 -w 105; exec sleep 1000")
		x.waitWindows(t, 1)
		for _, what := range []string{"letters", "nothing"} {
			began := time.Now()
			b.waitPicture(t, x)
			s := h.session(t)
			t.Logf("%s after %v; target %d bit/s, RTT %.3f s, loss %.3f, %s by %s", what,
				time.Since(began).Round(time.Millisecond), s.TargetBitrate, s.RTTSeconds, s.Loss, s.Quality, s.Reason)
			if s.Loss > .02 {
				t.Errorf("%.3f of the packets are lost", s.Loss)
			}
			letters.kill()
		}
	}
	if s := h.session(t); s.ID != id || s.Frozen {
		t.Errorf("session %s became %s, frozen %v", id, s.ID, s.Frozen)
	}
}

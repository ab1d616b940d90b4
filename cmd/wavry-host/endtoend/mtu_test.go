//go:build integration

package endtoend

import (
	"fmt"
	"strings"
	"testing"
)

// largest silently drops all IP packets over the given size on their arrival at the viewer.
func (l *link) largest(t testing.TB, bytes int) {
	t.Helper()
	need(t, "nft")
	ip(t, "netns", "exec", l.viewer, "nft", fmt.Sprintf(
		"add table ip mtu; add chain ip mtu f { type filter hook input priority 0; }; add rule ip mtu f ip "+
			"protocol udp ip length > %d drop", bytes))
}

// On a path that drops packets over 1150 bytes and loses ICMP, the viewer gets a picture, and the log says why packets
// are small.
func TestPathOf1150BytesInABrowser(t *testing.T) {
	l := newLink(t)
	l.largest(t, 1150)
	x := startX(t, 0, 1280, 720)
	x.desktop(t)
	x.moving(t)
	x.waitWindows(t, 3)
	h := startExposed(t, l.host, l.hostIP, "--display", x.id(), "--max-bitrate", "8M")
	b := openBrowser(t, l.viewer, h.page(""))
	b.waitFrames(t, 30, patience)
	if e := h.waitEvent(t, h.session(t).ID, "packet_size"); e.To != "1000" {
		t.Errorf("packets of %s bytes; want 1000", e.To)
	}
	if log := h.out.String(); !strings.Contains(log, "large packets do not arrive") {
		t.Error("the log does not name the cause")
	}
}

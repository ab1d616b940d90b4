package session

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/session/peer"
	"wavryhost/session/peer/peertest"
)

// A viewer sends only mDNS names that nobody resolves, in many requests. The event of its failure says what is
// missing.
func TestViewerOfNamesAlone(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	a, err := h.Create(t.Context(), Offer{Display: "default", SDP: r.offer(true)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		name := fmt.Sprintf("1 1 udp 2122260223 %08x-1c2d-4e3f-8a4b-5c6d7e8f9a0b.local 50000 typ host", i)
		f := peertest.Trickle(name, "1 1 udp 2122260223 printer.local 50000 typ host")
		if _, err := h.Patch(t.Context(), a.ID, a.ETag, f); err != nil {
			t.Fatal(err)
		}
	}
	one, err := h.registry.find(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	one.mu.Lock()
	one.life.connect = 0 // the time to connect is over, however long all that took
	one.mu.Unlock()
	eventually(t, "the viewer is given up", func() bool { return h.events(EventHandshakeFailed) == 1 })
	list, _, _ := h.journal.Events(0)
	for _, e := range list {
		if e.Kind == EventHandshakeFailed.String() && !strings.Contains(e.Error, "has only mDNS candidates and "+
			"no relay") {
			t.Errorf("event %+v", e)
		}
	}
	if n := testutil.ToFloat64(h.met.iceFailures.WithLabelValues(peer.CauseMDNSOnly)); n != 1 {
		t.Errorf("counted %v; want 1", n)
	}
}

package session

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// hostAt returns a candidate of a viewer with an address.
func hostAt(address string) string {
	return fmt.Sprintf("1 1 udp 2122260223 %s 50000 typ host", address)
}

func uuid(n int) string { return fmt.Sprintf("%08x-1c2d-4e3f-8a4b-5c6d7e8f9a0b.local", n) }

func TestCandidatesThatAreTaken(t *testing.T) {
	for _, c := range []struct {
		address string
		want    bool
	}{
		{"192.0.2.1", true},
		{"2001:db8::1", true},
		{uuid(1), true},
		{strings.ToUpper(strings.TrimSuffix(uuid(1), ".local")) + ".local", true},
		{"printer.local", false},
		{".local", false},
		{"a.b.c.local", false},
		{strings.Repeat("a", 36) + ".local", false},
		{"x" + uuid(1), false},
		{strings.Replace(uuid(1), "-", ".", 1), false},
		{strings.Repeat("a", 300) + ".local", false},
		{"hidden.invalid", false},
	} {
		all := anywhere()
		if got := all.take([]string{hostAt(c.address)}); (len(got) == 1) != c.want {
			t.Errorf("%s: %q; want taken %v", c.address, got, c.want)
		}
	}
}

// anywhere returns candidates of a viewer who may be anywhere.
func anywhere() *candidates {
	c := &candidates{reaches: Config{}.reaches, limits: newRemoteLimits()}
	c.begin()
	return c
}

func TestCandidatesAreBounded(t *testing.T) {
	all := anywhere()
	for i := range 1000 {
		if list := all.take([]string{hostAt(uuid(i)), hostAt("printer.local")}); (len(list) == 1) != (i < maxNames) {
			t.Fatalf("name %d: %q", i, list)
		}
	}
	if again := all.take([]string{hostAt(uuid(3))}); len(again) != 1 { // over TCP, say
		t.Errorf("a name that is known: %q", again)
	}
	n := 0
	for range 10_000 {
		n += len(all.take([]string{hostAt("192.0.2.1")}))
	}
	if all.told().total() != maxAllCandidates || n != maxAllCandidates-maxNames-1 {
		t.Errorf("%d of 10000 more candidates are taken, %d in all; want %d", n, all.told().total(), maxAllCandidates)
	}
	all.begin()
	if k := all.told(); k != (kinds{}) {
		t.Errorf("after an ICE restart %+v are counted", k)
	}
}

func TestWhyThereIsNoPath(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range []struct {
		viewer, host kinds
		barren       bool
		want, words  string
	}{
		{kinds{others: 1}, kinds{}, false, causeNoneHere, "this host has no candidates"},
		{kinds{}, kinds{others: 1}, false, causeNoCandidates, "the viewer told no candidates"},
		{kinds{refused: 3}, kinds{others: 1}, false, causeRefused, "none of the viewer's 3 addresses"},
		{kinds{names: 2}, kinds{relays: 1}, false, causeNames, "this host has only relays"},
		{kinds{names: 2}, kinds{others: 1}, false, causeNames, "only mDNS candidates and no relay"},
		{kinds{names: 2, relays: 1}, kinds{others: 1}, true, causeNoRelay, "no relay gave this host an address"},
		{kinds{others: 2, relays: 1}, kinds{others: 1, relays: 1}, false, causeNoPath, "2 addresses, 0 mDNS names and 1 relays"},
	} {
		got, err := whyNoPath(c.viewer, c.host, c.barren)
		if got != c.want || !strings.Contains(err.Error(), c.words) {
			t.Errorf("viewer %+v, host %+v: %s, %v; want %s", c.viewer, c.host, got, err, c.want)
		}
		seen[got] = true
	}
	if len(seen) != len(iceCauses) {
		t.Errorf("%v were given; want each of %v", seen, iceCauses)
	}
}

// A viewer that tells only names that nobody knows, in as many requests as it likes, has no more than a few looked up, and the event of its failure says what
// it lacked.
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
		f := fragment{candidates: []string{hostAt(uuid(2 * i)), hostAt(uuid(2*i + 1)), hostAt("printer.local")}}
		if _, err := h.Patch(t.Context(), a.ID, a.ETag, f.String()); err != nil {
			t.Fatal(err)
		}
	}
	h.Manager.mu.Lock()
	one, err := h.find(a.ID)
	h.Manager.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if k := one.peer.theirs.told(); k != (kinds{names: maxNames}) {
		t.Errorf("%+v are used; want %d names", k, maxNames)
	}
	one.mu.Lock()
	one.life.connect = 0 // the time to connect is over, however long all that took
	one.mu.Unlock()
	eventually(t, "the viewer is given up", func() bool { return h.events(EventHandshakeFailed) == 1 })
	list, _, _ := h.Events(0)
	for _, e := range list {
		if e.Kind == EventHandshakeFailed.String() && !strings.Contains(e.Error, "shows only mDNS candidates and no relay") {
			t.Errorf("event %+v", e)
		}
	}
	if n := testutil.ToFloat64(h.met.iceFailures.WithLabelValues(causeNames)); n != 1 {
		t.Errorf("counted %v; want 1", n)
	}
}

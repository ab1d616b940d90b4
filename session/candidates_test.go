package session

import (
	"errors"
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
		var all candidates
		all.begin()
		got, err := all.take([]string{hostAt(c.address)})
		if err != nil || (len(got) == 1) != c.want {
			t.Errorf("%s: %q, %v; want taken %v", c.address, got, err, c.want)
		}
	}
}

func TestCandidatesAreBounded(t *testing.T) {
	var all candidates
	all.begin()
	for i := range 1000 {
		list, err := all.take([]string{hostAt(uuid(i)), hostAt("printer.local")})
		if err != nil || (len(list) == 1) != (i < maxNames) {
			t.Fatalf("name %d: %q, %v", i, list, err)
		}
	}
	again, err := all.take([]string{hostAt(uuid(3))}) // over TCP, say
	if err != nil || len(again) != 1 {
		t.Errorf("a name that is known: %q, %v", again, err)
	}
	n := all.told().total()
	for ; err == nil && n < 10_000; n++ {
		_, err = all.take([]string{hostAt("192.0.2.1")})
	}
	if !errors.Is(err, ErrBadOffer) || n != maxAllCandidates+1 {
		t.Errorf("%d candidates, then %v; want ErrBadOffer after %d", n, err, maxAllCandidates)
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

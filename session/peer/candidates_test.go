package peer

import (
	"fmt"
	"strings"
	"testing"
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
		if got := all.admit([]string{hostAt(c.address)}); (len(got) == 1) != c.want {
			t.Errorf("%s: %q; want taken %v", c.address, got, c.want)
		}
	}
}

// anywhere returns candidates of a viewer who may be anywhere.
func anywhere() *candidates { return newCandidates((&Config{}).reaches) }

func TestCandidatesAreBounded(t *testing.T) {
	all := anywhere()
	for i := range 1000 {
		if list := all.admit([]string{hostAt(uuid(i)), hostAt("printer.local")}); (len(list) == 1) != (i < maxNames) {
			t.Fatalf("name %d: %q", i, list)
		}
	}
	if again := all.admit([]string{hostAt(uuid(3))}); len(again) != 1 { // over TCP, say
		t.Errorf("a name that is known: %q", again)
	}
	n := 0
	for range 10_000 {
		n += len(all.admit([]string{hostAt("192.0.2.1")}))
	}
	if all.count().total() != maxAllCandidates || n != maxAllCandidates-maxNames-1 {
		t.Errorf("%d of 10000 more candidates are taken, %d in all; want %d", n, all.count().total(), maxAllCandidates)
	}
	all.begin()
	if k := all.count(); k != (counts{}) {
		t.Errorf("after an ICE restart %+v are counted", k)
	}
}

func TestWhyThereIsNoPath(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range []struct {
		viewer, host counts
		relaysFailed bool
		want, words  string
	}{
		{counts{others: 1}, counts{}, false, CauseNoOwnCandidates, "this host has no candidates"},
		{counts{}, counts{others: 1}, false, CauseNoCandidates, "the viewer sent no candidates"},
		{counts{refused: 3}, counts{others: 1}, false, CauseRefused, "none of the viewer's 3 addresses"},
		{counts{names: 2}, counts{relays: 1}, false, CauseMDNSOnly, "this host has only relays"},
		{counts{names: 2}, counts{others: 1}, false, CauseMDNSOnly, "only mDNS candidates and no relay"},
		{counts{names: 2, relays: 1}, counts{others: 1}, true, CauseNoRelay, "no relay gave this host an address"},
		{
			counts{others: 2, relays: 1},
			counts{others: 1, relays: 1},
			false, CauseNoPath,
			"2 addresses, 0 mDNS names and 1 relays",
		},
	} {
		got, err := whyNoPath(c.viewer, c.host, c.relaysFailed)
		if got != c.want || !strings.Contains(err.Error(), c.words) {
			t.Errorf("viewer %+v, host %+v: %s, %v; want %s", c.viewer, c.host, got, err, c.want)
		}
		seen[got] = true
	}
	if len(seen) != len(Causes()) {
		t.Errorf("%v were given; want each of %v", seen, Causes())
	}
}

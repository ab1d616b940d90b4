package edge

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// usual are the default limits.
func usual() Limits { return Limits{}.WithDefaults() }

func TestFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limits{PerAddress: 20, InAll: 200}.WithDefaults()
		nets := NewLimiter(func() Limits { return l })
		count := func(remote string, n int) (taken int) {
			for range n {
				if nets.Request(time.Now(), remote) == 0 {
					taken++
				}
			}
			return taken
		}
		if n := count("192.0.2.1:1", 5000); n != 5*20 {
			t.Errorf("%d requests of one network at once; want 100", n)
		}
		time.Sleep(time.Second)
		if n := count("192.0.2.1:1", 5000); n != 20 {
			t.Errorf("%d more after a second; want 20", n)
		}
		all := 20
		for n := range 200 {
			all += count(fmt.Sprintf("[2001:db8:0:%x::1]:1", n), 100)
		}
		if all > 2*200 || all < 2*200-20 {
			t.Errorf("%d requests of strangers at once; want 400 at most", all)
		}
		// A known network has a rate of its own, whatever others do, and so has this machine.
		alone := func(form string) string { // an address whose tally is unused
			for n := range 200 {
				remote := fmt.Sprintf(form, n+1)
				if nets.tally(Network(remote)).requests.Unused() {
					return remote
				}
			}
			t.Fatalf("no network of %s has a tally of its own", form)
			return ""
		}
		office := alone("198.51.100.%d:2")
		nets.Valid(time.Now(), office)
		for _, remote := range []string{office, alone("127.0.0.%d:1")} {
			if n := count(remote, 5000); n != 100 {
				t.Errorf("%d requests from %s beside a flood; want 100", n, remote)
			}
		}
	})
}

// No number of strangers takes anything from this machine, whatever the hashes of their networks are.
func TestStrangersTakeNothingFromThisMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limits{PerAddress: 20, InAll: 1_000_000}.WithDefaults()
		nets := NewLimiter(func() Limits { return l })
		for n := range 5000 {
			remote := fmt.Sprintf("[2001:db8:0:%x::1]:1", n)
			for nets.Request(time.Now(), remote) == 0 {
				nets.Wrong(time.Now(), remote)
			}
		}
		for _, remote := range []string{"127.0.0.1:1", "[::1]:1", "@"} {
			if wait := nets.Request(time.Now(), remote); wait > 0 {
				t.Errorf("%s waits %v", remote, wait)
			}
			if wait := nets.Attempt(time.Now(), remote); wait > 0 {
				t.Errorf("an attempt of %s waits %v", remote, wait)
			}
		}
	})
}

// A program on this machine that guesses tokens does not lock out others, which come from other loopback addresses.
func TestLoopbackAddressesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nets := NewLimiter(usual)
		for _, other := range []string{"127.0.0.1:1", "[::1]:1"} {
			nets.Valid(time.Now(), other) // strangers share a tally where chance puts them together
		}
		for range 100 {
			nets.Wrong(time.Now(), "127.0.0.2:1")
		}
		if nets.Attempt(time.Now(), "127.0.0.2:2") == 0 {
			t.Error("127.0.0.2 has attempts without end")
		}
		for _, other := range []string{"127.0.0.1:1", "[::1]:1"} {
			if d := nets.Attempt(time.Now(), other); d != 0 {
				t.Errorf("%s has to wait %v for what 127.0.0.2 did", other, d)
			}
		}
	})
}

// Wrong credentials from thousands of networks fill every tally of unknown networks. A known network has its own tally.
func TestRegularsPayForNobodysAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nets := NewLimiter(usual)
		const office, machine = "198.51.100.1:1", "127.0.0.1:1"
		nets.Valid(time.Now(), office)
		nets.Valid(time.Now(), machine)
		for n := range 40_000 {
			nets.Wrong(time.Now(), fmt.Sprintf("[2001:db8:%x:%x::1]:1", n/100, n%100))
		}
		if nets.Attempt(time.Now(), "203.0.113.9:1") == 0 {
			t.Fatal("the flood does not reach the tallies that strangers share")
		}
		for _, remote := range []string{office, machine} {
			if d := nets.Attempt(time.Now(), remote); d != 0 {
				t.Errorf("%s has to wait %v for what others did", remote, d)
			}
			for range 11 {
				nets.Wrong(time.Now(), remote)
			}
			if nets.Attempt(time.Now(), remote) == 0 {
				t.Errorf("%s has attempts without end", remote)
			}
		}
		// The memory is bounded: the network not seen for longest is forgotten. That does not clear what a network did.
		time.Sleep(time.Millisecond)
		nets.Valid(time.Now(), machine)
		nets.Wrong(time.Now(), "192.0.2.1:1")
		for n := range maxKnown {
			nets.Valid(time.Now(), fmt.Sprintf("[2001:db8:f:%x::1]:1", n))
		}
		if len(nets.known) != maxKnown || nets.known[Network(office)] != nil {
			t.Errorf("%d regulars, the oldest among them: %v", len(nets.known), nets.known[Network(office)] != nil)
		}
	})
}

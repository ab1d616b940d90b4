package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/api/problem"
)

// usual are the limits where nothing is configured.
func usual() Limits { return Limits{}.withDefaults() }

func TestFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limits{PerAddress: 20, InAll: 200}.withDefaults()
		nets := newNetworks(func() Limits { return l })
		count := func(remote string, n int) (taken int) {
			for range n {
				if nets.request(time.Now(), remote) == 0 {
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
		// A regular has its own rate, whatever others do, and so has this machine.
		alone := func(form string) string { // whose tally none of the above has, which chance decides
			for n := range 200 {
				remote := fmt.Sprintf(form, n+1)
				if nets.tally(networkOf(remote)).requests.IsZero() {
					return remote
				}
			}
			t.Fatalf("no network of %s has a tally of its own", form)
			return ""
		}
		office := alone("198.51.100.%d:2")
		nets.right(time.Now(), office)
		for _, remote := range []string{office, alone("127.0.0.%d:1")} {
			if n := count(remote, 5000); n != 100 {
				t.Errorf("%d requests from %s beside a flood; want 100", n, remote)
			}
		}
	})
	s, _ := newServer(t, Config{Limits: Limits{PerAddress: 1}}, healthy())
	last := reply{}
	for n := 0; n < 1000 && last.StatusCode != http.StatusTooManyRequests; n++ { // some are paid for meanwhile
		last = ask{method: "GET", path: "/healthz"}.do(s.Handler())
	}
	if refusal(t, last) != problem.TooManyRequests || last.Header.Get("Retry-After") == "" {
		t.Errorf("%s", last.body)
	}
}

// A program on this machine that guesses does not lock out the others, who come from other addresses of it.
// Who fetches what is large and open to all takes no more of the uplink than a stream does.
func TestLargeAnswersCountForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, Config{Token: token, Limits: Limits{PerAddress: 20, InAll: 200}}, healthy())
		fetch := func(remote string) (taken, size int) {
			for range 60 {
				if r := (ask{method: "GET", path: "/v1/openapi.json", remote: remote}).do(s.Handler()); r.StatusCode == http.StatusOK {
					taken++
					size = len(r.body)
				}
			}
			return taken, size
		}
		_, size := fetch("192.0.2.1:1") // what is allowed at once
		time.Sleep(10 * time.Second)    // the time of 200 requests
		if taken, _ := fetch("192.0.2.1:1"); taken < 2 || taken > 1+200/(1+size/chargedBytes) {
			t.Errorf("a stranger gets %d answers of %d bytes in the time of 200 requests; want one for each %d bytes", taken, size, chargedBytes)
		}
		if taken, _ := fetch("127.0.0.1:1"); taken != 60 {
			t.Errorf("this machine gets %d of 60", taken)
		}
	})
}

func TestLoopbackAddressesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nets := newNetworks(usual)
		for _, other := range []string{"127.0.0.1:1", "[::1]:1"} {
			nets.right(time.Now(), other) // strangers share a tally where chance puts them together
		}
		for range 100 {
			nets.wrong(time.Now(), "127.0.0.2:1")
		}
		if nets.attempt(time.Now(), "127.0.0.2:2") == 0 {
			t.Error("127.0.0.2 has attempts without end")
		}
		for _, other := range []string{"127.0.0.1:1", "[::1]:1"} {
			if d := nets.attempt(time.Now(), other); d != 0 {
				t.Errorf("%s has to wait %v for what 127.0.0.2 did", other, d)
			}
		}
	})
}

// Wrong credentials from thousands of networks fill every tally that strangers share. Who showed right ones has his own.
func TestRegularsPayForNobodysAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nets := newNetworks(usual)
		const office, machine = "198.51.100.1:1", "127.0.0.1:1"
		nets.right(time.Now(), office)
		nets.right(time.Now(), machine)
		for n := range 40_000 {
			nets.wrong(time.Now(), fmt.Sprintf("[2001:db8:%x:%x::1]:1", n/100, n%100))
		}
		if nets.attempt(time.Now(), "203.0.113.9:1") == 0 {
			t.Fatal("the flood does not reach the tallies that strangers share")
		}
		for _, remote := range []string{office, machine} {
			if d := nets.attempt(time.Now(), remote); d != 0 {
				t.Errorf("%s has to wait %v for what others did", remote, d)
			}
			for range 11 {
				nets.wrong(time.Now(), remote)
			}
			if nets.attempt(time.Now(), remote) == 0 {
				t.Errorf("%s has attempts without end", remote)
			}
		}
		// The memory is bounded: who was not seen for longest is forgotten, and nobody pays off by it what he owes.
		time.Sleep(time.Millisecond)
		nets.right(time.Now(), machine)
		nets.wrong(time.Now(), "192.0.2.1:1")
		for n := range maxRegulars {
			nets.right(time.Now(), fmt.Sprintf("[2001:db8:f:%x::1]:1", n))
		}
		if len(nets.regulars) != maxRegulars || nets.regulars[networkOf(office)] != nil {
			t.Errorf("%d regulars, the oldest among them: %v", len(nets.regulars), nets.regulars[networkOf(office)] != nil)
		}
	})
}

// caller is a connection from an address.
type caller struct {
	net.Conn
	from string
}

func (c caller) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

// doorway is a gate whose callers the test makes up.
type doorway struct {
	*gate
	inner  *pipes
	cut    []string
	theirs chan net.Conn
}

func newDoorway(t *testing.T, most, each int) *doorway {
	d := &doorway{inner: newPipes(), theirs: make(chan net.Conn, 1000)}
	d.gate = newGate(d.inner, most, each, newNetworks(usual), func(net.Addr) bool { return false }, func(reason string) { d.cut = append(d.cut, reason) })
	go func() {
		for {
			c, err := d.Accept()
			if err != nil {
				return
			}
			d.theirs <- c
		}
	}()
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// call connects from an address, and returns what was accepted; nil when it was cut.
func (d *doorway) call(from string) *gated {
	ours, theirs := net.Pipe()
	_ = ours
	d.inner.conns <- caller{theirs, from}
	synctest.Wait()
	select {
	case c := <-d.theirs:
		return c.(*gated)
	default:
		return nil
	}
}

// has tells whether a connection still has its place.
func (d *doorway) has(c *gated) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.open[c]
	return ok
}

func TestOneAddressHoldsSomeConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoorway(t, 64, 8)
		var first *gated
		for n := range 8 {
			c := d.call(fmt.Sprintf("[2001:db8::%x]:1", n))
			if c == nil {
				t.Fatalf("connection %d is cut", n)
			}
			c.asked = true // each has a request under way
			if first == nil {
				first = c
			}
		}
		if d.call("[2001:db8::ffff:1]:1") != nil || !slices.Equal(d.cut, []string{cutAddress}) {
			t.Errorf("the ninth of a /64 is taken; cut %v", d.cut)
		}
		if d.call("[2001:db8:0:1::1]:1") == nil {
			t.Error("another /64 pays for it")
		}
		for range 20 {
			if d.call("127.0.0.1:1") == nil {
				t.Fatal("this machine has the limit of an address")
			}
		}
		first.Close()
		first.Close() // gives its place back once only
		silent := d.call("[2001:db8::9]:1")
		if silent == nil || len(d.cut) != 1 {
			t.Errorf("a place that was given back is not there; cut %v", d.cut)
		}
		// One that says nothing makes room for who else is behind that address.
		if d.call("[2001:db8::a]:1") == nil || d.has(silent) || d.cut[1] != cutSilent {
			t.Errorf("a silent connection keeps its place; cut %v", d.cut)
		}
		// One that waits for its next request makes room.
		second := d.call("192.0.2.1:1")
		for range 7 {
			_ = d.call("192.0.2.1:1")
		}
		track(second, http.StateIdle)
		if d.call("192.0.2.1:2") == nil || d.has(second) {
			t.Error("an idle connection of the same address does not make room")
		}
	})
}

// Attackers with many addresses, who send a little now and then or nothing: who has a session gets in, and so does who has none.
func TestSilentConnectionsShutNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoorway(t, 64, 16)
		d.nets.right(time.Now(), "198.51.100.1:1")
		strangers := 64 - 64/keptLocal - 64/keptRegular
		got := 0
		for a := range 20 {
			for range 16 {
				if d.call(fmt.Sprintf("203.0.113.%d:1", a)) != nil {
					got++
				}
			}
		}
		if len(d.open) != strangers {
			t.Errorf("strangers hold %d places of 64; want %d", len(d.open), strangers)
		}
		newcomer := d.call("192.0.2.7:1")
		if newcomer == nil {
			t.Fatal("a newcomer is shut out by who says nothing")
		}
		newcomer.asked = true // it has made its request, and is served
		for a := range 20 {
			for range 16 {
				_ = d.call(fmt.Sprintf("203.0.113.%d:1", a))
			}
		}
		if !d.has(newcomer) {
			t.Error("a connection with a request under way was cut")
		}
		for n := range 64 / keptRegular {
			if d.call("198.51.100.1:2") == nil {
				t.Fatalf("a regular's connection %d is cut", n)
			}
		}
		for n := range 64 / keptLocal {
			if d.call("127.0.0.1:2") == nil {
				t.Fatalf("this machine's connection %d is cut", n)
			}
		}
		if len(d.open) != 64 {
			t.Errorf("%d are open; want 64", len(d.open))
		}
	})
}

// Any user of the machine can connect to it, and none can keep others, or the gateway, from doing so.
func TestThisMachineShutsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoorway(t, 64, 16)
		first := d.call("127.0.0.1:1")
		for n := 1; n < 64-64/keptLocal; n++ {
			if c := d.call(fmt.Sprintf("127.0.0.%d:1", n)); c == nil || !d.has(c) {
				t.Fatalf("this machine's connection %d has no place", n)
			}
		}
		waiting := d.call("127.0.0.1:1")
		if waiting == nil || d.has(waiting) {
			t.Error("one more of this machine does not wait")
		}
		for range 64 / keptLocal {
			if c := d.call("192.0.2.1:1"); c == nil || !d.has(c) {
				t.Fatal("others are shut out by this machine's connections")
			}
		}
		track(first, http.StateIdle)
		if d.has(first) || !d.has(waiting) || !slices.Equal(d.cut, []string{cutIdle}) {
			t.Errorf("one that waits for its next request does not make room for one that waits for its first; cut %v", d.cut)
		}
		track(waiting, http.StateActive)
		track(waiting, http.StateIdle)
		if next := d.call("127.0.0.1:1"); next == nil || !d.has(next) || d.has(waiting) {
			t.Error("an idle connection does not make room for the next one")
		}
		for range 64 {
			if d.call("127.0.0.1:1") == nil {
				t.Fatal("one is cut in place of waiting")
			}
		}
		if d.call("127.0.0.1:1") != nil || d.cut[len(d.cut)-1] != cutFull {
			t.Errorf("there is no end of those that wait; cut %v", d.cut)
		}
	})
}

// The same through the HTTP server: what it knows of a connection decides.
func TestServerCutsWhoHoldsItsConnections(t *testing.T) {
	bubble(t, healthy(), func(ln *pipes) {
		call := func() net.Conn {
			ours, theirs := net.Pipe()
			ln.conns <- caller{theirs, "192.0.2.1:1"}
			time.Sleep(time.Millisecond) // each is a little older than the next
			return ours
		}
		cut := func(c net.Conn) bool {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			return errors.Is(err, io.EOF)
		}
		asked := call()
		_, _ = io.WriteString(asked, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(asked), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = read(t, resp)
		resp.Body.Close()
		var silent []net.Conn
		for range 63 {
			silent = append(silent, call())
		}
		if cut(asked) {
			t.Error("a connection was cut before there were too many")
		}
		silent = append(silent, call())
		if !cut(asked) {
			t.Error("the one that waits for its next request did not make room")
		}
		if c := call(); cut(c) || !cut(silent[0]) || cut(silent[1]) {
			t.Error("the one that has said nothing for longest does not make room for the next")
		}
		time.Sleep(6 * time.Second)
		for _, c := range silent {
			if !cut(c) {
				t.Fatal("one that says nothing is kept")
			}
		}
		if c := call(); cut(c) {
			t.Error("the address is shut out for good")
		}
	})
}

package edge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// caller is a connection from an address.
type caller struct {
	net.Conn
	from string
}

func (c caller) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

// doorway is a Listener with connections made by the test.
type doorway struct {
	*Listener
	limiter *Limiter
	inner   *pipes
	cut     []string
	theirs  chan net.Conn
}

func newDoorway(t *testing.T, most, each int) *doorway {
	d := &doorway{inner: newPipes(), limiter: NewLimiter(usual), theirs: make(chan net.Conn, 1000)}
	d.Listener = NewListener(d.inner, ListenerConfig{
		MaxConnections: most, MaxPerNetwork: each, Known: d.limiter.Known,
		Proxy: func(net.Addr) bool { return false }, Cut: func(reason string) { d.cut = append(d.cut, reason) },
	})
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

// call connects from an address, and returns the accepted connection; nil if it was closed.
func (d *doorway) call(from string) *conn {
	ours, theirs := net.Pipe()
	_ = ours
	d.inner.conns <- caller{theirs, from}
	synctest.Wait()
	select {
	case c := <-d.theirs:
		return c.(*conn)
	default:
		return nil
	}
}

// has reports whether a connection has a place.
func (d *doorway) has(c *conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.open[c]
	return ok
}

func TestOneAddressHoldsSomeConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoorway(t, 64, 8)
		var first *conn
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
		// A silent connection makes room for another of the same network.
		if d.call("[2001:db8::a]:1") == nil || d.has(silent) || d.cut[1] != cutSilent {
			t.Errorf("a silent connection keeps its place; cut %v", d.cut)
		}
		// A connection that waits for its next request makes room.
		second := d.call("192.0.2.1:1")
		for range 7 {
			_ = d.call("192.0.2.1:1")
		}
		Track(second, http.StateIdle)
		if d.call("192.0.2.1:2") == nil || d.has(second) {
			t.Error("an idle connection of the same address does not make room")
		}
	})
}

// Attackers with many addresses, whose connections are silent or nearly so, shut out neither known nor unknown clients.
func TestSilentConnectionsShutNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoorway(t, 64, 16)
		d.limiter.Valid(time.Now(), "198.51.100.1:1")
		strangers := 64 - 64/reservedLocal - 64/reservedKnown
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
		for n := range 64 / reservedKnown {
			if d.call("198.51.100.1:2") == nil {
				t.Fatalf("a regular's connection %d is cut", n)
			}
		}
		for n := range 64 / reservedLocal {
			if d.call("127.0.0.1:2") == nil {
				t.Fatalf("this machine's connection %d is cut", n)
			}
		}
		if len(d.open) != 64 {
			t.Errorf("%d are open; want 64", len(d.open))
		}
	})
}

// Any user of the machine can connect, and none can shut out others, or the gateway.
func TestThisMachineShutsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoorway(t, 64, 16)
		first := d.call("127.0.0.1:1")
		for n := 1; n < 64-64/reservedLocal; n++ {
			if c := d.call(fmt.Sprintf("127.0.0.%d:1", n)); c == nil || !d.has(c) {
				t.Fatalf("this machine's connection %d has no place", n)
			}
		}
		waiting := d.call("127.0.0.1:1")
		if waiting == nil || d.has(waiting) {
			t.Error("one more of this machine does not wait")
		}
		for range 64 / reservedLocal {
			if c := d.call("192.0.2.1:1"); c == nil || !d.has(c) {
				t.Fatal("others are shut out by this machine's connections")
			}
		}
		Track(first, http.StateIdle)
		if d.has(first) || !d.has(waiting) || !slices.Equal(d.cut, []string{cutIdle}) {
			t.Errorf("one that waits for its next request does not make room for one that waits for its first; cut %v",
				d.cut)
		}
		Track(waiting, http.StateActive)
		Track(waiting, http.StateIdle)
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

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

func TestConnectionsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newPipes()
		ln := NewListener(inner, ListenerConfig{
			MaxConnections: 2, MaxPerNetwork: 1, Known: NewLimiter(nil).Known,
			Proxy: func(net.Addr) bool { return false }, Cut: func(string) {},
		})
		defer ln.Close()
		accept := func() net.Conn {
			ours := make(chan net.Conn, 1)
			go func() { ours <- inner.dial() }()
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			mine := <-ours
			t.Cleanup(func() { _ = mine.Close() })
			go func() { _, _ = io.WriteString(mine, "x") }()
			return c
		}
		type result struct {
			n     int
			err   error
			after time.Duration
		}
		reads := func(c net.Conn) <-chan result {
			got := make(chan result, 1)
			began := time.Now()
			go func() {
				n, err := c.Read(make([]byte, 1))
				got <- result{n, err, time.Since(began)}
			}()
			synctest.Wait()
			return got
		}
		first, other, second, third := accept(), accept(), accept(), accept()
		if got := <-reads(first); got.n != 1 {
			t.Errorf("the first: %+v", got)
		}
		waits := reads(second)
		if len(waits) != 0 {
			t.Error("a connection beyond the limit is read")
		}
		first.Close()
		first.Close() // gives its place back once only
		if got := <-waits; got.n != 1 {
			t.Errorf("one that waited has the place of the first: %+v", got)
		}
		if got := <-reads(third); !errors.Is(got.err, os.ErrDeadlineExceeded) || got.after != patience {
			t.Errorf("a connection without a place: %+v; want the end of its patience", got)
		}
		waits = reads(third)
		third.Close()
		if got := <-waits; !errors.Is(got.err, net.ErrClosed) {
			t.Errorf("a connection that was closed meanwhile: %+v", got)
		}
		second.Close()
		other.Close()
		if len(ln.open) != 0 || len(ln.count) != 0 || len(ln.queue) != 0 {
			t.Errorf("%d are open and %d wait after the end", len(ln.open), len(ln.queue))
		}
	})
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

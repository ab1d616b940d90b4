package session

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// tcpPerAddress is how many TCP connections for media one address may have: a few viewers behind one NAT, each of which opens
	// one or two. Of IPv6 a network of 64 bits counts as an address.
	tcpPerAddress = 16
	// tcpFirst is how long a connection may take to its first packet, and tcpWrite how long it may take nothing in.
	tcpFirst = 5 * time.Second
	tcpWrite = 5 * time.Second
	// tcpQueue is how many bytes wait for a slow reader, beside what the system keeps: 200 ms at 20 Mbit/s. What comes beyond is
	// dropped, as on a network.
	tcpQueue = 512 << 10
)

// Why a TCP connection for media is cut. The set is closed: it labels a metric.
const (
	cutAddress = "address" // its address has as many as it may have
	cutFull    = "full"    // all places are taken
	cutSilent  = "silent"  // it had said nothing for the longest, and another took its place
)

var cutReasons = []string{cutAddress, cutFull, cutSilent}

// mediaGate is the listener of media_tcp_port. It accepts so many connections at a time, and so many from one address. Where all
// places are taken, one that has not said anything makes room.
type mediaGate struct {
	net.Listener
	most  int
	count func(reason string)

	mu   sync.Mutex
	open map[*mediaConn]struct{}
	of   map[netip.Prefix]int
}

func newMediaGate(ln net.Listener, most int, count func(reason string)) *mediaGate {
	return &mediaGate{Listener: ln, most: most, count: count, open: make(map[*mediaConn]struct{}), of: make(map[netip.Prefix]int)}
}

// Accept waits for a connection that has a place.
func (g *mediaGate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		m := &mediaConn{Conn: c, gate: g, from: networkOf(c.RemoteAddr()), since: time.Now()}
		victim, reason := g.take(m)
		if reason != "" {
			g.count(reason)
		}
		if victim != nil {
			reset(victim.Conn)
			_ = victim.Close()
		} else if reason != "" {
			reset(c)
			_ = c.Close()
			continue
		}
		return m, nil
	}
}

// reset makes that nothing of a connection stays behind when it is closed.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// take gives m a place. Where that was another's, it returns that one and why it has to go; without a place only the reason.
func (g *mediaGate) take(m *mediaConn) (victim *mediaConn, reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.of[m.from] >= tcpPerAddress:
		return nil, cutAddress
	case len(g.open) >= g.most:
		for c := range g.open {
			if !c.spoke && (victim == nil || g.of[c.from] > g.of[victim.from] || g.of[c.from] == g.of[victim.from] && c.since.Before(victim.since)) {
				victim = c
			}
		}
		if victim == nil {
			return nil, cutFull
		}
		g.remove(victim)
		reason = cutSilent
	}
	g.open[m] = struct{}{}
	g.of[m.from]++
	return victim, reason
}

// remove takes a connection's place away. The caller holds mu.
func (g *mediaGate) remove(c *mediaConn) {
	if _, ok := g.open[c]; !ok {
		return
	}
	delete(g.open, c)
	if g.of[c.from]--; g.of[c.from] == 0 {
		delete(g.of, c.from)
	}
}

// mediaConn is a connection with a place.
type mediaConn struct {
	net.Conn
	gate  *mediaGate
	from  netip.Prefix
	since time.Time
	spoke bool // guarded by the gate
}

// Read notes that the viewer says something.
func (c *mediaConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.gate.mu.Lock()
		c.spoke = true
		c.gate.mu.Unlock()
	}
	return n, err
}

// Write fails when the viewer takes nothing in for a while.
func (c *mediaConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(tcpWrite)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Close gives the place back.
func (c *mediaConn) Close() error {
	c.gate.mu.Lock()
	c.gate.remove(c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// networkOf returns what counts as an address: of IPv6 a network of 64 bits.
func networkOf(a net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := at.Addr().Unmap().WithZone(""), 64
	if ip.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(ip, bits).Masked()
}

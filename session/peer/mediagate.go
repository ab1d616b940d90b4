package peer

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// tcpPerAddress bounds the TCP connections of one address: some viewers behind a NAT, with one or two each. For
	// IPv6 an address means a /64 network.
	tcpPerAddress = 16
	// tcpFirst is the longest wait for the first packet of a connection.
	tcpFirst = 5 * time.Second
	// tcpWrite is the longest time without progress of a write.
	tcpWrite = 5 * time.Second
	// tcpQueue bounds the bytes that wait for a slow reader, in addition to the system's buffer: 200 ms at 20 Mbit/s.
	// More are dropped, as on a network.
	tcpQueue = 512 << 10
)

// The reasons for cutting a TCP connection for media.
const (
	cutAddress = "address" // its address has too many connections
	cutFull    = "full"    // there are too many connections
	cutSilent  = "silent"  // it had sent nothing, and a new connection took its place
)

// CutReasons returns the reasons for cutting a TCP connection.
func CutReasons() []string { return []string{cutAddress, cutFull, cutSilent} }

// mediaGate is the listener of MediaTCPPort. It bounds the connections in all and for each address. If there are too
// many, a new connection replaces a silent one.
type mediaGate struct {
	net.Listener
	limit int
	onCut func(reason string)

	mu        sync.Mutex
	open      map[*mediaConn]struct{}
	byAddress map[netip.Prefix]int
}

func newMediaGate(ln net.Listener, limit int, onCut func(reason string)) *mediaGate {
	return &mediaGate{
		Listener: ln, limit: limit, onCut: onCut,
		open: make(map[*mediaConn]struct{}), byAddress: make(map[netip.Prefix]int),
	}
}

// Accept waits for a connection that is admitted.
func (g *mediaGate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		m := &mediaConn{Conn: c, gate: g, from: networkOf(c.RemoteAddr()), since: time.Now()}
		victim, reason := g.admit(m)
		if reason != "" {
			g.onCut(reason)
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

// reset makes the close of a connection discard unsent data.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// admit adds m. If m replaces another connection, admit returns that one and the reason for cutting it. If m is
// refused, victim is nil and reason is not empty.
func (g *mediaGate) admit(m *mediaConn) (victim *mediaConn, reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.byAddress[m.from] >= tcpPerAddress:
		return nil, cutAddress
	case len(g.open) >= g.limit:
		for c := range g.open {
			if !c.spoke && (victim == nil || g.before(c, victim)) {
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
	g.byAddress[m.from]++
	return victim, reason
}

// before reports whether a is cut before b: its address has more connections, or as many and it is older.
func (g *mediaGate) before(a, b *mediaConn) bool {
	if n, m := g.byAddress[a.from], g.byAddress[b.from]; n != m {
		return n > m
	}
	return a.since.Before(b.since)
}

// remove removes a connection. The caller holds mu.
func (g *mediaGate) remove(c *mediaConn) {
	if _, ok := g.open[c]; !ok {
		return
	}
	delete(g.open, c)
	if g.byAddress[c.from]--; g.byAddress[c.from] == 0 {
		delete(g.byAddress, c.from)
	}
}

// mediaConn is an admitted connection.
type mediaConn struct {
	net.Conn
	gate  *mediaGate
	from  netip.Prefix
	since time.Time
	spoke bool // something was received; the gate's mutex guards it
}

// Read implements net.Conn.
func (c *mediaConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.gate.mu.Lock()
		c.spoke = true
		c.gate.mu.Unlock()
	}
	return n, err
}

// Write implements net.Conn. It fails if the viewer reads nothing for tcpWrite.
func (c *mediaConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(tcpWrite)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Close implements net.Conn.
func (c *mediaConn) Close() error {
	c.gate.mu.Lock()
	c.gate.remove(c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// networkOf returns an IPv4 address, or the /64 network of an IPv6 address.
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

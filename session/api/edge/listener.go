package edge

import (
	"math"
	"net"
	"net/netip"
	"sync"
	"time"
)

// The shares of all connections that are reserved.
const (
	// reservedLocal is for this machine and trusted proxies, so that its operator gets in whatever others do. As many
	// are reserved for others, whatever the users of this machine do.
	reservedLocal = 16
	// reservedKnown is for known networks, which have sessions.
	reservedKnown = 4
)

// patience is how long a connection from this machine waits for a free place.
const patience = 5 * time.Second

// Why a connection is closed. The set is closed: it labels a metric.
const (
	cutAddress = "address" // its network has as many connections as it may have
	cutFull    = "full"    // the server has as many connections as it may have
	cutIdle    = "idle"    // it waited for its next request, and a new connection needed the place
	// It made no request for longest in the network with most connections, and a new one needed it.
	cutSilent = "silent"
)

// CutReasons returns the reasons for which a Listener closes a connection.
func CutReasons() []string { return []string{cutAddress, cutFull, cutIdle, cutSilent} }

// ListenerConfig has the limits of a Listener and what it asks of others.
type ListenerConfig struct {
	// MaxConnections bounds the open connections, MaxPerNetwork the connections of one network.
	MaxConnections, MaxPerNetwork int
	// Known reports whether a network has recently shown a valid credential.
	Known func(netip.Prefix) bool
	// Proxy reports whether a connection comes from a trusted proxy.
	Proxy func(net.Addr) bool
	// Cut counts a closed connection.
	Cut func(reason string)
}

// Listener limits the open connections. Beyond the limit, connections from this machine and from trusted proxies wait,
// without delaying others. Other connections are closed.
type Listener struct {
	net.Listener
	cfg ListenerConfig

	mu    sync.Mutex // guards all following fields, and the fields of conn
	open  map[*conn]struct{}
	count map[netip.Prefix]int // open connections of each network
	queue []*conn              // waiting connections of this machine, the oldest first; at most MaxConnections
}

var _ net.Listener = (*Listener)(nil)

// NewListener returns a Listener that accepts from ln.
func NewListener(ln net.Listener, cfg ListenerConfig) *Listener {
	return &Listener{Listener: ln, cfg: cfg, open: make(map[*conn]struct{}), count: make(map[netip.Prefix]int)}
}

// Accept returns the next connection that has a place or waits for one.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: accepted, owner: l, from: Network(accepted.RemoteAddr().String()), since: time.Now()}
		if l.cfg.Proxy(accepted.RemoteAddr()) {
			c.from = netip.Prefix{} // a proxy has many clients, whose shares are not known here
		}
		victim, reason := l.admit(c)
		if reason != "" {
			l.cfg.Cut(reason)
		}
		if victim != nil {
			_ = victim.Close()
			return c, nil
		}
		if reason == "" {
			return c, nil
		}
		if tcp, ok := accepted.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // leaves no state in the kernel
		}
		_ = accepted.Close()
	}
}

// admit gives c a place, or puts it into the queue. If c takes the place of another connection, admit returns that one
// as the victim, with the reason. If c gets no place, admit returns only the reason.
func (l *Listener) admit(c *conn) (victim *conn, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !local(c.from):
		victim, reason = l.placeFor(c)
	case !l.spare():
		// An idle connection of this machine is closed. The others stay: one of them may be the proxy's.
		victim, reason = l.victim(local, math.MaxInt, cutFull)
		if victim == nil && len(l.queue) < l.cfg.MaxConnections {
			c.placed, c.gone = make(chan struct{}), make(chan struct{})
			l.queue = append(l.queue, c)
			return nil, ""
		}
	}
	if victim != nil {
		l.remove(victim)
	}
	if victim != nil || reason == "" {
		l.add(c)
	}
	return victim, reason
}

// spare reports whether there is a place for one more connection from this machine. The caller holds mu.
func (l *Listener) spare() bool {
	most := l.cfg.MaxConnections
	return l.taken(local) < most-most/reservedLocal && len(l.open) < most
}

// taken returns the number of open connections of some networks. The caller holds mu.
func (l *Listener) taken(of func(netip.Prefix) bool) (sum int) {
	for network, n := range l.count {
		if of(network) {
			sum += n
		}
	}
	return sum
}

// placeFor finds a place for a connection from another machine: a free one, or that of a victim. The caller holds mu.
func (l *Listener) placeFor(c *conn) (victim *conn, reason string) {
	if l.count[c.from] >= l.cfg.MaxPerNetwork {
		return l.victim(func(network netip.Prefix) bool { return network == c.from }, 0, cutAddress)
	}
	// rivals are the networks that c competes with.
	most := l.cfg.MaxConnections
	limit, rivals := most-most/reservedLocal, func(network netip.Prefix) bool { return !local(network) }
	if !l.cfg.Known(c.from) {
		limit -= most / reservedKnown
		rivals = func(network netip.Prefix) bool { return !l.cfg.Known(network) }
	}
	if l.taken(rivals) < limit && len(l.open) < most {
		return nil, ""
	}
	return l.victim(rivals, l.count[c.from], cutFull)
}

// victim returns the connection that must make room, among some networks: the one with the longest wait for its next
// request. Otherwise it is the oldest without any request, in the network with most connections, if that network has
// more than so many. A client that needs a connection sends a request within a moment; a client that only occupies the
// place loses it. Without a victim it returns none as the reason. The caller holds mu.
func (l *Listener) victim(of func(netip.Prefix) bool, more int, none string) (found *conn, reason string) {
	for c := range l.open {
		switch {
		case !of(c.from):
		case !c.idle.IsZero():
			if reason != cutIdle || c.idle.Before(found.idle) {
				found, reason = c, cutIdle
			}
		case reason == cutIdle || c.asked || l.count[c.from] <= more:
		case found == nil || l.count[c.from] > l.count[found.from] ||
			l.count[c.from] == l.count[found.from] && c.since.Before(found.since):
			found, reason = c, cutSilent
		}
	}
	if found == nil {
		return nil, none
	}
	return found, reason
}

// add gives c a place. The caller holds mu.
func (l *Listener) add(c *conn) {
	l.open[c] = struct{}{}
	l.count[c.from]++
}

// remove takes c's place away, if it has one. The caller holds mu.
func (l *Listener) remove(c *conn) {
	if _, ok := l.open[c]; !ok {
		return
	}
	delete(l.open, c)
	if l.count[c.from]--; l.count[c.from] == 0 {
		delete(l.count, c.from)
	}
}

// release takes c's place away and gives it to the first in the queue. The caller holds mu.
func (l *Listener) release(c *conn) {
	l.remove(c)
	for len(l.queue) > 0 && l.spare() {
		next := l.queue[0]
		l.queue = l.queue[1:]
		l.add(next)
		close(next.placed)
	}
}

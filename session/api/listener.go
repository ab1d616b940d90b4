package api

import (
	"context"
	"crypto/tls"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// The shares of all connections that are kept: for this machine and trusted proxies, so that its operator and they get in whatever others do; as many for others, whatever the users of
// this machine do; and for the networks that right credentials came from lately, which are those with sessions.
const keptLocal, keptRegular = 16, 4

// patience is how long a connection from this machine waits for a place.
const patience = 5 * time.Second

// Why a connection is cut. The set is closed: it labels a metric.
const (
	cutAddress = "address" // its network has as many as it may have
	cutFull    = "full"    // all places are taken
	cutIdle    = "idle"    // it waited for a request, and another took its place
	cutSilent  = "silent"  // it had made no request for the longest, in the network that has most, and another took its place
)

// gate is a listener that accepts only so many connections at a time. Connections from this machine wait when there are too many, as those of a proxy, and hold up nobody while
// they do; those of others are cut.
type gate struct {
	net.Listener
	most, each int
	nets       *networks
	proxy      func(net.Addr) bool // reports whether a connection is a trusted proxy's
	count      func(reason string)

	mu    sync.Mutex // guards all following fields, and those of gated
	open  map[*gated]struct{}
	of    map[netip.Prefix]int // how many each network has
	queue []*gated             // of this machine, in front who waits longest; at most as many as there may be connections
}

var _ net.Listener = (*gate)(nil)

func newGate(ln net.Listener, most, each int, nets *networks, proxy func(net.Addr) bool, count func(reason string)) *gate {
	return &gate{
		Listener: ln, most: most, each: each, nets: nets, proxy: proxy, count: count, open: make(map[*gated]struct{}), of: make(map[netip.Prefix]int),
	}
}

func (l *gate) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := &gated{Conn: c, gate: l, from: networkOf(c.RemoteAddr().String()), since: time.Now()}
		if l.proxy(c.RemoteAddr()) {
			g.from = netip.Prefix{} // its clients are many, and nobody's share of them is known
		}
		victim, reason := l.take(g)
		if reason != "" {
			l.count(reason)
		}
		if victim != nil {
			_ = victim.Close()
			return g, nil
		}
		if reason == "" {
			return g, nil
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // nothing of it stays behind
		}
		_ = c.Close()
	}
}

// take gives g a place, or has it wait for one. Where that is another's, it is returned, and why it has to go; without a place for g only the reason is.
func (l *gate) take(g *gated) (victim *gated, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !local(g.from):
		victim, reason = l.room(g)
	case !l.spare():
		// Of this machine's connections one that waits for its next request makes room. Of the others nobody knows which one is the proxy's.
		victim, reason = l.victim(local, math.MaxInt, cutFull)
		if victim == nil && len(l.queue) < l.most {
			g.placed, g.gone = make(chan struct{}), make(chan struct{})
			l.queue = append(l.queue, g)
			return nil, ""
		}
	}
	if victim != nil {
		l.remove(victim)
	}
	if victim != nil || reason == "" {
		l.add(g)
	}
	return victim, reason
}

// spare tells whether there is a place for one more connection from this machine. The caller holds mu.
func (l *gate) spare() bool {
	taken := 0
	for from, n := range l.of {
		if local(from) {
			taken += n
		}
	}
	return taken < l.most-l.most/keptLocal && len(l.open) < l.most
}

// room looks for a place for a connection from elsewhere. The caller holds mu.
func (l *gate) room(g *gated) (victim *gated, reason string) {
	if own := func(from netip.Prefix) bool { return from == g.from }; l.of[g.from] >= l.each {
		return l.victim(own, 0, cutAddress)
	}
	// Whoever g competes with.
	limit, mates := l.most-l.most/keptLocal, func(from netip.Prefix) bool { return !local(from) }
	if !l.nets.regular(g.from) {
		limit -= l.most / keptRegular
		mates = func(from netip.Prefix) bool { return !l.nets.regular(from) }
	}
	taken := 0
	for from, n := range l.of {
		if mates(from) {
			taken += n
		}
	}
	if taken < limit && len(l.open) < l.most {
		return nil, ""
	}
	return l.victim(mates, l.of[g.from], cutFull)
}

// victim returns the connection that has to go among those of some networks: the one that has waited longest for its next request, or else, of networks that have more than so many,
// the one that has said nothing for longest, of the network that has most. Whoever comes in asks within a moment, and whoever only holds a place gives it up. Where there
// is none, it returns why. The caller holds mu.
func (l *gate) victim(of func(netip.Prefix) bool, more int, none string) (found *gated, reason string) {
	for c := range l.open {
		switch {
		case !of(c.from):
		case !c.idle.IsZero():
			if reason != cutIdle || c.idle.Before(found.idle) {
				found, reason = c, cutIdle
			}
		case reason == cutIdle || c.asked || l.of[c.from] <= more:
		case found == nil || l.of[c.from] > l.of[found.from] || l.of[c.from] == l.of[found.from] && c.since.Before(found.since):
			found, reason = c, cutSilent
		}
	}
	if found == nil {
		return nil, none
	}
	return found, reason
}

// add gives c a place. The caller holds mu.
func (l *gate) add(c *gated) {
	l.open[c] = struct{}{}
	l.of[c.from]++
}

// remove takes c's place away; nothing happens when it has none. The caller holds mu.
func (l *gate) remove(c *gated) {
	if _, ok := l.open[c]; !ok {
		return
	}
	delete(l.open, c)
	if l.of[c.from]--; l.of[c.from] == 0 {
		delete(l.of, c.from)
	}
}

// drop takes c's place away and gives it to who waits for one. The caller holds mu.
func (l *gate) drop(c *gated) {
	l.remove(c)
	for len(l.queue) > 0 && l.spare() {
		next := l.queue[0]
		l.queue = l.queue[1:]
		l.add(next)
		close(next.placed)
	}
}

// gated is a connection with a place, or that waits for one.
type gated struct {
	net.Conn
	gate *gate
	from netip.Prefix
	// placed is closed when it has a place, gone when it was closed; both are nil where it had a place at once.
	placed, gone chan struct{}
	// since is when it was accepted, idle since when it waits for a request, asked whether it has made one.
	since, idle time.Time
	asked       bool
}

// Read waits for the connection's place first. Nothing is read of one that has none.
func (c *gated) Read(p []byte) (int, error) {
	if c.placed == nil {
		return c.Conn.Read(p)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.placed:
		return c.Conn.Read(p)
	case <-c.gone:
		return 0, net.ErrClosed
	case <-timer.C:
		return 0, os.ErrDeadlineExceeded
	}
}

func (c *gated) Close() error {
	err := c.Conn.Close()
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if at := slices.Index(c.gate.queue, c); at >= 0 {
		c.gate.queue = slices.Delete(c.gate.queue, at, at+1)
		close(c.gone)
	}
	c.gate.drop(c)
	return err
}

// gatedOf returns what a server's connection was accepted as; nil when it came by another way.
func gatedOf(c net.Conn) *gated {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if p, ok := c.(*proxyproto.Conn); ok {
		c = p.Raw()
	}
	g, _ := c.(*gated)
	return g
}

// track notes the state of a server's connection.
func track(c net.Conn, state http.ConnState) {
	g := gatedOf(c)
	if g == nil {
		return
	}
	g.gate.mu.Lock()
	g.idle = time.Time{}
	if state == http.StateIdle {
		g.idle = time.Now()
	}
	awaited := state == http.StateIdle && local(g.from) && len(g.gate.queue) > 0
	g.gate.mu.Unlock()
	if awaited {
		g.gate.count(cutIdle)
		_ = g.Close()
	}
}

// gatedKey is where a request's context has its connection.
type gatedKey struct{}

func withGated(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, gatedKey{}, gatedOf(c))
}

// maxBacklog is what a client that follows the events may leave unread, in bytes of the socket's buffer.
const maxBacklog = 64 << 10

// boundBacklog has a client that does not read be noticed by a write that waits. Linux would take megabytes for it.
func boundBacklog(ctx context.Context) {
	g, _ := ctx.Value(gatedKey{}).(*gated)
	if g == nil {
		return
	}
	if tcp, ok := g.Conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(maxBacklog) // the system's own bound counts then
	}
}

// heard notes that a request has come whole, its body apart.
func heard(ctx context.Context) {
	g, _ := ctx.Value(gatedKey{}).(*gated)
	if g == nil {
		return
	}
	g.gate.mu.Lock()
	defer g.gate.mu.Unlock()
	g.asked = true
}

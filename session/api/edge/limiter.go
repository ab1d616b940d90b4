package edge

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"wavryhost/session/api/bucket"
)

const (
	// unknownTallies bounds the memory for unknown networks. Networks whose hashes are equal share a tally.
	unknownTallies = 512
	// machineTallies bounds the memory for addresses of this machine, which share no tally with other machines. Addresses
	// whose last ten bits are equal share one.
	machineTallies = 1024
	// maxKnown bounds the memory for known networks. No host has more networks of viewers and monitors than that.
	maxKnown = 1024
	// chargedBytes of an unauthenticated answer count as one more request. The uplink is for video, and the largest
	// such answer has 200 kB.
	chargedBytes = 8 << 10
)

// Limiter limits requests by the network that they come from. A network is an IPv4 address or an IPv6 /64, because a
// subscriber has a whole /64. A network is known when it has recently shown a valid credential. Known networks are
// counted apart: whatever unknown networks do takes nothing from them.
type Limiter struct {
	limits func() Limits
	seed   maphash.Seed

	mu      sync.Mutex    // guards all following fields
	all     bucket.Bucket // the requests of all unknown networks
	unknown [unknownTallies]tally
	machine [machineTallies]tally
	known   map[netip.Prefix]*tally
}

// tally counts what one known network did, or the unknown networks of one hash.
type tally struct {
	requests, wrong, signatures bucket.Bucket
	seen                        time.Time // when a known network last showed a valid credential
}

// NewLimiter returns a Limiter that asks limits for its limits at each request.
func NewLimiter(limits func() Limits) *Limiter {
	return &Limiter{limits: limits, seed: maphash.MakeSeed(), known: make(map[netip.Prefix]*tally)}
}

// Network returns the network of a remote address. It returns the zero Prefix for a socket of this machine, which has
// no address. Each loopback address is a network of its own: a program on this machine can choose its loopback address,
// so a program that guesses tokens does not lock out the others.
func Network(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	ip := at.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() && !ip.IsLoopback() { // ::/64 is not this machine
		bits = 64
	}
	return netip.PrefixFrom(ip, bits).Masked()
}

// local reports whether a network is this machine.
func local(network netip.Prefix) bool { return !network.IsValid() || network.Addr().IsLoopback() }

// tally returns the tally of a network. The caller holds mu.
func (l *Limiter) tally(network netip.Prefix) *tally {
	if t := l.known[network]; t != nil {
		return t
	}
	if local(network) {
		address := network.Addr().As16() // zeros for an invalid one
		return &l.machine[binary.BigEndian.Uint16(address[14:])%machineTallies]
	}
	return &l.unknown[maphash.Comparable(l.seed, network)%unknownTallies]
}

// Request counts a request. It returns 0, or how long the client must wait; then the request does not count.
func (l *Limiter) Request(now time.Time, remote string) time.Duration {
	from, limits := Network(remote), l.limits()
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally(from)
	if d := t.requests.Wait(now, limits.perAddress()); d > 0 {
		return d
	}
	if !local(from) && l.known[from] == nil {
		if d := l.all.Wait(now, limits.inAll()); d > 0 {
			return d
		}
		l.all.Take(now, limits.inAll(), 1)
	}
	t.requests.Take(now, limits.perAddress(), 1)
	return 0
}

// Charge counts the size of an unauthenticated answer. Answers to this machine do not use the uplink.
func (l *Limiter) Charge(now time.Time, remote string, size int) {
	from, limits, units := Network(remote), l.limits(), size/chargedBytes
	if units == 0 || local(from) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally(from).requests.Take(now, limits.perAddress(), units)
	if l.known[from] == nil {
		l.all.Take(now, limits.inAll(), units)
	}
}

// Attempt returns 0, or how long a network that has shown too many wrong credentials must wait.
func (l *Limiter) Attempt(now time.Time, remote string) time.Duration {
	rate := l.limits().wrong()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tally(Network(remote)).wrong.Wait(now, rate)
}

// Wrong counts a wrong credential.
func (l *Limiter) Wrong(now time.Time, remote string) {
	rate := l.limits().wrong()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally(Network(remote)).wrong.Take(now, rate, 1)
}

// Signature reports whether the server may check a signature for a network that has used up its attempts, and counts
// the check.
func (l *Limiter) Signature(now time.Time, remote string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally(Network(remote))
	if t.signatures.Wait(now, signatureRate) > 0 {
		return false
	}
	t.signatures.Take(now, signatureRate, 1)
	return true
}

// Valid counts a valid credential, which makes the network known. What the network did before still counts.
func (l *Limiter) Valid(now time.Time, remote string) {
	from := Network(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.known[from]; t != nil {
		t.seen = now
		return
	}
	if len(l.known) >= maxKnown {
		oldest := l.oldest()
		if !oldest.IsValid() {
			return // all of them are addresses of this machine
		}
		delete(l.known, oldest)
	}
	t := *l.tally(from)
	t.seen = now
	l.known[from] = &t
}

// oldest returns the known network that has not been seen for longest, other than this machine. The caller holds mu.
func (l *Limiter) oldest() (oldest netip.Prefix) {
	for network, t := range l.known {
		if !local(network) && (!oldest.IsValid() || t.seen.Before(l.known[oldest].seen)) {
			oldest = network
		}
	}
	return oldest
}

// Known reports whether a network has recently shown a valid credential. This machine is always known.
func (l *Limiter) Known(network netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return local(network) || l.known[network] != nil
}

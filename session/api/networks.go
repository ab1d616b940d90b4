package api

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

const (
	// buckets bounds the memory for networks that nobody knows: they share a tally where their hashes do.
	buckets = 512
	// maxRegulars bounds it for those that right credentials came from: more than one host has viewers and monitors.
	maxRegulars = 1024
	// chargedBytes of an answer to whom nobody asked who he is count as one more request: the uplink is for pictures, and the largest such answer has 200 kB.
	chargedBytes = 8 << 10
)

// networks tells what is asked for from where. A network is an IPv4 address or an IPv6 /64, since a subscriber has a whole one. Those that right credentials
// came from lately, the regulars, are told apart from all others: who fills what the others share takes nothing from them.
type networks struct {
	limits func() Limits
	seed   maphash.Seed

	mu       sync.Mutex // guards all following fields
	all      time.Time  // when the requests of all but the regulars are paid for
	others   [buckets]tally
	regulars map[netip.Prefix]*tally
}

// tally is what networks in one bucket, or one regular, did so far: for each kind of deed, when it is paid for.
type tally struct {
	requests, wrong, checks time.Time
	seen                    time.Time // of a regular: when right credentials came last
}

func newNetworks(limits func() Limits) *networks {
	return &networks{limits: limits, seed: maphash.MakeSeed(), regulars: make(map[netip.Prefix]*tally)}
}

// networkOf returns the network of a remote address; the zero Prefix for one that is none, as a socket of this machine has it. Each loopback address is a
// network: programs on this machine can choose theirs, so that one that guesses does not lock the others out.
func networkOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	ip := at.Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(ip, bits).Masked()
}

// local tells whether a network is this machine.
func local(of netip.Prefix) bool { return !of.IsValid() || of.Addr().IsLoopback() }

// tally returns where the deeds of a network are counted. The caller holds mu.
func (n *networks) tally(of netip.Prefix) *tally {
	if t := n.regulars[of]; t != nil {
		return t
	}
	return &n.others[maphash.Comparable(n.seed, of)%buckets]
}

// request takes in a request, and returns 0, or how long it comes too early.
func (n *networks) request(now time.Time, remote string) time.Duration {
	from, l := networkOf(remote), n.limits()
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.tally(from)
	if d := early(now, t.requests, time.Second/time.Duration(l.PerAddress), burstOfAddress*l.PerAddress); d > 0 {
		return d
	}
	if !local(from) && n.regulars[from] == nil {
		if d := early(now, n.all, time.Second/time.Duration(l.InAll), burstInAll*l.InAll); d > 0 {
			return d
		}
		n.all = later(now, n.all, time.Second/time.Duration(l.InAll))
	}
	t.requests = later(now, t.requests, time.Second/time.Duration(l.PerAddress))
	return 0
}

// charge takes in the size of an answer that anybody gets. Those to this machine take nothing of the uplink.
func (n *networks) charge(now time.Time, remote string, size int) {
	from, l, units := networkOf(remote), n.limits(), size/chargedBytes
	if units == 0 || local(from) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.tally(from)
	t.requests = later(now, t.requests, time.Duration(units)*time.Second/time.Duration(l.PerAddress))
	if n.regulars[from] == nil {
		n.all = later(now, n.all, time.Duration(units)*time.Second/time.Duration(l.InAll))
	}
}

// attempt returns 0, or when a network that showed too many wrong credentials may try again.
func (n *networks) attempt(now time.Time, remote string) time.Duration {
	most := n.limits().Attempts
	n.mu.Lock()
	defer n.mu.Unlock()
	return early(now, n.tally(networkOf(remote)).wrong, wrongEvery, most)
}

// wrong takes in a wrong credential.
func (n *networks) wrong(now time.Time, remote string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.tally(networkOf(remote))
	t.wrong = later(now, t.wrong, wrongEvery)
}

// check takes in a signature that is to be checked for a network without attempts, and tells whether it may be.
func (n *networks) check(now time.Time, remote string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.tally(networkOf(remote))
	if early(now, t.checks, checkEvery, checkBurst) > 0 {
		return false
	}
	t.checks = later(now, t.checks, checkEvery)
	return true
}

// right takes in a right credential, which makes the network a regular. It keeps what it owes.
func (n *networks) right(now time.Time, remote string) {
	from := networkOf(remote)
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.regulars[from]; t != nil {
		t.seen = now
		return
	}
	if len(n.regulars) >= maxRegulars {
		var oldest netip.Prefix
		for p, t := range n.regulars {
			if !local(p) && (!oldest.IsValid() || t.seen.Before(n.regulars[oldest].seen)) {
				oldest = p
			}
		}
		if !oldest.IsValid() {
			return // all of them are this machine's
		}
		delete(n.regulars, oldest)
	}
	t := *n.tally(from)
	t.seen = now
	n.regulars[from] = &t
}

// regular tells whether right credentials came from a network lately. This machine always counts as one.
func (n *networks) regular(of netip.Prefix) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return local(of) || n.regulars[of] != nil
}

// early returns how much too early something comes, of which burst may come at once and then one in each; owed is when what came so far is paid for.
func early(now, owed time.Time, each time.Duration, burst int) time.Duration {
	return max(0, owed.Add(-time.Duration(burst-1)*each).Sub(now))
}

// later returns when one more is paid for.
func later(now, owed time.Time, each time.Duration) time.Time {
	if owed.Before(now) {
		owed = now
	}
	return owed.Add(each)
}

package wire

import (
	"time"

	"wavryhost/adapt"
)

// smallerSizes are the packet sizes that are tried, one after the other, where larger packets do not arrive. 1000 bytes pass a path of 1150
// bytes with SRTP, UDP and IPv6 around them, and 576 is the least that IPv4 has to carry.
var smallerSizes = []int{1000, 800, 576}

// How a path that drops large packets is told from one that loses some of all sizes: so many of the largest lost in a row, over so long, while
// so many small ones arrive and few of them are lost. 20 % of random loss look like it once in ten million times.
const (
	largeLost    = 10
	largeLostFor = 250 * time.Millisecond
	smallArrived = 4
)

// packetSize finds out whether packets of the largest size arrive, with media as its probes (RFC 8899, section 4.3). Where no message of
// ICMP comes back, that they never do is all that shows.
type packetSize struct {
	size int // of the largest packets
	// Since one of the largest arrived:
	lost               int       // how many of them were lost
	since              time.Time // when the first of these was reported
	arrived, lostSmall int       // how many others arrived and were lost
}

// smaller returns the next size to try, 0 where there is none.
func (s *packetSize) smaller() int {
	for _, size := range smallerSizes {
		if size < s.size {
			return size
		}
	}
	return 0
}

// report takes in what became of packets. It returns true when packets should be smaller from here on, as they are then.
func (s *packetSize) report(f adapt.Feedback) bool {
	next := s.smaller()
	if next == 0 || f.Kind == adapt.RR || f.Kind == adapt.Echo {
		return false
	}
	for i := range f.Packets {
		switch p := &f.Packets[i]; {
		case p.Size > s.size: // of before
		case p.Size > next && !p.Lost:
			s.begin(s.size)
		case p.Size > next:
			if s.lost++; s.lost == 1 {
				s.since = f.At
			}
		case p.Lost:
			s.lostSmall++
		default:
			s.arrived++
		}
	}
	if s.lost < largeLost || f.At.Sub(s.since) < largeLostFor || s.arrived < smallArrived || s.arrived < 2*s.lostSmall {
		return false
	}
	s.begin(next)
	return true
}

// begin forgets what was counted.
func (s *packetSize) begin(size int) { *s = packetSize{size: size} }

// PacketSize returns the size of the largest packets that are sent at present, in bytes.
func (l *Link) PacketSize() int { return int(l.packetSize.Load()) }

// RestorePacketSize tries packets of the configured size again: the path is another.
func (l *Link) RestorePacketSize() {
	l.receiving.Lock()
	defer l.receiving.Unlock()
	l.sizes.begin(l.cfg.MTU)
	l.packetSize.Store(int64(l.cfg.MTU))
}

// resize takes in what a report says of the packets' sizes. The caller holds receiving.
func (l *Link) resize(r *Report) {
	for _, f := range r.Feedback {
		if l.sizes.report(f) {
			r.Smaller = true
			l.packetSize.Store(int64(l.sizes.size))
		}
	}
	if !r.Smaller {
		return
	}
	// What has the old size does not arrive, however often it is sent.
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resends = nil
}

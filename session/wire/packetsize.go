package wire

import (
	"time"

	"wavryhost/adapt"
)

// smallerSizes are the packet sizes that are tried, one after the other, where larger packets do not arrive. 1000
// bytes pass a path of 1150 bytes with SRTP, UDP and IPv6 around them, and every IPv4 path carries 576.
var smallerSizes = []int{1000, 800, 576}

// A path drops large packets if so many of the largest are lost in a row, over so long, while so many small packets
// arrive and few of them are lost. Random loss of 20 % looks like this once in ten million times.
const (
	largeLost    = 10
	largeLostFor = 250 * time.Millisecond
	smallArrived = 4
)

// packetSize finds out whether packets of the largest size arrive, with media as its probes (RFC 8899, section 4.3).
// Where no message of ICMP comes back, that they never do is all that shows.
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

// report takes a report on packets. It reports whether it has reduced the size of packets.
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
func (s *Sender) PacketSize() int { return int(s.packetSize.Load()) }

// RestorePacketSize tries packets of the configured size again: the path is another.
func (s *Sender) RestorePacketSize() {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	s.sizes.begin(s.cfg.MTU)
	s.packetSize.Store(int64(s.cfg.MTU))
}

// resize takes in what a report says of the packets' sizes. The caller holds receiving.
func (s *Sender) resize(r *Report) {
	for _, f := range r.Feedback {
		if s.sizes.report(f) {
			r.Smaller = true
			s.packetSize.Store(int64(s.sizes.size))
		}
	}
	if !r.Smaller {
		return
	}
	// What has the old size does not arrive, however often it is sent.
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resends = nil
}

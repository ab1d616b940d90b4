package wire

import (
	"time"

	"wavryhost/adapt"
)

// smallerSizes are the packet sizes to try, one after the other, if larger packets do not arrive. 1000 bytes pass a
// path of 1150 bytes with SRTP, UDP and IPv6 headers. 576 is the minimum of IPv4.
var smallerSizes = []int{1000, 800, 576}

// These constants distinguish a path that drops large packets from random loss: so many of the largest are lost in a
// row, over so long, while so many small ones arrive and few of them are lost. 20 % random loss looks like it once in
// ten million times.
const (
	largeLost    = 10
	largeLostFor = 250 * time.Millisecond
	smallArrived = 4
)

// packetSize finds out whether packets of the largest size arrive, with media as its probes (RFC 8899, section 4.3).
// Without ICMP messages, their loss is the only sign.
type packetSize struct {
	size int // of the largest packets
	// Since the last of the largest packets arrived:
	lost               int       // how many of them were lost
	since              time.Time // when the first of these was reported
	arrived, lostSmall int       // how many others arrived and were lost
}

// smaller returns the next size to try; 0 for none.
func (s *packetSize) smaller() int {
	for _, size := range smallerSizes {
		if size < s.size {
			return size
		}
	}
	return 0
}

// report reads feedback. It reports whether packets must be smaller from now on, and then reduces the size.
func (s *packetSize) report(f adapt.Feedback) bool {
	next := s.smaller()
	if next == 0 || f.Kind == adapt.RR || f.Kind == adapt.Echo {
		return false
	}
	for i := range f.Packets {
		switch p := &f.Packets[i]; {
		case p.Size > s.size: // from before the reduction
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

// begin clears the counts.
func (s *packetSize) begin(size int) { *s = packetSize{size: size} }

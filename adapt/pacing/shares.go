package pacing

import "time"

const (
	// mostWaiting bounds the packets that wait to be retransmitted; what comes beyond is asked for again anyway.
	mostWaiting = 512
	// mostCredit is how many bytes may be retransmitted at once before media; beyond it, the two share the rate.
	mostCredit = 15_000
	// LeastAllowance is how many bytes may be retransmitted before media has earned any: a lost burst of 50 packets.
	LeastAllowance = 60_000
)

// Turn is whose packet is the next.
type Turn uint8

// The turns.
const (
	None Turn = iota
	Retransmission
	Media
	Padding
)

// Shares divides a rate between media and retransmissions.
type Shares struct {
	credit int // bytes that may be retransmitted though media waits
	// allowance is how many bytes may be retransmitted at all: as many as media has sent, a second's worth at most.
	allowance int
}

// NewShares returns the shares of a stream that begins.
func NewShares() Shares { return Shares{credit: mostCredit, allowance: LeastAllowance} }

// Turn returns the next turn, of the kinds that wait. Retransmissions go first, since the receiver waits for
// them; when there are many, every second byte is media's, or the picture would stand while the past is repaired.
func (s *Shares) Turn(retransmission, media, padding bool) Turn {
	switch {
	case retransmission && (s.credit > 0 || !media):
		return Retransmission
	case media:
		return Media
	case padding:
		return Padding
	default:
		return None
	}
}

// Sent notes bytes of media that leave, at a rate in bits per second.
func (s *Shares) Sent(bytes, rate int) {
	s.credit = min(max(s.credit, -mostCredit)+bytes, mostCredit)
	s.allowance = min(s.allowance+bytes, max(LeastAllowance, rate/8))
}

// Admit takes bytes that are to be retransmitted, where so many packets wait already, or tells why not.
func (s *Shares) Admit(bytes, waiting int) (Refusal, bool) {
	switch {
	case waiting >= mostWaiting:
		return RefusedFull, false
	case s.allowance < bytes:
		return RefusedShare, false
	}
	s.allowance -= bytes
	return 0, true
}

// Retransmitted notes bytes of a retransmission that leave.
func (s *Shares) Retransmitted(bytes int) { s.credit -= bytes }

// mostBacklog is the most that a pacer may hold, in time, for the next picture to be encoded; it is one frame time
// where that is shorter.
const mostBacklog = 50 * time.Millisecond

// Room reports whether a pacer can take a picture while packets and bytes wait: of the picture before, which had so
// many packets, nothing but the rest may wait, and no more than goes out in a frame time. The rate is the pacer's, in
// bits per second.
func Room(packets, bytes, before, rate, fps int) bool {
	if packets == 0 {
		return true
	}
	limit := min(time.Second/time.Duration(max(fps, 1)), mostBacklog)
	return packets <= before && bytes*8 <= int(float64(rate)*limit.Seconds())
}

package wire

import (
	"time"

	"wavryhost/adapt"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// maxNACKed bounds the packets that one NACK is translated to: one second at 3 Mbit/s.
const maxNACKed = 256

// media returns the SSRC of our media. If the peer's reports do not list packets, it also returns the packets that were
// sent, else nil.
func (s *Sender) media() (ssrc webrtc.SSRC, sent *history) {
	s.mu.Lock()
	track := s.track
	s.mu.Unlock()
	if track == nil {
		return 0, nil
	}
	track.mu.Lock()
	ssrc = track.ssrc
	track.mu.Unlock()
	return ssrc, s.streams.known(uint32(ssrc))
}

// receiverReports translates the report blocks about our media (RFC 3550, section 6.4.1).
func (s *Sender) receiverReports(now time.Time, blocks []rtcp.ReceptionReport) []adapt.Feedback {
	ssrc, sent := s.media()
	if ssrc == 0 {
		return nil
	}
	s.receiving.Lock()
	defer s.receiving.Unlock()
	var list []adapt.Feedback
	for _, b := range blocks {
		if webrtc.SSRC(b.SSRC) != ssrc {
			continue
		}
		f := adapt.Feedback{
			At: now, Kind: adapt.RR, Loss: float64(b.FractionLost) / 256,
			Jitter: time.Duration(b.Jitter) * time.Second / clockRate,
		}
		if b.LastSenderReport != 0 {
			// All three are in 1/65536 s; the middle 32 bits of NTP time wrap every 18 hours.
			rtt := uint32(ntp64(now)>>16) - b.LastSenderReport - b.Delay // the middle 32 bits
			if rtt < 1<<31 {
				f.RTT = time.Duration(rtt) * time.Second / 65536
				if f.RTT > 0 {
					s.measured(f.RTT)
				}
			}
		}
		if sent != nil && s.form == adapt.RR {
			// The cycles in the upper 16 bits are not used: some receivers send none.
			newest, _ := sent.base(uint16(b.LastSequenceNumber))
			if p, ok := sent.find(newest); ok {
				f.Packets = append(f.Packets, p)
				s.newest = max(s.newest, newest)
				if next, ok := sent.find(newest + 1); ok {
					next.Lost = true
					f.Packets = append(f.Packets, next)
				}
			}
		}
		list = append(list, f)
	}
	return list
}

// missing translates a NACK (RFC 4585, section 6.2.1). The feedback has the packets that were sent since the newest
// packet known to have arrived, up to the one after the last requested packet. A request without a later packet is a
// repetition.
func (s *Sender) missing(now time.Time, p *rtcp.TransportLayerNack) (adapt.Feedback, bool) {
	ssrc, sent := s.media()
	if sent == nil || webrtc.SSRC(p.MediaSSRC) != ssrc {
		return adapt.Feedback{}, false
	}
	s.receiving.Lock()
	defer s.receiving.Unlock()
	if s.form != adapt.RR {
		return adapt.Feedback{}, false // other reports have more information
	}
	numbers := map[int64]bool{}
	last := int64(-1)
	for _, pair := range p.Nacks {
		for _, n := range pair.PacketList() {
			number, _ := sent.base(n)
			numbers[number] = true
			last = max(last, number)
		}
	}
	if _, ok := sent.find(last + 1); !ok || last < s.newest {
		return adapt.Feedback{}, false
	}
	f := adapt.Feedback{At: now, Kind: adapt.NACK}
	for n := max(s.newest+1, last+2-maxNACKed); n <= last+1; n++ {
		if one, ok := sent.find(n); ok {
			one.Lost = numbers[n]
			f.Packets = append(f.Packets, one)
		}
	}
	s.newest = last + 1
	return f, len(f.Packets) > 1
}

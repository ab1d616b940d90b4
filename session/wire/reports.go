package wire

import (
	"time"

	"wavryhost/adapt"

	"github.com/pion/rtcp"
)

// maxNACKed bounds the packets that one NACK is translated to: one second at 3 Mbit/s.
const maxNACKed = 256

// receiverReports translates the report blocks about our media (RFC 3550, section 6.4.1). The caller holds mu.
func (r *reader) receiverReports(now time.Time, blocks []rtcp.ReceptionReport) []adapt.Feedback {
	ssrc := r.media()
	if ssrc == 0 {
		return nil
	}
	sent := r.streams.known(ssrc)
	var list []adapt.Feedback
	for _, b := range blocks {
		if b.SSRC != ssrc {
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
					r.measured(f.RTT)
				}
			}
		}
		if sent != nil && r.form == adapt.RR {
			// The cycles in the upper 16 bits are not used: some receivers send none.
			newest, _ := sent.base(uint16(b.LastSequenceNumber))
			if p, ok := sent.find(newest); ok {
				f.Packets = append(f.Packets, p)
				r.newest = max(r.newest, newest)
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
// repetition. The caller holds mu.
func (r *reader) missing(now time.Time, p *rtcp.TransportLayerNack) (adapt.Feedback, bool) {
	ssrc := r.media()
	sent := r.streams.known(ssrc)
	if sent == nil || p.MediaSSRC != ssrc {
		return adapt.Feedback{}, false
	}
	if r.form != adapt.RR {
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
	if _, ok := sent.find(last + 1); !ok || last < r.newest {
		return adapt.Feedback{}, false
	}
	f := adapt.Feedback{At: now, Kind: adapt.NACK}
	for n := max(r.newest+1, last+2-maxNACKed); n <= last+1; n++ {
		if one, ok := sent.find(n); ok {
			one.Lost = numbers[n]
			f.Packets = append(f.Packets, one)
		}
	}
	r.newest = last + 1
	return f, len(f.Packets) > 1
}

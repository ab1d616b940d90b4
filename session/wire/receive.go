package wire

import (
	"time"

	"wavryhost/adapt"

	"github.com/pion/rtcp"
)

// Report is the content of a compound RTCP packet.
type Report struct {
	Feedback []adapt.Feedback
	// PLI and FIR report whether the viewer requests a keyframe (RFC 4585, section 6.3.1; RFC 5104, section 4.3.1).
	PLI, FIR bool
	// Smaller reports whether packets of the largest size do not arrive, so that smaller ones are sent from now on.
	Smaller bool
	// Bye reports whether the peer has ended its stream.
	Bye bool
}

// maxReported bounds the packets that are read from one feedback message, which could claim 65535.
const maxReported = 8192

// wrapping unwraps a receiver's clock with that many bits.
type wrapping struct {
	newest int64
	any    bool
}

func (c *wrapping) unwrap(reference uint32, bits uint) int64 {
	span := int64(1) << bits
	r := int64(reference) & (span - 1)
	if c.any {
		d := (r - c.newest) & (span - 1)
		if d >= span/2 {
			d -= span
		}
		r = c.newest + d
	}
	if !c.any || r > c.newest {
		c.newest, c.any = r, true
	}
	return r
}

// arrivalEpoch is the begin of the receiver's clock for us: any time that is neither zero nor near negative times.
var arrivalEpoch = time.Unix(1<<30, 0)

// Receive translates what the peer reports. Invalid packets are counted, and never an error.
func (s *Sender) Receive(now time.Time, packets []rtcp.Packet) Report {
	var r Report
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.TransportLayerCC:
			if f, ok := s.transportFeedback(now, p); ok {
				r.Feedback = append(r.Feedback, f)
			}
		case *rtcp.CCFeedbackReport:
			if f, ok := s.congestionFeedback(now, p); ok {
				r.Feedback = append(r.Feedback, f)
			}
		case *rtcp.ReceiverReport:
			r.Feedback = append(r.Feedback, s.receiverReports(now, p.Reports)...)
		case *rtcp.SenderReport:
			r.Feedback = append(r.Feedback, s.receiverReports(now, p.Reports)...)
		case *rtcp.PictureLossIndication:
			r.PLI = true
		case *rtcp.FullIntraRequest:
			r.FIR = r.FIR || s.intraRequested(p)
		case *rtcp.TransportLayerNack:
			if f, ok := s.missing(now, p); ok {
				r.Feedback = append(r.Feedback, f)
			}
		case *rtcp.Goodbye:
			r.Bye = true
		}
	}
	s.receiving.Lock()
	defer s.receiving.Unlock()
	s.resize(&r)
	return r
}

// intraRequested reports whether a full intra request is new: a request is repeated with its number until it is
// answered (RFC 5104, section 4.3.1.1).
func (s *Sender) intraRequested(p *rtcp.FullIntraRequest) bool {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	fresh := false
	for _, e := range p.FIR {
		fresh = s.intra.step(e.SequenceNumber) > 0 || fresh
	}
	return fresh
}

// serial follows an 8-bit number that counts up and wraps.
type serial struct {
	newest uint8
	any    bool
}

// step returns how far n is ahead of the newest number: 1 for the next and for the first, 0 for a repetition, negative
// for an older one.
func (s *serial) step(n uint8) int {
	d := 1
	if s.any {
		d = int(int8(n - s.newest)) // serial number arithmetic
	}
	if d > 0 {
		s.newest, s.any = n, true
	}
	return d
}

// transportFeedback translates transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01, section
// 3.1).
func (s *Sender) transportFeedback(now time.Time, p *rtcp.TransportLayerCC) (adapt.Feedback, bool) {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	sequence, ok := s.history.base(p.BaseSequenceNumber)
	if !ok || !s.accepts(adapt.TWCC) {
		s.count(0, uint64(p.PacketStatusCount))
		return adapt.Feedback{}, false
	}
	switch d := s.messages.step(p.FbPktCount); {
	case d <= 0:
		s.mu.Lock()
		s.stats.Feedback[FeedbackLate]++
		s.mu.Unlock()
	case d > 1:
		s.mu.Lock()
		s.stats.Feedback[FeedbackLost] += uint64(d - 1)
		s.mu.Unlock()
	}
	arrived := arrivalEpoch.Add(time.Duration(s.clock.unwrap(p.ReferenceTime, 24)) * 64 * time.Millisecond)
	f := adapt.Feedback{At: now, Kind: adapt.TWCC}
	deltas := p.RecvDeltas
	left := min(int(p.PacketStatusCount), maxReported)
	var newest time.Time
	var twice, never uint64
	one := func(symbol uint16) bool {
		if left == 0 {
			return false
		}
		left--
		at := time.Time{}
		if symbol == rtcp.TypeTCCPacketReceivedSmallDelta || symbol == rtcp.TypeTCCPacketReceivedLargeDelta {
			if len(deltas) == 0 {
				return false // the message ends early
			}
			arrived = arrived.Add(time.Duration(deltas[0].Delta) * time.Microsecond)
			deltas = deltas[1:]
			at = arrived
		}
		switch packet, what := s.history.report(sequence, at); what {
		case fresh:
			f.Packets = append(f.Packets, packet)
			if !packet.Lost && packet.Sent.After(newest) {
				newest = packet.Sent
			}
		case repeated:
			twice++
		case unknown:
			never++
		case silent:
		}
		sequence++
		return true
	}
	for _, chunk := range p.PacketChunks {
		if !eachSymbol(chunk, one) {
			break
		}
	}
	s.count(twice, never)
	if !newest.IsZero() {
		f.RTT = now.Sub(newest)
		s.measured(f.RTT)
	}
	return f, len(f.Packets) > 0
}

// eachSymbol calls one for every packet in chunk, until it returns false.
func eachSymbol(chunk rtcp.PacketStatusChunk, one func(symbol uint16) bool) bool {
	switch c := chunk.(type) {
	case *rtcp.RunLengthChunk:
		for range c.RunLength {
			if !one(c.PacketStatusSymbol) {
				return false
			}
		}
	case *rtcp.StatusVectorChunk:
		for _, symbol := range c.SymbolList {
			if !one(symbol) {
				return false
			}
		}
	}
	return true
}

// measured notes the newest round trip. Only retransmissions use it.
func (s *Sender) measured(rtt time.Duration) {
	s.mu.Lock()
	s.rtt = min(rtt, time.Second)
	s.mu.Unlock()
}

func (s *Sender) count(twice, never uint64) {
	if twice == 0 && never == 0 {
		return
	}
	s.mu.Lock()
	s.stats.Feedback[FeedbackRepeated] += twice
	s.stats.Feedback[FeedbackUnknown] += never
	s.mu.Unlock()
}

package wire

import (
	"time"

	"wavryhost/adapt"

	"github.com/pion/rtcp"
)

// transportFeedback translates transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01, section
// 3.1). The caller holds mu.
func (r *reader) transportFeedback(now time.Time, p *rtcp.TransportLayerCC) (adapt.Feedback, bool) {
	sequence, ok := r.history.base(p.BaseSequenceNumber)
	if !ok || !r.accepts(adapt.TWCC) {
		r.count(0, uint64(p.PacketStatusCount))
		return adapt.Feedback{}, false
	}
	switch d := r.messages.step(p.FbPktCount); {
	case d <= 0:
		r.faults[FeedbackLate]++
	case d > 1:
		r.faults[FeedbackLost] += uint64(d - 1)
	}
	arrived := arrivalEpoch.Add(time.Duration(r.clock.unwrap(p.ReferenceTime, 24)) * 64 * time.Millisecond)
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
		switch packet, what := r.history.report(sequence, at); what {
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
	r.count(twice, never)
	if !newest.IsZero() {
		f.RTT = now.Sub(newest)
		r.measured(f.RTT)
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

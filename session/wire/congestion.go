package wire

import (
	"cmp"
	"slices"
	"time"

	"wavryhost/adapt"

	"github.com/pion/rtcp"
)

// The two offsets that are not times (RFC 8888, section 3.1).
const (
	arrivedLongAgo = 0x1ffe // more than 8 s before the report
	arrivedUnknown = 0x1fff // the receiver does not know
)

// accepts reports whether reports of a form count: only the first form that came does. A receiver that sent two forms
// would report each packet twice, by two clocks. The caller holds mu.
func (r *reader) accepts(form adapt.FeedbackKind) bool {
	if r.form == adapt.RR {
		r.form = form
	}
	return r.form == form
}

// congestionFeedback translates a congestion control feedback report (RFC 8888, section 3.1). Arrival times have a
// resolution of 1/1024 s. Reports may overlap: repetitions are left out. The caller holds mu.
func (r *reader) congestionFeedback(now time.Time, p *rtcp.CCFeedbackReport) (adapt.Feedback, bool) {
	f := adapt.Feedback{At: now, Kind: adapt.CCFB}
	if !r.accepts(adapt.CCFB) {
		return f, false
	}
	// Seconds and fraction are converted separately: the clock times a second would overflow in 3 months.
	ticks := r.clock.unwrap(p.ReportTimestamp, 32)
	reported := arrivalEpoch.Add(time.Duration(ticks>>16)*time.Second + time.Duration(ticks&0xffff)*time.Second>>16)
	var twice, never uint64
	var newest time.Time
	left := maxReported
	for _, b := range p.ReportBlocks {
		h := r.streams.known(b.MediaSSRC)
		if h == nil {
			never += uint64(len(b.MetricBlocks))
			continue
		}
		sequence, _ := h.base(b.BeginSequence)
		for _, m := range b.MetricBlocks[:min(len(b.MetricBlocks), left)] {
			var at time.Time
			since := time.Duration(m.ArrivalTimeOffset) * time.Second / 1024
			if m.Received {
				at = reported.Add(-since)
			}
			if m.Received && m.ArrivalTimeOffset == arrivedUnknown {
				sequence++
				continue
			}
			packet, what := h.report(sequence, at)
			sequence++
			switch what {
			case fresh:
				packet.ECN = uint8(m.ECN)
				f.Packets = append(f.Packets, packet)
				if m.Received && m.ArrivalTimeOffset != arrivedLongAgo && packet.Sent.After(newest) {
					newest, f.RTT = packet.Sent, max(now.Sub(packet.Sent)-since, 0)
				}
			case repeated:
				twice++
			case unknown:
				never++
			case silent:
			}
		}
		left -= min(len(b.MetricBlocks), left)
	}
	r.count(twice, never)
	if !newest.IsZero() {
		r.measured(f.RTT)
	}
	// The report lists them by stream.
	slices.SortFunc(f.Packets, func(a, b adapt.Packet) int { return cmp.Compare(a.ID, b.ID) })
	return f, len(f.Packets) > 0
}

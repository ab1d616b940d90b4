package wire

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"wavryhost/adapt"

	"github.com/pion/rtcp"
)

// The two offsets that are not times (RFC 8888, section 3.1).
const (
	arrivedLongAgo = 0x1ffe // more than 8 s before the report
	arrivedUnknown = 0x1fff // the receiver does not know
)

// maxStreams bounds the streams that are remembered: media and retransmission.
const maxStreams = 4

// streams are the histories of the sent streams, by SSRC.
type streams struct {
	mu   sync.Mutex
	list map[uint32]*history
	// repeats learns which packets arrived.
	repeats *repeats
}

// of returns a stream's history, and creates it if necessary. It never returns nil.
func (s *streams) of(ssrc uint32) *history {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.list[ssrc]
	if h == nil {
		h = &history{repeats: s.repeats}
		if s.list == nil {
			s.list = make(map[uint32]*history, maxStreams)
		}
		if len(s.list) < maxStreams {
			s.list[ssrc] = h
		}
	}
	return h
}

// known returns a stream's history, or nil.
func (s *streams) known(ssrc uint32) *history {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[ssrc]
}

// accepts reports whether reports of a form count: only the first form that came does. A receiver that sent two forms
// would report each packet twice, by two clocks. The caller holds receiving.
func (s *Sender) accepts(form adapt.FeedbackKind) bool {
	if s.form == adapt.RR {
		s.form = form
	}
	return s.form == form
}

// congestionFeedback translates a congestion control feedback report (RFC 8888, section 3.1). Arrival times have a
// resolution of 1/1024 s. Reports may overlap: repetitions are left out.
func (s *Sender) congestionFeedback(now time.Time, p *rtcp.CCFeedbackReport) (adapt.Feedback, bool) {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	f := adapt.Feedback{At: now, Kind: adapt.CCFB}
	if !s.accepts(adapt.CCFB) {
		return f, false
	}
	// Seconds and fraction are converted separately: the clock times a second would overflow in 3 months.
	ticks := s.clock.unwrap(p.ReportTimestamp, 32)
	reported := arrivalEpoch.Add(time.Duration(ticks>>16)*time.Second + time.Duration(ticks&0xffff)*time.Second>>16)
	var twice, never uint64
	var newest time.Time
	left := maxReported
	for _, b := range p.ReportBlocks {
		h := s.streams.known(b.MediaSSRC)
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
	s.count(twice, never)
	if !newest.IsZero() {
		s.measured(f.RTT)
	}
	// The report lists them by stream.
	slices.SortFunc(f.Packets, func(a, b adapt.Packet) int { return cmp.Compare(a.ID, b.ID) })
	return f, len(f.Packets) > 0
}

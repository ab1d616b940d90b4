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

// read translates the packets. Invalid ones are counted.
func (r *reader) read(now time.Time, packets []rtcp.Packet) (report Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add := func(f adapt.Feedback, ok bool) {
		if ok {
			report.Feedback = append(report.Feedback, f)
		}
	}
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.TransportLayerCC:
			add(r.transportFeedback(now, p))
		case *rtcp.CCFeedbackReport:
			add(r.congestionFeedback(now, p))
		case *rtcp.ReceiverReport:
			report.Feedback = append(report.Feedback, r.receiverReports(now, p.Reports)...)
		case *rtcp.SenderReport:
			report.Feedback = append(report.Feedback, r.receiverReports(now, p.Reports)...)
		case *rtcp.PictureLossIndication:
			report.PLI = true
		case *rtcp.FullIntraRequest:
			report.FIR = r.intraRequested(p) || report.FIR
		case *rtcp.TransportLayerNack:
			add(r.missing(now, p))
		case *rtcp.Goodbye:
			report.Bye = true
		}
	}
	for _, f := range report.Feedback {
		report.Smaller = r.sizes.report(f) || report.Smaller
	}
	return report
}

// Receive translates what the peer reports. Invalid packets are counted, and never an error.
func (s *Sender) Receive(now time.Time, packets []rtcp.Packet) Report {
	r := s.reader.read(now, packets)
	if r.Smaller {
		s.packetSize.Store(int64(s.reader.largest()))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.resends = nil // packets of the old size do not arrive, however often they are sent
	}
	return r
}

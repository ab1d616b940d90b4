package session

import (
	"log/slog"
	"slices"
	"time"

	"wavryhost/adapt"
)

// The stages between an offer and the first picture that arrived, as the label stage has them.
const (
	stageOffer  = "offer"  // from the offer to its answer
	stageICE    = "ice"    // until ICE has a path
	stageDTLS   = "dtls"   // until the transport is connected
	stageEncode = "encode" // until the pacer has the first picture
	stageAck    = "ack"    // until the viewer has reported its arrival
)

var setupStages = []string{stageOffer, stageICE, stageDTLS, stageEncode, stageAck}

// What the time to the first picture ends with, as the label to has it.
const (
	firstSent  = "sent"
	firstAcked = "acked"
)

// setup has the times of the steps of a session up to its first picture.
type setup struct {
	begun, answered, reached, connected, sent time.Time
	// packets is the size of the first picture. arrived counts the media packets that the viewer has reported.
	packets, arrived int
	over             bool // the first picture has arrived
	// handshake is how the handshake failed, empty if it did not; err has the details.
	handshake string
	err       error
}

// report counts the reported packets, and reports whether the first picture has arrived with them. Reports on all
// packets are counted. A receiver report names the newest packet only; its number tells.
func (s *setup) report(f adapt.Feedback) bool {
	if s.sent.IsZero() || s.over || f.Kind != adapt.RR && !f.Kind.Complete() {
		return false
	}
	for _, p := range f.Packets {
		switch {
		case p.Lost || p.Padding:
		case f.Kind == adapt.RR:
			s.arrived = max(s.arrived, int(p.ID))
		case !p.Arrived.IsZero():
			s.arrived++
		}
	}
	s.over = s.arrived >= max(s.packets, 1)
	return s.over
}

// stageAt is a stage with the times of its begin and end; the end is zero if it has not ended.
type stageAt struct {
	name       string
	begun, end time.Time
}

// timeline returns the stages that have begun, in order. end is when the viewer reported the first picture; zero if it
// has not.
func (s *setup) timeline(end time.Time) []stageAt {
	edges := []time.Time{s.begun, s.answered, s.reached, s.connected, s.sent, end}
	var list []stageAt
	for i, name := range setupStages {
		one := stageAt{name, edges[i], edges[i+1]}
		if !one.end.IsZero() && one.end.Before(one.begun) { // ICE may have a path before the answer is out
			one.end = one.begun
		}
		list = append(list, one)
		if one.end.IsZero() {
			break
		}
	}
	return list
}

// span returns the trace of the set-up, which is over: with the first picture, or for a reason.
func (s *setup) span(now time.Time, reason string, err error) Span {
	root := Span{Name: spanSetup, Start: s.begun, End: now, Reason: reason, Err: err}
	end := now
	if reason != "" {
		end = time.Time{}
		root.Attrs = append(root.Attrs, slog.String(attrEnd, reason))
		if s.handshake != "" {
			root.Attrs = append(root.Attrs, slog.String(attrHandshake, s.handshake))
			root.Reason, root.Err = s.handshake, s.err
		}
	}
	for _, stage := range s.timeline(end) {
		one := Span{Name: stage.name, Start: stage.begun, End: stage.end}
		if one.End.IsZero() {
			one.End, one.Reason, one.Err = now, root.Reason, root.Err
		}
		root.Parts = append(root.Parts, one)
	}
	return root
}

// stages returns the duration of each stage up to the arrival at now.
func (s *setup) stages(now time.Time) map[string]time.Duration {
	took := make(map[string]time.Duration, len(setupStages))
	for _, stage := range s.timeline(now) {
		took[stage.name] = stage.end.Sub(stage.begun)
	}
	return took
}

// acknowledged returns the time from the departure of the newest packet of a report until the report.
func acknowledged(f adapt.Feedback) (took time.Duration, ok bool) {
	if !f.Kind.Complete() {
		return 0, false
	}
	for _, p := range slices.Backward(f.Packets) {
		if !p.Lost && !p.Arrived.IsZero() && !p.Sent.IsZero() {
			return f.At.Sub(p.Sent), true
		}
	}
	return 0, false
}

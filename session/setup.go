package session

import (
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

// stages returns the duration of each stage up to the arrival at now.
func (s *setup) stages(now time.Time) map[string]time.Duration {
	edges := []time.Time{s.begun, s.answered, s.reached, s.connected, s.sent, now}
	took := make(map[string]time.Duration, len(setupStages))
	for i, stage := range setupStages {
		took[stage] = max(0, edges[i+1].Sub(edges[i])) // ICE may have a path before the answer is out
	}
	return took
}

// arrivedFirst takes a report of the viewer, and records the session's set-up when it shows the first picture.
func (f *figures) arrivedFirst(now time.Time, feedback []adapt.Feedback) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.setup.over {
		return
	}
	for _, report := range feedback {
		if !f.setup.report(report) {
			continue
		}
		f.met.firstFrame.WithLabelValues(firstAcked).Observe(now.Sub(f.setup.begun).Seconds())
		for stage, took := range f.setup.stages(now) {
			f.met.setupStages.WithLabelValues(stage).Observe(took.Seconds())
		}
		return
	}
}

// handedOver notes that the pacer has a picture of so many packets. The caller holds mu.
func (f *figures) handedOver(now time.Time, packets int) {
	f.freeze.sent(now)
	if f.setup.sent.IsZero() && packets > 0 {
		f.setup.sent, f.setup.packets = now, packets
		f.met.firstFrame.WithLabelValues(firstSent).Observe(now.Sub(f.setup.begun).Seconds())
	}
}

package session

import (
	"time"

	"wavryhost/adapt"
	"wavryhost/session/wire"
)

// echoEvery is how often a viewer that reports on no single packets is asked for a round trip, in the place of iceAsks: it tells of a queue
// that its reports tell of a second later. It costs 4 kbit/s each way.
const echoEvery = 250 * time.Millisecond

// reportsPackets reports whether a viewer can report on single packets of a codec.
func (o *offer) reportsPackets(codec string) bool {
	f := o.format(codec)
	_, numbered := o.extensions(wire.Extensions())[wire.TransportCC]
	return f.takes(feedbackTWCC) && numbered || f.takes(feedbackCCFB)
}

// echoes follows the round trips of ICE's own requests on the path that media takes. It belongs to the viewer's goroutine.
type echoes struct {
	wanted bool
	total  float64 // seconds, of all round trips so far
}

// roundTrips returns the newest round trip of ICE and the sum of all, in seconds.
func (p *peer) roundTrips() (newest, total float64) {
	t := p.sender.Transport()
	if t == nil {
		return 0, 0
	}
	s, _ := t.ICETransport().GetSelectedCandidatePairStats()
	return s.CurrentRoundTripTime, s.TotalRoundTripTime
}

// echo tells the controller of a round trip that is news.
func (v *viewer) echo() {
	if !v.echoes.wanted || !v.live.Load() {
		return
	}
	newest, total := v.peer.roundTrips()
	if total == v.echoes.total {
		return
	}
	v.echoes.total = total
	v.ctl.Lock()
	defer v.ctl.Unlock()
	v.controller.OnFeedback(adapt.Feedback{At: v.clock(), Kind: adapt.Echo, RTT: time.Duration(newest * float64(time.Second))})
}

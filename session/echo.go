package session

import "wavryhost/adapt"

// echo passes a new round trip of ICE to the controller. It shows a queue earlier than receiver reports.
func (v *viewer) echo() {
	if !v.live.Load() {
		return
	}
	rtt, ok := v.peer.RoundTrip()
	if !ok {
		return
	}
	v.ctl.Lock()
	defer v.ctl.Unlock()
	v.controller.OnFeedback(adapt.Feedback{At: v.clock(), Kind: adapt.Echo, RTT: rtt})
}

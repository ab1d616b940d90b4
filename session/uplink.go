package session

import (
	"wavryhost/encode"
	"wavryhost/session/admission"
)

// usableUplink is the part of the uplink that media may take; retransmissions, probes and audio have the rest.
const usableUplink = 0.9

// uplink divides the host's uplink between the sessions. It belongs to the janitor.
type uplink struct {
	conf *live
	// The memory of the last round.
	claims []admission.Claim
	shares []int
}

// share divides the uplink anew. The janitor calls it once a second.
func (u *uplink) share(list []*session) {
	cfg := u.conf.get()
	if cfg.Uplink == 0 { // there may have been a limit before a reload
		for _, s := range list {
			s.limits.setShare(0)
		}
		return
	}
	floor := cfg.adaptation(encode.MinSide, encode.MinSide, 0, 0).WithDefaults().Min
	u.claims = u.claims[:0]
	for _, s := range list {
		u.claims = append(u.claims, admission.Claim{
			Weight: s.limits.sessionWeight(), Floor: floor,
			Demand: uplinkDemand(s, floor),
		})
	}
	u.shares = admission.Share(int(usableUplink*float64(cfg.Uplink)), u.claims, u.shares[:0])
	for i, s := range list {
		share := 0
		if u.shares[i] < u.claims[i].Demand {
			share = u.shares[i]
		}
		s.limits.setShare(share)
	}
}

// uplinkDemand returns what a session can use of the uplink, in bits per second. floor is the least that sessions get.
func uplinkDemand(v *session, floor int) int {
	t := v.adaptation.target()
	v.limits.mu.Lock()
	demand := min(t.EncoderBitrate, unlimitedIfZero(v.limits.ceiling), unlimitedIfZero(v.limits.display))
	v.limits.mu.Unlock()
	if t.Idle { // it leaves what it does not use to others, but for what a burst needs until the next round
		demand = min(demand, 2*v.load().sent+8*floor)
	}
	return demand
}

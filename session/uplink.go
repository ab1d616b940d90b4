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
			s.setUplinkShare(0)
		}
		return
	}
	floor := cfg.adaptation(encode.MinSide, encode.MinSide, 0, 0).WithDefaults().Min
	u.claims = u.claims[:0]
	for _, s := range list {
		u.claims = append(u.claims, admission.Claim{Weight: s.weight(), Floor: floor, Demand: s.uplinkDemand(floor)})
	}
	u.shares = admission.Share(int(usableUplink*float64(cfg.Uplink)), u.claims, u.shares[:0])
	for i, s := range list {
		share := 0
		if u.shares[i] < u.claims[i].Demand {
			share = u.shares[i]
		}
		s.setUplinkShare(share)
	}
}

package session

import (
	"wavryhost/encode"
	"wavryhost/session/admission"
)

// share divides the uplink between the sessions. The janitor calls it once a second.
func (m *Manager) share(list []*held) {
	cfg := m.cfg()
	if cfg.Uplink == 0 { // there may have been a limit before a reload
		for _, h := range list {
			h.caps.set(func(c *caps) { c.share = 0 })
		}
		return
	}
	floor := cfg.adaptation(encode.MinSide, encode.MinSide, 0, 0).WithDefaults().Min
	m.claims = m.claims[:0]
	for _, h := range list {
		h.ctl.Lock()
		t := h.targets
		h.ctl.Unlock()
		h.mu.Lock()
		sent := h.achieved
		h.mu.Unlock()
		h.caps.mu.Lock()
		demand := min(t.EncoderBitrate, unlimitedIfZero(h.caps.ceiling), unlimitedIfZero(h.caps.display))
		h.caps.mu.Unlock()
		if t.Idle { // it leaves what it does not use to others, but for what a burst needs until the next round
			demand = min(demand, 2*sent+8*floor)
		}
		m.claims = append(m.claims, admission.Claim{Weight: h.weight(), Floor: floor, Demand: demand})
	}
	m.shares = admission.Share(int(usableUplink*float64(cfg.Uplink)), m.claims, m.shares[:0])
	for i, h := range list {
		share := 0
		if m.shares[i] < m.claims[i].Demand {
			share = m.shares[i]
		}
		h.caps.set(func(c *caps) { c.share = share })
	}
}

// usableUplink is the part of the uplink that media may take; repairs, probes and audio have the rest.
const usableUplink = 0.9

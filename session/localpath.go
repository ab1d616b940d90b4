package session

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"

	"wavryhost/adapt"
	"wavryhost/adapt/record"
	"wavryhost/session/relay"
)

// adaptation is what the controller of a viewer is made of.
type adaptation struct {
	config adapt.Config
	make   func(adapt.Config) (adapt.Controller, error)
	about  record.About
	limit  int // bytes of the recording
	// local is the bitrate to begin with on a local path, 0 for the same as on any.
	local int
}

// begin makes the viewer's controller. The caller holds ctl, or is the only one to know v.
func (v *viewer) begin() error {
	controller, err := v.adaptation.make(v.adaptation.config)
	if err != nil {
		return err
	}
	v.controller, v.recorder = controller, nil
	if loop, ok := controller.(*adapt.Loop); ok {
		v.recorder = record.New(loop, v.adaptation.about, v.created, v.adaptation.limit)
		v.controller = v.recorder
	}
	v.targets = v.controller.Tick(v.clock())
	v.seq, v.key, v.rate = v.targets.Seq, v.targets.ForceIDR, v.targets.PacingRate
	return nil
}

// beginLocal begins again with a higher bitrate when the path is local, as far as settings and grants allow. Nothing has been sent yet.
func (v *viewer) beginLocal() error {
	v.caps.mu.Lock()
	most, _ := v.caps.lowest(v.most)
	limit := adapt.Limit{FPS: v.caps.fps, Scale: v.caps.scale}
	v.caps.mu.Unlock()
	c := v.adaptation.config.WithDefaults()
	start := min(v.adaptation.local, most, c.Max)
	if c.Fixed != 0 || start <= c.Start || !v.peer.local() {
		return nil
	}
	v.ctl.Lock()
	defer v.ctl.Unlock()
	v.adaptation.config.Start = start
	if err := v.begin(); err != nil {
		return fmt.Errorf("begin with %d bits per second: %w", start, err)
	}
	if limit.FPS > 0 || limit.Scale > 0 {
		limit.At = v.clock()
		v.controller.OnLimit(limit)
	}
	v.link.SetRate(v.rate)
	return nil
}

// local reports whether the selected path ends on this machine or on a network that it is part of.
func (p *peer) local() bool {
	t := p.sender.Transport()
	if t == nil {
		return false
	}
	pair, err := t.ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return false
	}
	relays := p.theirs.told().relays > 0 || slices.ContainsFunc(p.asked, func(s relay.Server) bool {
		return slices.ContainsFunc(s.URLs, func(url string) bool { return strings.HasPrefix(url, "turn") })
	})
	return localPath(*pair, relays, p.prefixes)
}

// localPath is peer.local. An address that the viewer has not told may be that of a relay on the local network, where there are relays.
func localPath(pair webrtc.ICECandidatePair, relays bool, prefixes func() ([]netip.Prefix, error)) bool {
	const relayed = webrtc.ICECandidateTypeRelay
	if pair.Local.Typ == relayed || pair.Remote.Typ == relayed {
		return false
	}
	if strings.HasSuffix(pair.Remote.Address, ".local") {
		return true // its mDNS name was answered on the local network
	}
	at, err := netip.ParseAddr(pair.Remote.Address)
	if err != nil {
		return false
	}
	at = at.Unmap().WithZone("")
	if at.IsLoopback() {
		return true
	}
	if pair.Remote.Typ == webrtc.ICECandidateTypePrflx && relays {
		return false
	}
	own, err := prefixes()
	return err == nil && slices.ContainsFunc(own, func(n netip.Prefix) bool { return n.Contains(at) })
}

// The networks that are taken for local are no larger than this: those of companies and providers are routed.
const (
	localBits4 = 16
	localBits6 = 64
)

// localPrefixes returns the networks that this machine is part of. Tunnels to somewhere else are none.
func localPrefixes(n transport.Net) ([]netip.Prefix, error) {
	if n == nil {
		return nil, errors.New("session: no network")
	}
	interfaces, err := n.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var all []netip.Prefix
	for _, i := range interfaces {
		if i.Flags&net.FlagPointToPoint != 0 || i.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range addresses {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			least := localBits6
			if p.Addr().Unmap().Is4() {
				least = localBits4
			}
			if p.Bits() >= least {
				all = append(all, p.Masked())
			}
		}
	}
	return all, nil
}

// localStart returns what another session may begin with on a local path: an even part of the uplink at most, until the shares are made anew.
func (m *Manager) localStart() int {
	cfg := m.cfg()
	if cfg.Uplink == 0 {
		return cfg.LocalStartBitrate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return min(cfg.LocalStartBitrate, cfg.Uplink/(len(m.sessions)+1))
}

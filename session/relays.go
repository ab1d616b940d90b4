package session

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"wavryhost/session/relay"
)

// newRelays returns the watch over cfg's STUN and TURN servers.
func newRelays(cfg Config, log *slog.Logger, m *Metrics, emit func(Event) uint64) *relay.Watch {
	w := relay.New(relay.Config{
		Sources: cfg.sources(), Logs: pionLog{log}, Guard: m.guard(log, nil),
		Tell: func(s relay.ServerStatus) uint64 {
			e := Event{Kind: EventRelayUp, Server: s.URL}
			if s.State == string(relay.StateDown) {
				e.Kind, e.Reason, e.Err = EventRelayDown, s.Reason, errors.New(s.Error)
			}
			return emit(e)
		},
	}, m.relays, log)
	w.Set(cfg.ICEServers, cfg.ICERegions)
	return w
}

// sources returns what lists the addresses that media may use, so that probes go the same way; nil where all may.
func (c Config) sources() func() []netip.Addr {
	keep := c.keeps()
	if keep == nil && len(c.Interfaces) == 0 {
		return nil
	}
	return func() []netip.Addr {
		var list []netip.Addr
		interfaces, err := net.Interfaces()
		if err != nil {
			return nil
		}
		for _, i := range interfaces {
			if i.Flags&net.FlagUp == 0 || len(c.Interfaces) > 0 && !c.Loopback && !slices.Contains(c.Interfaces, i.Name) {
				continue
			}
			addrs, err := i.Addrs()
			if err != nil {
				continue // it went away
			}
			for _, a := range addrs {
				p, err := netip.ParsePrefix(a.String())
				if err == nil && !p.Addr().IsLinkLocalUnicast() && (keep == nil || keep(p.Addr().AsSlice())) {
					list = append(list, p.Addr())
				}
			}
		}
		return list
	}
}

// ICEServers returns the STUN and TURN servers that a user is to use at the moment, best first: those that work, of a region where one is asked
// for, with credentials of the user's own where they are short-lived. Those are good for no longer than last, unless that is zero.
func (m *Manager) ICEServers(region, user string, last time.Time) []relay.Server {
	list := m.relays.Choose(region)
	now := time.Now()
	for i, s := range list {
		list[i] = s.For(user, now, last)
	}
	return list
}

// checkRelays makes known that the viewer's relays gave no address: a viewer that needs one cannot connect.
func (v *viewer) checkRelays() {
	v.peer.mu.Lock()
	barren := v.peer.barren
	v.peer.mu.Unlock()
	if !barren {
		return
	}
	v.doubt(v.peer.asked)
	var urls []string
	for _, s := range v.peer.asked {
		urls = append(urls, s.URLs...)
	}
	v.log.Warn("no relay gave an address", "servers", urls, "gather_seconds", v.peer.gather.Seconds())
}

package session

import (
	"errors"
	"log/slog"
	"time"

	"wavryhost/session/peer"
	"wavryhost/session/relay"
)

// newRelays returns the watch over cfg's STUN and TURN servers.
func newRelays(cfg Config, network peer.Config, log *slog.Logger, m *Metrics, emit func(Event) uint64) *relay.Watch {
	w := relay.New(relay.Config{
		Sources: network.Sources(), Logs: peer.NewLoggerFactory(log), Guard: m.guard(log, nil),
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

// iceServers returns the servers that a user is to use; see Manager.ICEServers.
func iceServers(w *relay.Watch, region, user string, last time.Time) []relay.Server {
	list := w.Choose(region)
	now := time.Now()
	for i, s := range list {
		list[i] = s.For(user, now, last)
	}
	return list
}

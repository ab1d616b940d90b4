package session

import (
	"context"
	"errors"
	"time"

	"wavryhost/adapt"
	"wavryhost/session/peer"
)

// watch steps the state machine of the transport.
func (v *viewer) watch(now time.Time) {
	f := facts{State: v.peer.State(), heard: v.heard.get(), frozen: v.sub.feed().frozen()}
	v.mu.Lock()
	from, since := v.life.state, v.life.since
	d := v.life.step(now, f)
	to := v.life.state
	if v.life.reached && v.setup.reached.IsZero() {
		v.setup.reached = now
	}
	if d.changed && to == stateConnected && v.connected.IsZero() {
		v.connected, v.setup.connected = now, now
	}
	v.mu.Unlock()

	if d.handshake != "" {
		v.met.handshakes.WithLabelValues(d.handshake).Inc()
		if d.handshake != handshakeOK {
			e := Event{Kind: EventHandshakeFailed, Session: v.id, Display: v.sub.display(), Reason: d.handshake}
			attrs := []any{"result", d.handshake, "after_seconds", now.Sub(v.created).Seconds()}
			if d.handshake == handshakeICETimeout || d.handshake == handshakeICEFailed {
				var cause string
				cause, e.Err = v.peer.WhyNoPath()
				v.met.iceFailures.WithLabelValues(cause).Inc()
				attrs = append(attrs, "cause", cause, "err", e.Err)
			}
			if d.handshake == handshakeDTLSTimeout {
				e.Err = errNoHandshake
				attrs = append(attrs, "err", e.Err)
			}
			v.mu.Lock()
			v.setup.handshake, v.setup.err = d.handshake, e.Err
			v.mu.Unlock()
			v.log.Warn("handshake failed", append(attrs, "event", v.emit(e))...)
		}
	}
	if d.changed {
		v.met.sessions.WithLabelValues(from).Dec()
		v.met.sessions.WithLabelValues(to).Inc()
		v.moved(from, to, now.Sub(since))
	}
	if d.end {
		v.live.Store(false)
		v.want(d.why)
	}
}

// moved makes a change of the transport's state known.
func (v *viewer) moved(from, to string, after time.Duration) {
	if to == stateDisconnected {
		v.live.Store(false)
		v.setRoute(peer.Route{})
		event := v.emit(Event{Kind: EventDisconnected, Session: v.id, Display: v.sub.display()})
		v.log.Warn("session disconnected", "event", event, "deadline_seconds", v.life.grace().Seconds())
		v.sub.nudge()
		return
	}
	r := v.noteRoute(time.Now())
	event := v.emit(Event{Kind: EventConnected, Session: v.id, Display: v.sub.display()})
	if from == stateConnecting {
		v.met.handshakeTime.Observe(after.Seconds())
		if err := v.beginLocal(); err != nil {
			v.log.Error("bitrate of a local path not taken", "err", err)
		}
		v.log.Info("session "+
			"connected", "event", event, "handshake_seconds", after.Seconds(), "path", r.Path, "protocol", r.Protocol,
			"start_bitrate", v.adaptation.recipe.config.WithDefaults().Start)
	} else {
		v.log.Info("session connected "+
			"again", "event", event, "away_seconds", after.Seconds(), "path", r.Path, "protocol", r.Protocol)
	}
	v.live.Store(true)
	v.sub.nudge()
}

// settleRoute is the default of viewer.settle. Trickled candidates arrive after the viewer's first packets.
const settleRoute = 2 * time.Second

// noteRoute reads the route of media and announces a new one.
func (v *viewer) noteRoute(now time.Time) peer.Route {
	r := v.peer.Route()
	v.setRoute(r)
	guessed := r.Guessed
	r.Guessed = false
	v.mu.Lock()
	from := v.announced
	fresh := r.Path != "" && r != from && (!guessed || now.Sub(v.life.since) >= v.settle)
	if fresh {
		v.announced = r
	}
	v.mu.Unlock()
	if !fresh {
		return r
	}
	v.met.paths.WithLabelValues(r.Path, r.Protocol).Inc()
	if from.Path != "" {
		v.sender.RestorePacketSize()
		event := v.emit(Event{
			Kind: EventPath, Session: v.id, Display: v.sub.display(), From: from.String(), To: r.String(),
		})
		v.log.Info("path changed", "event", event, "from", from.String(), "to", r.String())
	}
	return r
}

// beginLocal begins again with a higher bitrate when the path is local, as far as settings and grants allow. Nothing
// has been sent yet.
func (v *viewer) beginLocal() error {
	v.limits.mu.Lock()
	most, _ := v.limits.lowest(v.most)
	limit := adapt.Limit{FPS: v.limits.fps, Scale: v.limits.scale}
	v.limits.mu.Unlock()
	c := v.adaptation.recipe.config.WithDefaults()
	start := min(v.adaptation.recipe.local, most, c.Max)
	if c.Fixed != 0 || start <= c.Start || !v.peer.Local() {
		return nil
	}
	return v.adaptation.beginAgain(start, limit)
}

// checkRelays makes known that the viewer's relays gave no address: a viewer that needs one cannot connect.
func (v *viewer) checkRelays() {
	servers := v.peer.FailedRelays()
	if servers == nil {
		return
	}
	v.doubt(servers)
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.URLs...)
	}
	v.log.Warn("no relay gave an address", "servers", urls)
}

// patch applies a fragment: candidates of the current ICE session, or the credentials of a new one.
func (v *viewer) patch(ctx context.Context, ifMatch string, f peer.Fragment) (Patched, error) {
	p, err := v.peer.Patch(ctx, ifMatch, f)
	if errors.Is(err, peer.ErrClosed) {
		return Patched{}, ErrUnknownSession
	}
	if p.Restarted {
		v.checkRelays()
		v.mu.Lock()
		v.life.renew(time.Now())
		v.mu.Unlock()
	}
	return Patched{SDP: p.SDP, ETag: p.ETag}, err
}

package session

import (
	"time"

	"wavryhost/session/peer"
)

// snapshot shows the viewer.
func (v *viewer) snapshot() Snapshot {
	here := v.sub.feed()
	on := here.on
	stats, view, frozen, e := v.sender.Stats(), on.Status(), here.frozen(), v.adaptation.estimate()
	t := v.adaptation.target()
	v.limits.mu.Lock()
	ceiling, weight := v.limits.ceiling, v.limits.weight
	lowest, of := v.limits.lowest(v.most)
	v.limits.mu.Unlock()
	control := v.input.View()
	v.mu.Lock()
	defer v.mu.Unlock()
	return Snapshot{
		ID: v.id, Display: here.display.ID, Group: here.display.Group,
		State: v.life.state, Created: v.created, Connected: v.connected,
		Subject: v.offer.Owner.Name, Credential: v.offer.Owner.Credential, Issuer: v.offer.Owner.Issuer,
		Reservation: v.offer.Reservation, Expires: v.offer.Expires,
		ExternalID: v.offer.ExternalID, Labels: v.offer.Labels.Map(),
		Role: v.offer.Role.String(), MayControl: control.May, Control: control.Has, Controlled: control.Taken,
		Relative: here.display.Input != nil, InputLost: control.Lost,
		Remote: v.offer.RemoteAddr, UserAgent: v.offer.UserAgent, Path: v.route.Path, Protocol: v.route.Protocol,
		Pointer: here.pointerWay(), Codec: here.format.Codec, CodecReason: string(v.codec.reason()),
		Encoder: view.Encoder, Encoding: on.Index(), Width: view.Width, Height: view.Height, FPS: v.fps,
		MaxBitrate: ceiling, Ceiling: lowest, CeilingOf: of, Weight: weight, Frozen: frozen,
		ViewerFreezes: v.reported.Freezes, ViewerFrozen: v.reported.Frozen.Seconds(),
		Undelivered: v.undelivered, TargetBitrate: t.EncoderBitrate, AchievedBitrate: v.achieved,
		EstimatedReceive: e.Received,
		RTTSeconds:       e.RTT.Seconds(), JitterSeconds: e.Jitter.Seconds(), QueueSeconds: e.QueueDelay.Seconds(),
		Loss:    e.Loss,
		Quality: t.Quality.String(), Reason: t.Reason.String(), Idle: t.Idle,
		Transitions: append([]TransitionRecord{}, v.transitions...),
		FramesSent:  v.frames, FramesDropped: v.dropped, KeyframesSent: v.keys,
		PacketsSent: stats.Packets, Retransmissions: stats.Retransmissions, BytesSent: stats.Bytes,
	}
}

// close adds the last figures of a viewer that left to the metrics, and returns the time of its first connection. No
// event is emitted for it after that.
func (v *viewer) close(now time.Time) (since time.Time) {
	v.mu.Lock()
	rest, connected := now.Sub(v.sample.at), v.life.state == stateConnected
	v.mu.Unlock()
	if connected {
		v.usage.add(rest, v.snapshot())
		v.tally.used(rest)
	}
	v.flush(now, 0, v.sender.Stats(), true)
	v.setRoute(peer.Route{})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true // an encode loop may still be about to emit one
	v.met.sessions.WithLabelValues(v.life.state).Dec()
	v.tally.end()
	if v.life.state == stateConnecting && !v.life.judged {
		v.met.handshakes.WithLabelValues(handshakeAborted).Inc()
	}
	return v.connected
}

package session

import (
	"cmp"
	"time"

	"wavryhost/adapt/pacing"
	"wavryhost/session/lockorder"
	"wavryhost/session/peer"
	"wavryhost/session/pipeline"
	"wavryhost/session/wire"
)

// figures are what is shown of a viewer.
type figures struct {
	met   *Metrics
	tally tally // of the session's labels; it does not change

	mu          lockorder.Mutex[viewerLock] // guards the rest
	life        life
	setup       setup
	freeze      freeze
	reported    ViewerReport // what the viewer has counted itself
	connected   time.Time
	route       peer.Route
	announced   peer.Route // in the last event
	transitions []TransitionRecord
	undelivered string // why the viewer shows nothing, empty where it does
	over        bool   // its end is told, and nothing after that
	frames      uint64
	dropped     uint64
	keys        uint64
	sample      sample
	delivered   sample // the last one with which a picture left
	usage       usage  // of the loop of the session, and of its end after that; mu does not guard it
	fps         float64
	achieved    int
	// Why no packet left of the pictures since the last look, empty where some did or there were none.
	mute string
}

// sample is what was counted at the last look, once a second.
type sample struct {
	at     time.Time
	stats  wire.Stats
	frames uint64
}

// measure counts, once a second, what was sent since the last time.
func (v *viewer) measure(now time.Time) {
	v.mu.Lock()
	took := now.Sub(v.sample.at)
	v.mu.Unlock()
	if took < time.Second {
		return
	}
	// A picture of which all packets wait for the pacer would be in the queue.
	v.flush(now, took, v.sender.Stats(), !v.live.Load() || v.sender.Queue().Packets > 0)
	if !v.live.Load() {
		return
	}
	v.usage.add(took, v.snapshot())
	v.tally.used(took)
	v.deliver(now)
	v.noteRoute(now) // ICE may select a better pair later
	e := v.adaptation.estimate()
	if e.RTT > 0 {
		v.met.rtt.Observe(e.RTT.Seconds())
	}
	v.met.loss.Observe(e.Loss)
	v.met.jitter.Observe(e.Jitter.Seconds())
	v.met.queueDelay.Observe(e.QueueDelay.Seconds())
}

// flush adds what was sent since the last look to the metrics. took is the time since then, 0 for the last flush.
// waiting says whether packets wait for the pacer, or need not leave yet.
func (f *figures) flush(now time.Time, took time.Duration, stats wire.Stats, waiting bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.sample
	f.sample = sample{at: now, stats: stats, frames: f.frames}
	bytes := stats.Bytes - before.stats.Bytes
	if took > 0 {
		f.achieved = int(float64(bytes*8) / took.Seconds())
		f.fps = float64(f.frames-before.frames) / took.Seconds()
	}
	f.met.packets.Add(float64(stats.Packets - before.stats.Packets))
	path := cmp.Or(f.route.Path, f.announced.Path, peer.PathDirect)
	f.met.bytes.WithLabelValues(path).Add(float64(bytes))
	f.tally.sent(bytes)
	f.met.retransmissions.Add(float64(stats.Retransmissions - before.stats.Retransmissions))
	f.met.unsent.Add(float64(stats.Unsent - before.stats.Unsent))
	for range stats.Superseded - before.stats.Superseded {
		f.met.pipeline.Drop(pipeline.DropSuperseded)
	}
	for _, fault := range wire.FeedbackFaults() {
		added := stats.Feedback[fault] - before.stats.Feedback[fault]
		f.met.feedbackFaults.WithLabelValues(fault.String()).Add(float64(added))
	}
	for _, r := range pacing.Refusals() {
		f.met.refusedRepeats.WithLabelValues(r.String()).Add(float64(stats.Refused[r] - before.stats.Refused[r]))
	}
	switch {
	case waiting || stats.Packets != before.stats.Packets:
		f.mute, f.delivered = "", f.sample
	case before.frames == f.delivered.frames: // a picture since the last look may still be on its way
	case stats.Unsent > f.delivered.stats.Unsent:
		f.mute = undeliveredUnsent
	default:
		f.mute = undeliveredUnpacked
	}
}

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

// load is what the owner of a session sees of its load.
type load struct {
	state     string
	connected time.Time // the first time, zero before
	sent      int       // bits per second
	path      string    // that media takes
}

// load returns it.
func (f *figures) load() load {
	f.mu.Lock()
	defer f.mu.Unlock()
	return load{state: f.life.state, connected: f.connected, sent: f.achieved, path: f.route.Path}
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

// away reports whether the path is lost.
func (f *figures) away() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.life.state == stateDisconnected
}

// missed counts a picture that went to other viewers only.
func (f *figures) missed() {
	f.mu.Lock()
	f.dropped++
	f.mu.Unlock()
}

// setRoute notes the route of media.
func (f *figures) setRoute(r peer.Route) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.route.Path != "" {
		f.met.path.WithLabelValues(f.route.Path).Dec()
	}
	if r.Path != "" {
		f.met.path.WithLabelValues(r.Path).Inc()
	}
	f.route = r
}

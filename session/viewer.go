package session

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/pacing"
	"wavryhost/encode"
	"wavryhost/session/guard"
	"wavryhost/session/lockorder"
	"wavryhost/session/peer"
	"wavryhost/session/pipeline"
	"wavryhost/session/relay"
	"wavryhost/session/wire"
)

const (
	// tickInterval is how often a controller is asked at least; see adapt.Controller.
	tickInterval = 25 * time.Millisecond
	// keptTransitions is how many transitions a Snapshot shows.
	keptTransitions = 32
)

// viewer is one session: a peer connection, its pacer, and its adaptation. Three goroutines belong to it: one reads feedback,
// one paces, and one ticks the controller and watches the transport. A panic in any of them, in a callback of pion or in a call by an encode loop
// ends the session, and nothing else.
type viewer struct {
	id      string
	offer   Offer
	codec   string
	created time.Time
	log     *slog.Logger
	met     *Metrics
	emit    func(Event) uint64
	peer    *peer.Peer
	sender  *wire.Sender
	sub     subscription
	limits  limits
	// decoder is what the viewer's decoder takes, and most the host's own ceiling in bits per second.
	decoder encode.DecoderLimits
	most    int
	// crowded reports whether pictures are late because of the host's load while load shedding can do something about it.
	crowded func() bool
	baseW   int // the width that the controller was told
	input   *inputChannel

	// doubt is told the servers that gave no relayed address.
	doubt func([]relay.Server)
	// settle is the time after which the route counts although the viewer has not sent its address.
	settle time.Duration
	// want is told once why the session should end.
	want func(why EndReason)
	// changed has room for one token: the transport's state may have changed.
	changed chan struct{}
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	guard   *guard.Guard
	crash   atomic.Pointer[error] // the panic that ends the session
	live    atomic.Bool
	heard   instant // of the last RTCP

	adaptation adaptation

	// backlog is the number of packets of the newest picture.
	backlog atomic.Int64

	mu lockorder.Mutex[viewerLock] // guards the rest
	figures
}

// instant is a time that one goroutine sets and others read. It keeps the reading of the monotonic clock: a step of the wall clock is no silence.
type instant struct{ at atomic.Pointer[time.Time] }

func (i *instant) set(at time.Time) { i.at.Store(&at) }

// get returns the time, zero before it was set.
func (i *instant) get() time.Time {
	if at := i.at.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// start runs the viewer's goroutines until cancel.
func (v *viewer) start() {
	// The request that the session was made by is over long before the session.
	ctx, cancel := context.WithCancel(context.Background())
	v.cancel = cancel
	v.peer.OnChange(v.hint)
	v.peer.OnDataChannel(func(c *peer.Channel) { v.offered(ctx, c) })
	v.launch(partPacer, func() { _ = v.sender.Run(ctx) }) // it only ever returns ctx's error
	v.launch(partFeedback, v.listen)
	v.launch(partSession, func() { v.run(ctx) })
}

// launch runs f in a goroutine of the viewer's.
func (v *viewer) launch(part string, f func()) {
	v.wg.Go(func() {
		if err := v.guard.Run(part, f); err != nil {
			v.crashed(err)
			v.want(EndError)
		}
	})
}

// crashed notes a panic of which the session ends. It may be called before the session is started, and with any lock held.
func (v *viewer) crashed(err error) {
	v.crash.CompareAndSwap(nil, &err)
	v.live.Store(false)
	v.hint()
}

// hint makes the viewer's goroutine look at the transport at once.
func (v *viewer) hint() {
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// offered takes a data channel of the viewer, which is read until ctx ends, or closes it.
func (v *viewer) offered(ctx context.Context, c *peer.Channel) {
	defer v.guard.Recover(partInput)
	if v.input.open(ctx, c) {
		v.log.Warn("session opens data channels without end", "channels", maxChannels)
		v.want(EndMisbehaved)
	}
}

var _ participant = (*viewer)(nil)

func (v *viewer) watching() Display { return v.sub.feed().display }

func (v *viewer) away() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.life.state == stateDisconnected
}

func (v *viewer) lastHeard() time.Time { return v.heard.get() }

// stop ends the viewer's goroutines and its peer connection, and waits for them.
func (v *viewer) stop() error {
	v.live.Store(false)
	v.sub.leave()
	v.cancel()
	err := v.peer.Close()
	v.wg.Wait()
	return err
}

// run ticks the controller and watches the transport.
func (v *viewer) run(ctx context.Context) {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-v.changed:
		}
		if v.crash.Load() != nil {
			v.want(EndError)
			return
		}
		v.watch(time.Now())
		if v.live.Load() {
			if rtt, ok := v.peer.RoundTrip(); ok {
				v.adaptation.echo(rtt)
			}
		}
		if v.live.Load() {
			before := v.adaptation.wantsKey()
			if _, key := v.adaptation.tick(); key && !before {
				v.sub.nudge()
			}
		}
		v.sub.giveUp(time.Now())
		v.measure(time.Now())
	}
}

// listen reads RTCP until the peer connection is closed.
func (v *viewer) listen() {
	for {
		report, err := v.peer.Receive()
		if err != nil {
			return
		}
		v.heard.set(time.Now())
		v.receive(report)
	}
}

// receive handles feedback of the viewer.
func (v *viewer) receive(report wire.Report) {
	lost := v.adaptation.receive(report)
	if report.Smaller {
		v.resized(v.sender.PacketSize())
	}
	if report.PLI || report.FIR || lost || report.Smaller {
		v.sub.nudge()
	}
	if report.Bye {
		v.want(EndViewerGone)
	}
}

// broken asks for a keyframe: the viewer lacks a packet that it will not get any more. Its own request may come seconds
// later.
func (v *viewer) broken() {
	v.adaptation.requestKeyframe(adapt.KeyframeRecovery)
	v.sub.nudge()
}

// resized makes known that packets are smaller from here on, since larger ones do not arrive.
func (v *viewer) resized(size int) {
	v.met.smallerPackets.Inc()
	event := v.emit(Event{Kind: EventPacketSize, Session: v.id, Display: v.sub.display(), To: strconv.Itoa(size)})
	v.log.Warn("large packets do not arrive, as on a path with a small MTU; smaller ones are sent (media_mtu)", "event", event, "size", size)
}

// transition makes a change of quality known. The adaptation calls it with its mutex held, which keeps them
// in order.
func (v *viewer) transition(t adapt.Transition) {
	r := RecordOf(t)
	v.mu.Lock()
	defer v.mu.Unlock() // so that its end is told after it
	if v.over {
		return
	}
	v.transitions = append(v.transitions, r)
	if n := len(v.transitions) - keptTransitions; n > 0 {
		v.transitions = append([]TransitionRecord(nil), v.transitions[n:]...)
	}
	v.met.transitions.WithLabelValues(r.From, r.To, r.Reason).Inc()
	event := v.emit(Event{Kind: EventQuality, Session: v.id, Display: v.sub.display(), Reason: r.Reason, Transition: &r})
	v.log.Info("quality changed", "event", event, "seq", r.Seq, "from", r.From, "to", r.To, "reason", r.Reason,
		"dwell_seconds", r.DwellSeconds, "target_bitrate", r.Target, "received_bitrate", r.Received,
		"rtt_seconds", r.RTTSeconds, "queue_delay_seconds", r.QueueSeconds, "loss", r.Loss)
}

// demand returns what the viewer needs and can accept, without the limits of its decoder.
func (v *viewer) demand() pipeline.Demand {
	if !v.live.Load() {
		t := v.adaptation.target()
		d := pipeline.Demand{BitsPerSecond: t.EncoderBitrate, FPS: t.FPS, Scale: 1}
		v.limits.bound(&d)
		return d
	}
	t, key := v.adaptation.tick()
	d := pipeline.Demand{
		Live: true, Stalled: t.Quality == adapt.Stalled, Keyframe: key,
		BitsPerSecond: t.EncoderBitrate, FPS: t.FPS, Scale: 1,
	}
	if t.Width > 0 {
		d.Scale = min(1, float64(t.Width)/float64(v.baseW))
	}
	q := v.sender.Queue()
	room := pacing.Room(q.Packets, q.Bytes, int(v.backlog.Load()), t.PacingRate, t.FPS)
	d.Ready = !t.Skip && room
	v.limits.bound(&d)
	return d
}

// send hands a picture to the pacer.
func (v *viewer) send(au encode.AccessUnit, p pipeline.Picture) error {
	w, err := v.peer.Track().WriteAccessUnit(au)
	if err != nil {
		v.missed()
		return err
	}
	if w.Packets == 0 {
		v.met.pipeline.Drop(pipeline.DropNoPackets)
	}
	v.backlog.Store(int64(w.Packets))
	took := au.Encode
	if most := pipeline.LateAfter(v.adaptation.target().FPS); took > most && v.crowded() {
		took = most // it is not the encoder that is slow
	}
	if p.Dirty == 0 {
		took = 0 // a still picture is refined for as long as the time is left over, and says nothing of motion
	}
	v.adaptation.delivered(adapt.Source{
		FrameBytes: w.Bytes, Keyframe: au.Key, QP: au.QP, EncodeTime: took, Dirty: p.Dirty, Class: p.Class,
	})
	v.mu.Lock()
	v.frames++
	if au.Key {
		v.keys++
	}
	v.mu.Unlock()
	return nil
}

func (v *viewer) missed() {
	v.mu.Lock()
	v.dropped++
	v.mu.Unlock()
}

// watch steps the state machine of the transport.
func (v *viewer) watch(now time.Time) {
	f := facts{State: v.peer.State(), heard: v.heard.get(), frozen: v.frozen()}
	v.mu.Lock()
	from, since := v.life.state, v.life.since
	d := v.life.step(now, f)
	to := v.life.state
	if d.changed && to == stateConnected && v.connected.IsZero() {
		v.connected = now
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
		v.log.Info("session connected", "event", event, "handshake_seconds", after.Seconds(), "path", r.Path, "protocol", r.Protocol,
			"start_bitrate", v.adaptation.recipe.config.WithDefaults().Start)
	} else {
		v.log.Info("session connected again", "event", event, "away_seconds", after.Seconds(), "path", r.Path, "protocol", r.Protocol)
	}
	v.live.Store(true)
	v.sub.nudge()
}

// arrived reports that the viewer gets its pictures from another encoding. The caller holds the subscription's mu.
func (v *viewer) arrived(old, now *feed) {
	from, to := old.on, now.on
	before, after := from.Status().BitsPerSecond, to.Status().BitsPerSecond
	why := encodingFaster
	switch {
	case old.source != now.source:
		why = encodingDisplay
		v.limits.set(func(c *limits) { c.display = now.ceiling })
	case after < before:
		why = encodingSlower
	}
	v.met.encodingMoves.WithLabelValues(why).Inc()
	event := v.emit(Event{Kind: EventEncoding, Session: v.id, Display: now.display.ID, Reason: why, From: from.Name(), To: to.Name()})
	v.log.Info("encoding changed", "event", event, "reason", why, "display", now.display.ID, "from", from.Index(), "to", to.Index(), "from_bitrate", before, "to_bitrate", after)
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

func (v *viewer) setRoute(r peer.Route) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.route.Path != "" {
		v.met.path.WithLabelValues(v.route.Path).Dec()
	}
	if r.Path != "" {
		v.met.path.WithLabelValues(r.Path).Inc()
	}
	v.route = r
}

// frozen tells whether the picture stands because of this host.
func (v *viewer) frozen() bool {
	f := v.sub.feed()
	return f.source.Status().State != pipeline.Live || f.on.Status().Stuck
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

// beginLocal begins again with a higher bitrate when the path is local, as far as settings and grants allow. Nothing has
// been sent yet.
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

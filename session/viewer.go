package session

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/pacing"
	"wavryhost/encode"
	"wavryhost/platform/guard"
	"wavryhost/session/floor"
	"wavryhost/session/peer"
	"wavryhost/session/pipeline"
	"wavryhost/session/relay"
	"wavryhost/session/wire"
)

// keptTransitions is how many transitions a Snapshot shows.
const keptTransitions = 32

// owner is what a viewer needs of the owner of its session.
type owner struct {
	// emit makes an event known, and returns its ID. It may be called with any lock held.
	emit func(Event) uint64
	// want is told once why the session should end.
	want func(why EndReason)
	// crowded reports whether pictures are late because of the host's load while load shedding can do something about
	// it.
	crowded func() bool
	// doubt is told the servers that gave no relayed address.
	doubt func([]relay.Server)
}

// viewer is one session: a peer connection, its pacer, and its adaptation. Three goroutines belong to it: one reads
// feedback, one paces, and one ticks the controller and watches the transport. A panic in any of them, in a callback
// of pion or in a call by an encode loop ends the session, and nothing else.
type viewer struct {
	owner

	// What it is. This does not change.
	id      string
	offer   Offer
	created time.Time
	log     *slog.Logger
	guard   *guard.Guard
	// decoders are the limits of the viewer's decoders, by the negotiated formats. formats lists these; the
	// session begins with the first.
	decoders map[encode.Format]encode.DecoderLimits
	formats  []encode.Format
	most     int // the host's own ceiling, in bits per second
	baseW    int // the width that the controller was told
	// settle is the time after which the route counts although the viewer has not sent its address.
	settle time.Duration

	// Its parts. Each guards itself.
	peer       *peer.Peer
	sender     *wire.Sender
	input      *floor.Participant
	pointer    *pointerChannel
	sub        subscription
	limits     limits
	adaptation adaptation
	trace      traces
	figures

	// Its goroutines.
	changed signal // the transport's state may have changed, or the viewer rests no longer
	cadence cadence
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	crash   atomic.Pointer[error] // the panic or stall that ends the session
	live    atomic.Bool           // media can flow
	heard   instant               // of the last RTCP
	backlog atomic.Int64          // packets of the newest picture
	class   atomic.Int64          // adapt.ContentClass of the newest picture
	codec   codecState
}

// instant is a time that one goroutine sets and others read. It keeps the reading of the monotonic clock: a step of
// the wall clock is no silence.
type instant struct{ at atomic.Pointer[time.Time] }

func (i *instant) set(at time.Time) { i.at.Store(&at) }

// get returns the time, zero before it was set.
func (i *instant) get() time.Time {
	if at := i.at.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// crashed notes a panic, or a loop that stalls, of which the session ends. It may be called before the session is
// started, and with any lock held.
func (v *viewer) crashed(err error) {
	v.crash.CompareAndSwap(nil, &err)
	v.live.Store(false)
	v.changed.raise()
}

// resized makes known that packets are smaller from here on, since larger ones do not arrive.
func (v *viewer) resized(size int) {
	v.met.smallerPackets.Inc()
	event := v.emit(Event{Kind: EventPacketSize, Session: v.id, Display: v.sub.display(), To: strconv.Itoa(size)})
	v.log.Warn("large packets do not arrive, as on a path with a small MTU; smaller ones are sent "+
		"(media.mtu)", "event", event, "size", size)
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
	event := v.emit(Event{
		Kind: EventQuality, Session: v.id, Display: v.sub.display(), Reason: r.Reason,
		Transition: &r,
	})
	v.log.Info("quality changed", "event", event, "seq", r.Seq, "from", r.From, "to", r.To, "reason", r.Reason,
		"dwell_seconds", r.DwellSeconds, "target_bitrate", r.Target, "received_bitrate", r.Received,
		"rtt_seconds", r.RTTSeconds, "queue_delay_seconds", r.QueueSeconds, "loss", r.Loss)
}

// demand returns what the viewer needs and can accept, without the limits of its decoder.
func (v *viewer) demand() pipeline.Demand {
	if !v.live.Load() {
		t := v.adaptation.target()
		d := pipeline.Demand{
			Probe: v.offer.Probe, BitsPerSecond: t.EncoderBitrate, FPS: t.FPS, Scale: 1,
		}
		v.limits.bound(&d)
		return d
	}
	t, key := v.adaptation.tick()
	d := pipeline.Demand{
		Live: true, Probe: v.offer.Probe, Stalled: t.Quality == adapt.Stalled, Keyframe: key,
		BitsPerSecond: t.EncoderBitrate, FPS: t.FPS, Scale: 1,
	}
	if t.Width > 0 {
		d.Scale = min(1, float64(t.Width)/float64(v.baseW))
	}
	d.Ready = v.roomFor(t)
	v.limits.bound(&d)
	return d
}

// roomFor reports whether the pacer has room for a picture and the controller does not skip one.
func (v *viewer) roomFor(t adapt.Targets) bool {
	q := v.sender.Queue()
	return !t.Skip && pacing.Room(q.Packets, q.Bytes, int(v.backlog.Load()), t.PacingRate, t.FPS)
}

// send hands a picture to the pacer.
func (v *viewer) send(au encode.AccessUnit, p pipeline.Picture) error {
	sampled := v.trace.begin(au, p)
	w, err := v.peer.Track().WriteAccessUnit(au)
	if sampled && (err != nil || w.Packets == 0) {
		v.trace.refused()
	}
	if err != nil {
		v.missed()
		return err
	}
	if w.Packets == 0 {
		v.met.pipeline.Drop(pipeline.DropNoPackets)
	}
	v.backlog.Store(int64(w.Packets))
	v.class.Store(int64(p.Class))
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
	v.handedOver(time.Now(), w.Packets)
	if au.Key {
		v.keys++
	}
	v.mu.Unlock()
	return nil
}

// setHostLimit limits the viewer to so many pictures a second and such a size for the host's load; 0 ends that. Its
// controller is told, as it would call good what little is left.
func (v *viewer) setHostLimit(fps int, scale float64) {
	same := false
	v.limits.set(func(c *limits) {
		same = c.fps == fps && c.scale == scale
		c.fps, c.scale = fps, scale
	})
	if same {
		return
	}
	defer v.guard.Recover(partSession)
	v.adaptation.limit(adapt.Limit{FPS: fps, Scale: scale})
}

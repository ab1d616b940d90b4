package session

import (
	"errors"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/platform/guard"
	"wavryhost/session/pipeline"
)

// subscriber is a viewer as the encoding of one of its feeds sees it. The encode loop calls it for all viewers of its
// encoding. A panic of one viewer's part must not stop the others.
type subscriber struct {
	viewer *viewer
	feed   *feed
}

var _ pipeline.Subscriber = subscriber{}

// begin gives the viewer its first feed.
func (v *viewer) begin(f *feed) {
	v.sub.subscriber = func(f *feed) pipeline.Subscriber { return subscriber{v, f} }
	v.sub.arrived = func(old, now *feed) { subscriber{v, now}.arrived(old) }
	v.sub.begin(f)
}

// Demand implements pipeline.Subscriber.
func (s subscriber) Demand(time.Time) pipeline.Demand {
	v := s.viewer
	defer v.guard.Recover(partSession)
	d := v.demand()
	if limits := v.decoders[s.feed.format]; limits != (encode.DecoderLimits{}) {
		size := s.feed.source.Size()
		d.Bound(limits, size.X, size.Y)
	}
	d.Leaving, d.Arriving = v.sub.moving(s.feed)
	d.Recoding = d.Arriving && v.sub.feed().format != s.feed.format
	if d.Leaving {
		d.Keyframe = false // the first picture of the new encoding is one
	}
	return d
}

// Viewer implements pipeline.Subscriber.
func (s subscriber) Viewer() any { return s.viewer }

// RequestKeyframe implements pipeline.Subscriber.
func (s subscriber) RequestKeyframe(_ time.Time, why adapt.KeyframeReason) {
	defer s.viewer.guard.Recover(partSession)
	s.viewer.adaptation.requestKeyframe(why)
}

// Deliver implements pipeline.Subscriber.
func (s subscriber) Deliver(au encode.AccessUnit, p pipeline.Picture) (err error) {
	v := s.viewer
	defer func() {
		if _, panicked := errors.AsType[*guard.PanicError](err); panicked {
			v.crashed(err)
		}
	}()
	defer v.guard.Catch(partSession, &err)
	v.sub.mu.Lock()
	defer v.sub.mu.Unlock()
	switch {
	case v.sub.left:
		return pipeline.ErrMoved
	case s.feed == v.sub.pending && au.Key:
		v.sub.arrive(s.feed)
	case s.feed != v.sub.current:
		return pipeline.ErrMoved
	}
	return v.send(au, p)
}

// Missed implements pipeline.Subscriber.
func (s subscriber) Missed() { s.viewer.missed() }

// Reassign implements pipeline.Subscriber.
func (s subscriber) Reassign(to *pipeline.Encoding) {
	f := s.feed
	s.viewer.sub.moveTo(&feed{
		display: f.display, source: f.source, on: to, format: f.format, pointer: f.pointer, ceiling: f.ceiling,
	})
}

// Applied implements pipeline.Subscriber.
func (s subscriber) Applied(a adapt.Applied) {
	defer s.viewer.guard.Recover(partSession)
	if leaving, arriving := s.viewer.sub.moving(s.feed); !leaving && !arriving {
		s.viewer.adaptation.applied(a)
	}
}

// arrived makes known that the viewer gets its pictures from this feed now. The caller holds the subscription's mu.
func (s subscriber) arrived(old *feed) {
	v, now := s.viewer, s.feed
	from, to := old.on, now.on
	before, after := from.Status().BitsPerSecond, to.Status().BitsPerSecond
	v.pointer.moved.raise()
	why := encodingFaster
	switch {
	case old.source != now.source:
		why = encodingDisplay
		v.limits.set(func(c *limits) { c.display = now.ceiling })
	case old.format != now.format:
		s.recoded(old)
		return
	case after < before:
		why = encodingSlower
	}
	v.met.encodingMoves.WithLabelValues(why).Inc()
	event := v.emit(Event{
		Kind: EventEncoding, Session: v.id, Display: now.display.ID, Reason: why,
		From: from.Name(), To: to.Name(),
	})
	v.log.Info("encoding "+
		"changed", "event", event, "reason", why, "display", now.display.ID, "from", from.Index(), "to",
		to.Index(), "from_bitrate", before, "to_bitrate", after)
}

// recoded makes known that the viewer has another codec.
func (s subscriber) recoded(old *feed) {
	v, now := s.viewer, s.feed
	why := v.codec.arrived()
	from, to := old.format.String(), now.format.String()
	v.met.codecChanges.WithLabelValues(string(why)).Inc()
	event := v.emit(Event{
		Kind: EventCodec, Session: v.id, Display: now.display.ID, Reason: string(why), From: from, To: to,
	})
	v.log.Info("codec changed", "event", event, "reason", string(why), "from", from, "to", to,
		"encoder", now.on.Status().Encoder)
}

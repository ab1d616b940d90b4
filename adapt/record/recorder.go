package record

import (
	"slices"
	"time"

	"wavryhost/adapt"
)

const (
	// DefaultLimit is how many bytes of events a Recorder keeps unless told otherwise: about four minutes at 4 Mbit/s, and
	// 50 s at 20 Mbit/s. The copies of the controller, one for each chunk, come on top: 0.7 MB.
	DefaultLimit = 2 << 20
	// chunks is how many parts the limit has. The oldest one is dropped as a whole.
	chunks = 8
)

// chunk is a stretch of events after a copy of the controller. Neither is ever changed, but that events are added at
// the end.
type chunk struct {
	before adapt.Loop
	events []byte
}

// Recorder is an adapt.Controller that keeps what passes. Like every controller it takes one call at a time.
type Recorder struct {
	loop  *adapt.Loop
	about About
	start time.Time // as the caller's clock has it
	base  time.Time // the same moment on the recording's clock
	size  int       // of a chunk
	kept  []*chunk  // oldest first
	// dropped tells that the oldest chunk is not the first one.
	dropped bool
	now     *chunk
	enc     encoder
	last    adapt.Targets
}

var _ adapt.Controller = (*Recorder)(nil)

// About says where a recording comes from.
type About struct {
	// Version is that of the program, Session and Display what was recorded.
	Version string `json:"version"`
	Session string `json:"session,omitempty"`
	Display string `json:"display,omitempty"`
	// Encoder is what the display was encoded by at the start.
	Encoder string `json:"encoder,omitempty"`
}

// New returns a Recorder of a controller that was made from cfg and has not been called yet. It keeps about limit
// bytes of events; 0 is DefaultLimit.
func New(loop *adapt.Loop, about About, start time.Time, limit int) *Recorder {
	if limit == 0 {
		limit = DefaultLimit
	}
	r := &Recorder{loop: loop, about: about, start: start, base: start.Round(0).UTC(), size: max(limit/chunks, 256)}
	r.begin()
	return r
}

// begin starts a chunk, and drops the oldest when there are too many.
func (r *Recorder) begin() {
	r.now = &chunk{before: *r.loop}
	if len(r.kept) >= chunks {
		r.kept = append(r.kept[:0], r.kept[1:]...)
		r.dropped = true
	}
	r.kept = append(r.kept, r.now)
	r.enc = encoder{base: r.base}
	r.last = adapt.Targets{}
}

// room starts a chunk where the one before is full. It comes before the controller is called, whose copy it takes.
func (r *Recorder) room() {
	if len(r.now.events) >= r.size {
		r.begin()
	}
}

// in puts a time of the caller's on the recording's clock.
func (r *Recorder) in(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return r.base.Add(t.Sub(r.start))
}

// out puts a time of the recording's on the caller's clock.
func (r *Recorder) out(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return r.start.Add(t.Sub(r.base))
}

// theirs is a time of the receiver's clock, of which only differences mean anything.
func theirs(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Round(0).UTC()
}

// OnSent implements adapt.Controller.
func (r *Recorder) OnSent(p adapt.Packet) {
	r.room()
	p.Sent, p.Arrived = r.in(p.Sent), theirs(p.Arrived)
	r.now.events = r.enc.sent(r.now.events, p)
	r.loop.OnSent(p)
}

// OnFeedback implements adapt.Controller. The packets of f are put on the recording's clock in place.
func (r *Recorder) OnFeedback(f adapt.Feedback) {
	r.room()
	f.At = r.in(f.At)
	for i := range f.Packets {
		p := &f.Packets[i]
		p.Sent, p.Arrived = r.in(p.Sent), theirs(p.Arrived)
	}
	r.now.events = r.enc.feedback(r.now.events, f)
	r.loop.OnFeedback(f)
}

// OnSource implements adapt.Controller.
func (r *Recorder) OnSource(s adapt.Source) {
	r.room()
	s.At = r.in(s.At)
	r.now.events = r.enc.source(r.now.events, s)
	r.loop.OnSource(s)
}

// OnKeyframeRequest implements adapt.Controller.
func (r *Recorder) OnKeyframeRequest(now time.Time, why adapt.KeyframeReason) {
	r.room()
	now = r.in(now)
	r.now.events = r.enc.keyframe(r.now.events, now, why)
	r.loop.OnKeyframeRequest(now, why)
}

// OnApplied implements adapt.Controller.
func (r *Recorder) OnApplied(a adapt.Applied) {
	r.room()
	a.At = r.in(a.At)
	r.now.events = r.enc.applied(r.now.events, a)
	r.loop.OnApplied(a)
}

// OnLimit implements adapt.Controller.
func (r *Recorder) OnLimit(l adapt.Limit) {
	r.room()
	l.At = r.in(l.At)
	r.now.events = r.enc.limit(r.now.events, l)
	r.loop.OnLimit(l)
}

// Tick implements adapt.Controller.
func (r *Recorder) Tick(now time.Time) adapt.Targets {
	r.room()
	now = r.in(now)
	t := r.loop.Tick(now)
	r.now.events = r.enc.tick(r.now.events, now, r.last, t)
	r.last = t
	t.Pad.Until, t.Transition.At = r.out(t.Pad.Until), r.out(t.Transition.At)
	return t
}

// Estimate implements adapt.Controller.
func (r *Recorder) Estimate(now time.Time) adapt.Estimate {
	r.room()
	now = r.in(now)
	r.now.events = r.enc.estimate(r.now.events, now)
	return r.loop.Estimate(now)
}

// Recording returns what is kept at present. It shares the Recorder's memory, which is not changed any more, and takes
// no time to make.
func (r *Recorder) Recording() *Recording {
	first := r.kept[0]
	rec := &Recording{
		Header: Header{
			About: r.about, Base: r.base, Config: first.before.Config(), Controller: schema(), Whole: !r.dropped,
		},
		loop: &first.before,
	}
	for _, c := range r.kept {
		rec.chunks = append(rec.chunks, slices.Clip(c.events))
	}
	return rec
}

package session

import (
	"errors"
	"image"
	"sync/atomic"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/platform/guard"
	"wavryhost/session/lockorder"
	"wavryhost/session/pipeline"
	"wavryhost/session/pointer"
)

// moveTimeout is how long a viewer waits for the first keyframe of the encoding that it moves to. After that it stays
// where it is.
const moveTimeout = 3 * time.Second

// encoding is what a viewer uses of a *pipeline.Encoding.
type encoding interface {
	Subscribe(s pipeline.Subscriber)
	Unsubscribe(s pipeline.Subscriber)
	Nudge()
	Status() pipeline.EncodingStatus
	Rate() int
	Index() int
	Name() string
}

// source is what a viewer uses of a *pipeline.Pipeline.
type source interface {
	Status() pipeline.Status
	Size() image.Point
}

// feed is one viewer at one encoding of a display.
type feed struct {
	viewer  *viewer
	display Display
	source  source
	on      encoding
	format  encode.Format // of on
	// pointer has the display's pointer, which its pictures lack; nil if they have it.
	pointer *pointer.Feed
	// ceiling is the bitrate limit of the display, or 0 for none.
	ceiling int
	// release ends the use of the display. It is nil if another feed of the viewer must end it. The subscription's mu
	// guards it.
	release func()
}

var _ pipeline.Subscriber = (*feed)(nil)

// subscription has the source of a viewer's pictures. A viewer that moves has two feeds until the pending feed gives it
// a keyframe. Before the keyframe its pictures come from the current feed, and after it from the pending one.
type subscription struct {
	viewer *viewer

	// mu is held while a picture is handed over, so that no picture of the old encoding comes after the first one of
	// the new encoding. The viewer's ctl is taken with it held, and never the other way round.
	mu      lockorder.Mutex[subscriptionLock]
	current *feed
	pending *feed // nil unless it moves
	since   time.Time
	left    bool

	// shown and heading are current and pending again, to be read with any lock held: events of a controller name the
	// display.
	shown, heading atomic.Pointer[feed]
}

// feed returns where the viewer gets its pictures from. It takes no lock.
func (s *subscription) feed() *feed { return s.shown.Load() }

// display returns the ID of the display that the viewer sees. It takes no lock.
func (s *subscription) display() string { return s.feed().display.ID }

// pendingDisplay returns the ID of the display that the viewer moves to, or "" for none. It takes no lock.
func (s *subscription) pendingDisplay() string {
	if to := s.heading.Load(); to != nil {
		return to.display.ID
	}
	return ""
}

// nudge makes the encode loops of the viewer's encodings ask it again.
func (s *subscription) nudge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.on.Nudge()
	if s.pending != nil {
		s.pending.on.Nudge()
	}
}

// begin gives the viewer its first feed. The encoding does not know it before join.
func (s *subscription) begin(v *viewer, f *feed) {
	s.viewer, f.viewer = v, v
	s.current = f
	s.shown.Store(f)
}

// join subscribes the viewer to its encoding.
func (s *subscription) join() { s.current.on.Subscribe(s.current) }

// leave unsubscribes the viewer. It keeps the use of its displays; see vacate. No move begins after it.
func (s *subscription) leave() {
	s.mu.Lock()
	s.left = true
	current, pending := s.current, s.pending
	s.mu.Unlock()
	current.on.Unsubscribe(current)
	if pending != nil {
		pending.on.Unsubscribe(pending)
	}
}

// vacate ends the use of the displays of a viewer that left.
func (s *subscription) vacate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range []*feed{s.current, s.pending} {
		if f != nil && f.release != nil {
			f.release()
			f.release = nil
		}
	}
}

// moveTo begins a move to another feed. It reports whether it did: a viewer makes one move at a time. A feed without a
// release is one of the viewer's display.
func (s *subscription) moveTo(next *feed) bool {
	if next.on == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.current
	if s.left || s.pending != nil || next.on == current.on ||
		next.release == nil && next.source != current.source {
		return false
	}
	next.viewer = s.viewer
	s.pending, s.since = next, time.Now()
	s.heading.Store(next)
	next.on.Subscribe(next) // with mu held: a viewer that leaves next finds it subscribed
	current.on.Nudge()
	return true
}

// giveUp ends a move that takes too long.
func (s *subscription) giveUp(now time.Time) {
	s.mu.Lock()
	next := s.pending
	if next == nil || s.left || now.Sub(s.since) < moveTimeout {
		s.mu.Unlock()
		return
	}
	s.pending = nil
	s.heading.Store(nil)
	release := next.release
	next.release = nil
	s.mu.Unlock()
	next.on.Unsubscribe(next)
	if release != nil {
		release()
	}
}

// moving reports whether the viewer moves away from this feed, and whether it moves to it.
func (f *feed) moving() (leaving, arriving bool) {
	sub := &f.viewer.sub
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.current == f && sub.pending != nil, sub.current != f
}

// The encode loop calls the methods that follow for all viewers of its encoding. A panic of one viewer's part must not
// stop the others.

// Demand implements pipeline.Subscriber.
func (f *feed) Demand(time.Time) pipeline.Demand {
	v := f.viewer
	defer v.guard.Recover(partSession)
	d := v.demand()
	if limits := v.decoders[f.format]; limits != (encode.DecoderLimits{}) {
		size := f.source.Size()
		d.Bound(limits, size.X, size.Y)
	}
	d.Leaving, d.Arriving = f.moving()
	d.Recoding = d.Arriving && v.sub.feed().format != f.format
	if d.Leaving {
		d.Keyframe = false // the first picture of the new encoding is one
	}
	return d
}

// Viewer implements pipeline.Subscriber.
func (f *feed) Viewer() any { return f.viewer }

// RequestKeyframe implements pipeline.Subscriber.
func (f *feed) RequestKeyframe(_ time.Time, why adapt.KeyframeReason) {
	defer f.viewer.guard.Recover(partSession)
	f.viewer.adaptation.requestKeyframe(why)
}

// Deliver implements pipeline.Subscriber.
func (f *feed) Deliver(au encode.AccessUnit, p pipeline.Picture) (err error) {
	v := f.viewer
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
	case f == v.sub.pending && au.Key:
		v.sub.arrive(f)
	case f != v.sub.current:
		return pipeline.ErrMoved
	}
	return v.send(au, p)
}

// arrive makes the pending feed the current one. The caller holds the subscription's mu.
func (s *subscription) arrive(f *feed) {
	old := s.current
	s.current, s.pending = f, nil
	s.shown.Store(f)
	s.heading.Store(nil)
	old.on.Unsubscribe(old)
	switch {
	case f.release == nil:
		f.release = old.release
	case old.release != nil:
		old.release()
	}
	old.release = nil
	s.viewer.arrived(old, f)
}

// Missed implements pipeline.Subscriber.
func (f *feed) Missed() { f.viewer.missed() }

// Reassign implements pipeline.Subscriber.
func (f *feed) Reassign(to *pipeline.Encoding) {
	f.viewer.sub.moveTo(&feed{
		display: f.display, source: f.source, on: to, format: f.format, pointer: f.pointer, ceiling: f.ceiling,
	})
}

// Applied implements pipeline.Subscriber.
func (f *feed) Applied(a adapt.Applied) {
	defer f.viewer.guard.Recover(partSession)
	if leaving, arriving := f.moving(); !leaving && !arriving {
		f.viewer.adaptation.applied(a)
	}
}

// moves reports whether the viewer is on its way to another feed.
func (s *subscription) moves() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending != nil
}

// frozen reports whether the picture stands still because of this host.
func (f *feed) frozen() bool {
	return f.source.Status().State != pipeline.Live || f.on.Status().Stuck
}

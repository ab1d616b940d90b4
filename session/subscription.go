package session

import (
	"image"
	"sync/atomic"
	"time"

	"wavryhost/encode"
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
	// subscriber is the viewer as the encoding sees it. The subscription sets it.
	subscriber pipeline.Subscriber
}

// subscription has the source of a viewer's pictures. A viewer that moves has two feeds until the pending feed gives it
// a keyframe. Before the keyframe its pictures come from the current feed, and after it from the pending one.
type subscription struct {
	// subscriber returns the viewer as the encoding of a feed sees it. arrived is told that the viewer gets its pictures
	// from another feed, with mu held.
	subscriber func(*feed) pipeline.Subscriber
	arrived    func(old, now *feed)

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
func (s *subscription) begin(f *feed) {
	f.subscriber = s.subscriber(f)
	s.current = f
	s.shown.Store(f)
}

// join subscribes the viewer to its encoding.
func (s *subscription) join() { s.current.on.Subscribe(s.current.subscriber) }

// leave unsubscribes the viewer. It keeps the use of its displays; see vacate. No move begins after it.
func (s *subscription) leave() {
	s.mu.Lock()
	s.left = true
	current, pending := s.current, s.pending
	s.mu.Unlock()
	current.on.Unsubscribe(current.subscriber)
	if pending != nil {
		pending.on.Unsubscribe(pending.subscriber)
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
	next.subscriber = s.subscriber(next)
	s.pending, s.since = next, time.Now()
	s.heading.Store(next)
	next.on.Subscribe(next.subscriber) // with mu held: a viewer that leaves next finds it subscribed
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
	next.on.Unsubscribe(next.subscriber)
	if release != nil {
		release()
	}
}

// moving reports whether the viewer moves away from a feed, and whether it moves to it.
func (s *subscription) moving(f *feed) (leaving, arriving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current == f && s.pending != nil, s.current != f
}

// arrive makes the pending feed the current one. The caller holds the subscription's mu.
func (s *subscription) arrive(f *feed) {
	old := s.current
	s.current, s.pending = f, nil
	s.shown.Store(f)
	s.heading.Store(nil)
	old.on.Unsubscribe(old.subscriber)
	switch {
	case f.release == nil:
		f.release = old.release
	case old.release != nil:
		old.release()
	}
	old.release = nil
	s.arrived(old, f)
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

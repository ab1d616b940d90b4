package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"wavryhost/platform/guard"
	"wavryhost/session/lockorder"
	"wavryhost/session/peer"
	"wavryhost/session/rift"
)

// ErrNoControl means that a session cannot control its display: its role or the host's settings forbid it, or the
// display takes no input.
var ErrNoControl = errors.New("session: control is not possible")

const (
	// heldSilence is how long nothing may be heard from a viewer that holds a key and does not report so. A browser
	// sends RTCP several times a second while pictures arrive, and once a second at least.
	heldSilence = 3 * time.Second
	// confirmSilence is how long a viewer that reports what it holds may be silent. Pages report each 100 ms, and X
	// servers repeat a key from 660 ms on: what is released within 400 ms, the janitor's round included, has typed one
	// letter.
	confirmSilence = 300 * time.Millisecond
	// stalledAfter is the silence on the channel of input after which a report counts although messages are missing
	// before it: one of them was lost and takes its time to be retransmitted.
	stalledAfter = 150 * time.Millisecond
	// lossPause is the pause in typing after which a display takes input again that has lost some: of a text, all that
	// follows a hole is dropped.
	lossPause = time.Second
	// injectorLinger is how long a connection to a display's input stays open when nobody controls the display.
	injectorLinger = 30 * time.Second
)

// participant is a viewer as floor control sees it. Its methods are called with the floor's mutex held and must not
// wait.
type participant interface {
	// watching returns the display that the viewer sees.
	watching() Display
	// away reports whether the path to the viewer is lost. pion finds that out after five seconds without a sign of
	// life; after that time nothing stays held.
	away() bool
	// lastHeard returns the time of the last RTCP packet from the viewer.
	lastHeard() time.Time
	// announce makes an event of the session known, and returns its ID. It may be called with any lock held.
	announce(e Event) uint64
}

// floor controls who gives input to which display: one session at a time (floor control, RFC 8855). The mutex is held
// for each message of input, and nothing is done with it that waits.
type floor struct {
	conf *live
	log  *slog.Logger
	met  *Metrics
	// guard catches panics of injectors.
	guard *guard.Guard

	mu     lockorder.Mutex[floorLock]
	states map[string]*floorState // by display
	open   map[*inputChannel]bool // those with a data channel for input
	closed bool
	wg     sync.WaitGroup // injectors; added to under mu while not closed
}

func newFloor(conf *live, log *slog.Logger, m *Metrics) *floor {
	return &floor{
		conf: conf, log: log, met: m, guard: m.guard(log, nil), states: make(map[string]*floorState),
		open: make(map[*inputChannel]bool),
	}
}

// policy returns whose input is taken.
func (f *floor) policy() InputPolicy { return f.conf.get().Input }

// accept registers a data channel of c, or returns why it is to be closed. many reports that there have been too many.
func (f *floor) accept(c *inputChannel, d *peer.Channel) (why string, many bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.opened++
	slot := &c.input
	if d.Label() == rift.StateLabel {
		slot = &c.reports
	}
	display := c.viewer.watching()
	switch {
	case d.Label() != rift.Label && d.Label() != rift.StateLabel:
		why = channelLabel
	case f.policy() == InputOff:
		why = channelOff
	case !f.policy().lets(c.role):
		why = channelRole
	case display.Input == nil:
		why = channelDisplay
	case *slot != nil:
		why = channelSecond
	default:
		*slot = d
		if slot == &c.input {
			f.open[c] = true
		}
		return "", c.opened > maxChannels
	}
	f.met.channelsRefused.WithLabelValues(why).Inc()
	if !c.refusalTold {
		c.refusalTold = true
		event := c.viewer.announce(Event{Kind: EventInputRefused, Session: c.session, Display: display.ID, Reason: why})
		c.log.Info("data channel refused", "event", event, "reason", why, "role", c.role.String())
	}
	return why, c.opened > maxChannels
}

// channelClosed notes that a data channel of c is closed.
func (f *floor) channelClosed(c *inputChannel, d *peer.Channel) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch d {
	case c.reports:
		c.reports, c.confirms = nil, false
	case c.input:
		c.input = nil
		delete(f.open, c)
		f.release(c, controlClosed)
	}
}

// leave frees the display of a session that ends.
func (f *floor) leave(c *inputChannel) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.over = true
	delete(f.open, c)
	f.release(c, controlEnded)
}

// release frees the display that c controls. The caller holds mu.
func (f *floor) release(c *inputChannel, why string) {
	for _, s := range f.states {
		if s.holder == c {
			f.assign(s, nil, why, time.Now())
		}
	}
}

// count counts a message of c that has no effect.
func (f *floor) count(c *inputChannel, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.messages++
	c.lastMessage = now
}

// wait waits until the display that c controls has room for input, or ctx ends.
func (f *floor) wait(ctx context.Context, c *inputChannel) error {
	f.mu.Lock()
	s := f.states[c.viewer.watching().ID]
	if s == nil || s.holder != c {
		f.mu.Unlock()
		return nil
	}
	injector := s.injector
	f.mu.Unlock()
	return injector.Wait(ctx)
}

// deliver gives an event of c to the display that its viewer watches, or returns why it is dropped. The first viewer
// that gives input to a free display gets control.
func (f *floor) deliver(c *inputChannel, e rift.Event, now time.Time) (dropped string) {
	f.count(c, now)
	var spare spareInjector
	for {
		dropped, missing := f.tryDeliver(c, e, now, spare)
		if missing == nil {
			return dropped
		}
		spare = spareInjector{missing.ID, missing.Input()} // without the mutex: nobody knows how long it takes
	}
}

// tryDeliver is deliver with a spare injector. It returns the display that needs one.
func (f *floor) tryDeliver(
	c *inputChannel, e rift.Event, now time.Time, spare spareInjector,
) (dropped string, missing *Display) {
	f.mu.Lock()
	defer f.mu.Unlock()
	display := c.viewer.watching()
	s := f.states[display.ID]
	switch {
	case !f.policy().lets(c.role):
		return inputNotAllowed, nil
	case display.Input == nil:
		return inputUnsupported, nil
	case c.over, c.barred, f.closed:
		return inputNoControl, nil
	case s != nil && s.holder != nil && s.holder != c && !f.idle(s, now):
		return inputNoControl, nil
	case s == nil && spare.display != display.ID:
		return "", &display
	}
	if s == nil || s.holder != c {
		f.release(c, controlMoved)
		s = f.state(display, spare)
		if s.holder != nil {
			f.assign(s, nil, controlIdle, now)
		}
		f.assign(s, c, controlTaken, now)
	}
	s.lastInput = now
	if s.muted(e, now) {
		return inputLost, nil
	}
	s.restoreModifiers(e)
	s.note(e)
	return s.inject(e), nil
}

// idle reports whether the holder has given no input for so long that another may take control. A key that is held
// down is input.
func (f *floor) idle(s *floorState, now time.Time) bool {
	return now.Sub(s.lastInput) >= f.conf.get().ControlIdle && !s.injector.Holding()
}

// confirm takes the report of what c holds.
func (f *floor) confirm(c *inputChannel, r rift.State, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.confirms, c.confirmed = true, now
	s := f.states[c.viewer.watching().ID]
	switch {
	case s == nil || s.holder != c:
	case r.Count < c.messages: // more has arrived since it was sent
	case r.Count > c.messages && (c.busy.Load() || now.Sub(c.lastMessage) < stalledAfter): // more is about to arrive
	default:
		s.releaseAllBut(r)
	}
}

// assign gives control of a display to a session, or to none. Nothing that its holder pressed stays held. The caller
// holds mu.
func (f *floor) assign(s *floorState, to *inputChannel, why string, now time.Time) {
	from := s.holder
	if from == to {
		return
	}
	s.releaseAll()
	s.holder, s.lastInput = to, now
	e := Event{Kind: EventControl, Display: s.display, Reason: why}
	about := from
	if from != nil {
		e.From = from.session
	}
	if to != nil {
		e.To = to.session
		about = to
	}
	e.Session = about.session
	f.met.controlChanges.WithLabelValues(why).Inc()
	n := 0
	for _, s := range f.states {
		if s.holder != nil {
			n++
		}
	}
	f.met.controlled.Set(float64(n))
	about.log.Info("control "+
		"changed", "event", about.viewer.announce(e), "display", s.display, "reason", why, "from", e.From, "to", e.To,
		"role", about.role.String())
}

// sweep takes control from viewers that may not have it any more, releases the keys of viewers that are silent, closes
// injectors that are not used, and opens the injectors of displays that viewers may control.
func (f *floor) sweep(now time.Time) {
	for _, c := range f.review(now) {
		f.prepare(c)
	}
}

// review is sweep without the opening of injectors. It returns the viewers whose display lacks one.
func (f *floor) review(now time.Time) (lacking []*inputChannel) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.open {
		display := c.viewer.watching()
		switch s := f.states[display.ID]; {
		case !f.mayControl(c, display):
		case s == nil:
			lacking = append(lacking, c)
		case s.holder == nil:
			s.lastInput = now
		}
	}
	for display, s := range f.states {
		h := s.holder
		switch {
		case h == nil && now.Sub(s.lastInput) >= s.linger:
			s.cancel()
			delete(f.states, display)
		case h == nil:
		case !f.policy().lets(h.role):
			f.assign(s, nil, controlOff, now)
		case h.viewer.watching().ID != display:
			f.assign(s, nil, controlMoved, now)
		case h.viewer.away():
			f.assign(s, nil, controlDisconnected, now)
		case f.idle(s, now):
			f.assign(s, nil, controlIdle, now)
		case h.confirms && len(s.down) > 0:
			if !h.busy.Load() && now.Sub(later(h.confirmed, h.lastMessage)) >= confirmSilence {
				s.lapse()
			}
		case !h.confirms && s.injector.Holding() && now.Sub(later(s.lastInput, h.viewer.lastHeard())) >= heldSilence:
			s.releaseAll()
		}
	}
	return lacking
}

// holding reports whether a viewer holds a key or a button.
func holding(f *floor) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.states {
		if s.holder != nil && (len(s.down) > 0 || s.injector.Holding()) {
			return true
		}
	}
	return false
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// give gives control to a session, or withdraws it.
func (f *floor) give(c *inputChannel, on bool) error {
	if !on {
		f.mu.Lock()
		defer f.mu.Unlock()
		c.barred = true
		f.release(c, controlWithdrawn)
		return nil
	}
	var spare spareInjector
	for {
		missing, err := f.tryGive(c, spare)
		if missing == nil {
			return err
		}
		spare = spareInjector{missing.ID, missing.Input()}
	}
}

// tryGive gives control to a session, with a spare injector. It returns the display that needs one.
func (f *floor) tryGive(c *inputChannel, spare spareInjector) (missing *Display, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	display := c.viewer.watching()
	switch {
	case f.closed, c.over:
		return nil, ErrUnknownSession
	case f.policy() == InputOff:
		return nil, fmt.Errorf("%w: the host takes no input (setting input)", ErrNoControl)
	case !f.policy().lets(c.role):
		return nil, fmt.Errorf("%w: the session's role is %s", ErrNoControl, c.role)
	case display.Input == nil:
		return nil, fmt.Errorf("%w: %s takes no input", ErrNoControl, display.ID)
	case f.states[display.ID] == nil && spare.display != display.ID:
		return &display, nil
	}
	c.barred = false
	s := f.state(display, spare)
	now := time.Now()
	if s.holder != c {
		f.release(c, controlMoved)
		f.assign(s, c, controlGiven, now)
	}
	s.lastInput = now
	return nil, nil
}

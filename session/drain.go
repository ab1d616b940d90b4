package session

import (
	"fmt"
	"log/slog"
	"time"
)

// drainable is the owner of sessions, as a drain sees it. The methods are called with the mutex held.
type drainable interface {
	// present returns the number of sessions, including sessions that are being created.
	present() int
	// inOrder returns the sessions that are not ending, in the order in which they have to go.
	inOrder() []*session
	// lookUp returns a session that is not ending.
	lookUp(id string) (*session, error)
	// beginEnd begins to end a session.
	beginEnd(s *session, why EndReason)
	// endReservations ends all reservations.
	endReservations()
	// wakeJanitor makes the janitor look at the sessions at once.
	wakeJanitor()
}

// moveTime is the time over which sessions are asked to move when a drain has no deadline.
const moveTime = 30 * time.Second

// The sessions that a drain ends at its deadline end one after the other, in the last part of the time: all their
// viewers look for another host then.
const (
	endShare = 4 // of the time, as a divisor
	endTime  = 30 * time.Second
)

// drain is a drain under way. The mutex of HostState guards it.
type drain struct {
	sessions drainable
	emit     func(Event) uint64
	log      *slog.Logger

	order    DrainOrder
	postpone time.Duration // the limit
	begun    time.Time
	deadline time.Time // zero for none
	done     time.Time
	atStart  int
	asked    map[string]bool    // sessions
	ends     map[string]planned // by session
}

// planned is the planned end of a session.
type planned struct {
	at        time.Time
	postponed time.Duration
}

func (p planned) end() time.Time { return p.at.Add(p.postponed) }

// status returns how far the drain has come. The caller holds mu.
func (d *drain) status() DrainStatus {
	postponed := 0
	for _, s := range d.sessions.inOrder() {
		if d.ends[s.id].postponed > 0 {
			postponed++
		}
	}
	return DrainStatus{
		Policy: d.order.Policy.String(), Owner: d.order.Owner, Note: d.order.Note,
		Begun: d.begun, Deadline: d.deadline, Done: d.done,
		AtStart: d.atStart, Left: d.sessions.present(), Asked: len(d.asked),
		Postpone: d.postpone.Seconds(), Postponed: postponed,
	}
}

// plan plans the ends of the sessions that have no planned end. The caller holds mu.
func (d *drain) plan() {
	span := d.order.Deadline // of all ends
	if d.deadline.IsZero() && d.order.Policy != DrainEnd {
		return
	}
	if d.order.Policy != DrainEnd {
		span = min(endTime, span/endShare)
	}
	var list []*session
	for _, s := range d.sessions.inOrder() {
		if _, ok := d.ends[s.id]; !ok {
			list = append(list, s)
		}
	}
	last := d.begun.Add(d.order.Deadline)
	for i, s := range list {
		p := planned{at: last.Add(-span * time.Duration(len(list)-1-i) / time.Duration(len(list)))}
		d.ends[s.id] = p
		if d.order.Deadline > 0 {
			s.announceEnd(p, endingPlanned)
		}
	}
}

// step does what the drain requires by now. The caller holds mu.
func (d *drain) step(now time.Time) {
	if d.sessions.present() == 0 {
		if d.done.IsZero() {
			d.done = now
			event := d.emit(Event{Kind: EventDrained})
			d.log.Info("drained", "event", event, "sessions", d.atStart, "took_seconds", now.Sub(d.begun).Seconds())
		}
		return
	}
	d.plan() // for sessions that were being created when the drain began
	left := d.sessions.inOrder()
	for _, s := range left {
		if p, ok := d.ends[s.id]; ok && !now.Before(p.end()) {
			d.sessions.beginEnd(s, EndDrained)
		}
	}
	if d.order.Policy == DrainMove {
		d.move(now, left)
	}
}

// move asks for the sessions to be moved whose turn it is. The caller holds mu.
func (d *drain) move(now time.Time, left []*session) {
	over := moveTime
	if d.order.Deadline > 0 {
		over = d.order.Deadline / 2
	}
	due := d.due(now, over)
	for _, s := range left {
		if len(d.asked) >= due || d.asked[s.id] {
			continue
		}
		d.asked[s.id] = true
		event := s.emit(Event{Kind: EventMove, Session: s.id, Display: s.sub.display()})
		s.log.Info("session should move to another host", "event", event)
	}
}

// due returns how many of the sessions should have had their turn by now, when all are to have it within a time from
// begun on. The first has it at once.
func (d *drain) due(now time.Time, within time.Duration) int {
	if within <= 0 {
		return d.atStart
	}
	return min(d.atStart, 1+int(float64(d.atStart)*now.Sub(d.begun).Seconds()/within.Seconds()))
}

// last returns when the last of the sessions ends, zero for never. The caller holds mu.
func (d *drain) last() (end time.Time) {
	for _, s := range d.sessions.inOrder() {
		if p, ok := d.ends[s.id]; ok && p.end().After(end) {
			end = p.end()
		}
	}
	return end
}

// ending returns the planned end of a session, nil if none is planned. The caller holds mu.
func (d *drain) ending(s *session) *PlannedEnd {
	p, ok := d.ends[s.id]
	if !ok {
		return nil
	}
	return &PlannedEnd{
		At: p.end(), In: max(0, time.Until(p.end())).Seconds(), Reason: EndDrained.String(), Note: d.order.Note,
		Postpone: (d.postpone - p.postponed).Seconds(),
	}
}

// postponeEnd postpones the planned end of a session, in total by what the drain allows. The caller holds mu.
func (d *drain) postponeEnd(s *session, by time.Duration) error {
	p, ok := d.ends[s.id]
	if !ok {
		return fmt.Errorf("%w: the drain has no deadline", ErrNotPostponable)
	}
	by = min(by, d.postpone-p.postponed)
	if by <= 0 {
		return fmt.Errorf("%w: the drain allows %v in total", ErrNotPostponable, d.postpone)
	}
	p.postponed += by
	d.ends[s.id] = p
	s.announceEnd(p, endingPostponed)
	return nil
}

// announceEnd makes the planned end of a session known.
func (s *session) announceEnd(p planned, why string) {
	event := s.emit(Event{
		Kind: EventEnding, Session: s.id, Display: s.sub.display(), Reason: why, To: p.end().UTC().Format(time.RFC3339),
	})
	s.log.Info("session will end", "event", event, "reason", why, "at", p.end(),
		"postponed_seconds", p.postponed.Seconds())
}

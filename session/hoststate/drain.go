package hoststate

import (
	"fmt"
	"log/slog"
	"time"
)

// moveTime is the time over which sessions are asked to move when a drain has no deadline.
const moveTime = 30 * time.Second

// The sessions that a drain ends at its deadline end one after the other, in the last part of the time: all their
// viewers look for another host then.
const (
	endShare = 4 // of the time, as a divisor
	endTime  = 30 * time.Second
)

// endDrained is the reason of the end of a session whose time in a drain is over.
const endDrained = "drained"

// drain is a drain under way.
type drain struct {
	sessions Sessions
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

// status returns how far the drain has come.
func (d *drain) status() DrainStatus {
	postponed := 0
	for _, id := range d.sessions.InOrder() {
		if d.ends[id].postponed > 0 {
			postponed++
		}
	}
	return DrainStatus{
		Policy: d.order.Policy.String(), Owner: d.order.Owner, Note: d.order.Note,
		Begun: d.begun, Deadline: d.deadline, Done: d.done,
		AtStart: d.atStart, Left: d.sessions.Present(), Asked: len(d.asked),
		Postpone: d.postpone.Seconds(), Postponed: postponed,
	}
}

// plan plans the ends of the sessions that have no planned end.
func (d *drain) plan() {
	span := d.order.Deadline // of all ends
	if d.deadline.IsZero() && d.order.Policy != DrainEnd {
		return
	}
	if d.order.Policy != DrainEnd {
		span = min(endTime, span/endShare)
	}
	var list []string
	for _, id := range d.sessions.InOrder() {
		if _, ok := d.ends[id]; !ok {
			list = append(list, id)
		}
	}
	last := d.begun.Add(d.order.Deadline)
	for i, id := range list {
		p := planned{at: last.Add(-span * time.Duration(len(list)-1-i) / time.Duration(len(list)))}
		d.ends[id] = p
		if d.order.Deadline > 0 {
			d.announce(id, p, endingPlanned)
		}
	}
}

// step does what the drain requires by now.
func (d *drain) step(now time.Time) {
	if d.sessions.Present() == 0 {
		if d.done.IsZero() {
			d.done = now
			event := d.emit(Event{Kind: EventDrained})
			d.log.Info("drained", "event", event, "sessions", d.atStart, "took_seconds", now.Sub(d.begun).Seconds())
		}
		return
	}
	d.plan() // for sessions that were being created when the drain began
	left := d.sessions.InOrder()
	for _, id := range left {
		if p, ok := d.ends[id]; ok && !now.Before(p.end()) {
			d.sessions.End(id)
		}
	}
	if d.order.Policy == DrainMove {
		d.move(now, left)
	}
}

// move asks for the sessions to be moved whose turn it is.
func (d *drain) move(now time.Time, left []string) {
	over := moveTime
	if d.order.Deadline > 0 {
		over = d.order.Deadline / 2
	}
	due := d.due(now, over)
	for _, id := range left {
		if len(d.asked) >= due || d.asked[id] {
			continue
		}
		d.asked[id] = true
		d.sessions.Move(id)
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

// last returns when the last of the sessions ends, zero for never.
func (d *drain) last() (end time.Time) {
	for _, id := range d.sessions.InOrder() {
		if p, ok := d.ends[id]; ok && p.end().After(end) {
			end = p.end()
		}
	}
	return end
}

// ending returns the planned end of a session, nil if none is planned.
func (d *drain) ending(id string, now time.Time) *PlannedEnd {
	p, ok := d.ends[id]
	if !ok {
		return nil
	}
	return &PlannedEnd{
		At: p.end(), In: max(0, p.end().Sub(now)).Seconds(), Reason: endDrained, Note: d.order.Note,
		Postpone: (d.postpone - p.postponed).Seconds(),
	}
}

// postponeEnd postpones the planned end of a session, in total by what the drain allows.
func (d *drain) postponeEnd(id string, by time.Duration) error {
	p, ok := d.ends[id]
	if !ok {
		return fmt.Errorf("%w: the drain has no deadline", ErrNotPostponable)
	}
	by = min(by, d.postpone-p.postponed)
	if by <= 0 {
		return fmt.Errorf("%w: the drain allows %v in total", ErrNotPostponable, d.postpone)
	}
	p.postponed += by
	d.ends[id] = p
	d.announce(id, p, endingPostponed)
	return nil
}

// announce makes the planned end of a session known.
func (d *drain) announce(id string, p planned, why string) {
	d.sessions.Announce(id, p.end(), p.postponed, why)
}

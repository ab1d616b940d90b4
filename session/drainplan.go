package session

import (
	"errors"
	"fmt"
	"time"
)

// ErrNotPostponable means that the end of a session is not planned, or cannot be postponed further.
var ErrNotPostponable = errors.New("session: end cannot be postponed")

// The sessions that a drain ends at its deadline end one after the other, in the last part of the time: all their
// viewers look for another host then.
const (
	endShare = 4 // of the time, as a divisor
	endTime  = 30 * time.Second
)

// PlannedEnd is the planned end of a session.
type PlannedEnd struct {
	At       time.Time `json:"at" doc:"When the session ends."`
	In       float64   `json:"in_seconds" doc:"How long the session still lasts, in seconds."`
	Reason   string    `json:"reason" set:"EndReason" doc:"Why it ends."`
	Note     string    `json:"note,omitempty" doc:"The operator's reason."`
	Postpone float64   `json:"postpone_seconds" doc:"For how long the viewer may still postpone the end, in seconds; 0 for not at all."`
}

// planned is the planned end of a session.
type planned struct {
	at        time.Time
	postponed time.Duration
}

func (p planned) end() time.Time { return p.at.Add(p.postponed) }

// plan plans the ends of the sessions that have no planned end. The caller holds mu.
func (d *drain) plan(h *HostState) {
	span := d.order.Deadline // of all ends
	if d.deadline.IsZero() && d.order.Policy != DrainEnd {
		return
	}
	if d.order.Policy != DrainEnd {
		span = min(endTime, span/endShare)
	}
	var list []*session
	for _, s := range h.owner.inOrder() {
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

// last returns when the last of the sessions ends, zero for never. The caller holds mu.
func (d *drain) last(left []*session) (end time.Time) {
	for _, s := range left {
		if p, ok := d.ends[s.id]; ok && p.end().After(end) {
			end = p.end()
		}
	}
	return end
}

// show returns a session as the control API shows it.
func (h *HostState) show(s *session) Snapshot {
	one := s.snapshot()
	h.mu.Lock()
	defer h.mu.Unlock()
	one.Moving = h.handedOver
	if h.drain == nil {
		return one
	}
	if p, ok := h.drain.ends[s.id]; ok {
		one.Ending = &PlannedEnd{
			At: p.end(), In: max(0, time.Until(p.end())).Seconds(), Reason: EndDrained.String(), Note: h.drain.order.Note,
			Postpone: (h.drain.postpone - p.postponed).Seconds(),
		}
	}
	return one
}

// Postpone postpones the planned end of a session, in total by what the drain allows.
func (h *HostState) Postpone(id string, by time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, err := h.owner.lookUp(id)
	if err != nil {
		return err
	}
	if h.drain == nil {
		return fmt.Errorf("%w: the host is not draining", ErrNotPostponable)
	}
	p, ok := h.drain.ends[id]
	if !ok {
		return fmt.Errorf("%w: the drain has no deadline", ErrNotPostponable)
	}
	by = min(by, h.drain.postpone-p.postponed)
	if by <= 0 {
		return fmt.Errorf("%w: the drain allows %v in total", ErrNotPostponable, h.drain.postpone)
	}
	p.postponed += by
	h.drain.ends[id] = p
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

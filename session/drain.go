package session

import (
	"time"

	"wavryhost/session/enum"
)

// DrainPolicy is what a drain does with existing sessions.
type DrainPolicy uint8

// The policies of a drain.
const (
	// DrainWait leaves them alone until the deadline.
	DrainWait DrainPolicy = iota
	// DrainMove asks for them to be moved to other hosts, one after the other in the first half of the time, by an
	// event each.
	DrainMove
	// DrainEnd ends them one after the other, spread over the time.
	DrainEnd
)

var drainPolicies = [...]string{
	DrainWait: "wait",
	DrainMove: "move",
	DrainEnd:  "end",
}

// DrainPolicies lists all policies of a drain.
func DrainPolicies() []DrainPolicy { return enum.All[DrainPolicy](drainPolicies[:]) }

func (p DrainPolicy) String() string { return enum.Name(drainPolicies[:], p) }

// moveTime is the time over which sessions are asked to move when a drain has no deadline.
const moveTime = 30 * time.Second

// DrainOrder is what is asked of a drain.
type DrainOrder struct {
	Policy DrainPolicy
	// Deadline is how long sessions may continue, whatever the policy. The remaining ones end one after the other in
	// the last part of the time, see endShare, and the last one at the deadline. Zero has no deadline with DrainWait and
	// DrainMove, and ends sessions at once with DrainEnd.
	Deadline time.Duration
	// Postpone is for how long in total a viewer may postpone the end of its session, also beyond the deadline. nil
	// takes Config.DrainPostpone.
	Postpone *time.Duration
	// Owner is who orders it, Note the reason for people.
	Owner, Note string
}

// DrainStatus is how far a drain has come.
type DrainStatus struct {
	Policy   string    `json:"policy" set:"DrainPolicy" doc:"wait leaves sessions running until the deadline; move requests by one event each that they be moved; end ends them one after the other."`
	Owner    string    `json:"owner,omitempty" doc:"Name of the operator who ordered it."`
	Note     string    `json:"note,omitempty" doc:"The operator's reason."`
	Begun    time.Time `json:"begun" doc:"When the drain began."`
	Deadline time.Time `json:"deadline,omitzero" doc:"When the remaining sessions end; absent for never."`
	// Done is when the last session was gone.
	Done      time.Time `json:"done,omitzero" doc:"When the last session ended; absent before."`
	AtStart   int       `json:"sessions_at_start" doc:"Number of sessions when the drain began."`
	Left      int       `json:"sessions_left" doc:"Number of remaining sessions."`
	Asked     int       `json:"sessions_asked_to_move" doc:"Number of sessions for which an event has requested a move."`
	Postpone  float64   `json:"postpone_seconds" doc:"For how long in total a viewer may postpone the end of its session, in seconds; also beyond the deadline."`
	Postponed int       `json:"sessions_postponed" doc:"Number of remaining sessions whose end was postponed."`
}

// drain is a drain under way. The mutex of HostState guards it.
type drain struct {
	order    DrainOrder
	postpone time.Duration // the limit
	begun    time.Time
	deadline time.Time // zero for none
	done     time.Time
	atStart  int
	asked    map[string]bool    // sessions
	ends     map[string]planned // by session
}

// Drain makes the host take no new sessions at once. A drain during a drain replaces its order.
func (h *HostState) Drain(o DrainOrder) DrainStatus {
	var s DrainStatus
	h.change(func(now time.Time) {
		h.owner.endReservations()
		h.beginDrain(now, o)
		s = h.drainStatus()
	})
	return s
}

// beginDrain begins a drain. The caller holds mu.
func (h *HostState) beginDrain(now time.Time, o DrainOrder) {
	d := &drain{
		order: o, postpone: h.conf.get().DrainPostpone, begun: now, atStart: h.owner.present(),
		asked: make(map[string]bool), ends: make(map[string]planned),
	}
	if o.Postpone != nil {
		d.postpone = *o.Postpone
	}
	if o.Deadline > 0 {
		d.deadline = now.Add(o.Deadline)
	}
	h.drain = d
	event := h.emit(Event{Kind: EventDrain, Reason: o.Policy.String(), Owner: o.Owner, Note: o.Note})
	h.log.Info("drain begun", "event", event, "policy", o.Policy.String(), "sessions", d.atStart,
		"deadline_seconds", o.Deadline.Seconds(), "postpone_seconds", d.postpone.Seconds(), "owner", o.Owner,
		"note", o.Note)
	d.plan(h)
	h.owner.wakeJanitor()
}

// Draining returns how far the drain has come; ok is false when there is none.
func (h *HostState) Draining() (s DrainStatus, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.drain == nil {
		return s, false
	}
	return h.drainStatus(), true
}

// drainStatus returns the status of the current drain. The caller holds mu.
func (h *HostState) drainStatus() DrainStatus {
	d := h.drain
	postponed := 0
	for _, s := range h.owner.inOrder() {
		if d.ends[s.id].postponed > 0 {
			postponed++
		}
	}
	return DrainStatus{
		Policy: d.order.Policy.String(), Owner: d.order.Owner, Note: d.order.Note,
		Begun: d.begun, Deadline: d.deadline, Done: d.done,
		AtStart: d.atStart, Left: h.owner.present(), Asked: len(d.asked),
		Postpone: d.postpone.Seconds(), Postponed: postponed,
	}
}

// Resume ends a drain: the host takes sessions again, unless it is cordoned.
func (h *HostState) Resume() { h.change(func(time.Time) { h.endDrain() }) }

// endDrain ends a drain, if there is one. The caller holds mu.
func (h *HostState) endDrain() {
	if h.drain == nil {
		return
	}
	h.drain = nil
	h.log.Info("drain ended", "event", h.emit(Event{Kind: EventResume}))
	h.owner.wakeJanitor()
}

// tend does what the drain requires by now, and updates the state. The caller holds mu.
func (h *HostState) tend(now time.Time) {
	left, deadline := 0, 0.0
	if h.drain != nil {
		h.drain.step(now, h)
		left = h.owner.present()
		if last := h.drain.last(h.owner.inOrder()); !last.IsZero() {
			deadline = float64(last.Unix())
		}
	}
	h.expire(now)
	cordoned := 0.0
	if h.cordon != nil {
		cordoned = 1
	}
	h.met.cordoned.Set(cordoned)
	h.met.drainLeft.Set(float64(left))
	h.met.drainDeadline.Set(deadline)
	h.update(now)
}

// step does what the drain requires by now. The caller holds mu.
func (d *drain) step(now time.Time, h *HostState) {
	if h.owner.present() == 0 {
		if d.done.IsZero() {
			d.done = now
			event := h.emit(Event{Kind: EventDrained})
			h.log.Info("drained", "event", event, "sessions", d.atStart, "took_seconds", now.Sub(d.begun).Seconds())
		}
		return
	}
	d.plan(h) // for sessions that were being created when the drain began
	left := h.owner.inOrder()
	for _, s := range left {
		if p, ok := d.ends[s.id]; ok && !now.Before(p.end()) {
			h.owner.beginEnd(s, EndDrained)
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

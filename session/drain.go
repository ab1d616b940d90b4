package session

import (
	"cmp"
	"slices"
	"time"

	"wavryhost/session/enum"
)

// DrainPolicy is what a drain does with the sessions that there are.
type DrainPolicy uint8

// The policies of a drain.
const (
	// DrainWait leaves them alone until the deadline.
	DrainWait DrainPolicy = iota
	// DrainMove asks for them to be moved to other hosts, one after the other in the first half of the time, by an event each.
	DrainMove
	// DrainEnd ends them one after the other, spread over the time, the first at once.
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
	// Deadline is how long sessions may go on; what is left then is ended, whatever the policy. Zero leaves them alone with DrainWait
	// and DrainMove, and ends them at once with DrainEnd.
	Deadline time.Duration
}

// DrainStatus is how far a drain has come.
type DrainStatus struct {
	Policy   string    `json:"policy" set:"DrainPolicy" doc:"What becomes of the sessions: wait leaves them alone until the deadline, move asks for them to be moved by an event each, end ends them one after the other."`
	Begun    time.Time `json:"begun" doc:"When the drain began."`
	Deadline time.Time `json:"deadline,omitzero" doc:"When the sessions that are left are ended; absent for never."`
	// Done is when the last session was gone.
	Done    time.Time `json:"done,omitzero" doc:"When the last session was gone; absent before."`
	AtStart int       `json:"sessions_at_start" doc:"Number of sessions when the drain began."`
	Left    int       `json:"sessions_left" doc:"Number of sessions that are left."`
	Asked   int       `json:"sessions_asked_to_move" doc:"Number of sessions for which a move was asked for by an event."`
}

// drain is a drain under way. The Manager's mutex guards it.
type drain struct {
	order    DrainOrder
	begun    time.Time
	deadline time.Time // zero for none
	done     time.Time
	atStart  int
	asked    map[string]bool // sessions
	ended    int
}

// Drain makes the host take no new sessions at once. A drain during a drain replaces its order.
func (m *Manager) Drain(o DrainOrder) DrainStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.beginDrain(o)
	return m.drained(m.drain)
}

// beginDrain begins a drain. The caller holds mu.
func (m *Manager) beginDrain(o DrainOrder) {
	now := time.Now()
	d := &drain{order: o, begun: now, atStart: m.present(), asked: make(map[string]bool)}
	if o.Deadline > 0 {
		d.deadline = now.Add(o.Deadline)
	}
	m.drain = d
	m.admission.Drain()
	event := m.emit(Event{Kind: EventDrain, Reason: o.Policy.String()})
	m.log.Info("drain begun", "event", event, "policy", o.Policy.String(), "sessions", d.atStart, "deadline_seconds", o.Deadline.Seconds())
	m.judge(now)
	m.wakeJanitor()
}

// Draining tells how far the drain has come; ok is false when there is none.
func (m *Manager) Draining() (s DrainStatus, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drain == nil {
		return s, false
	}
	return m.drained(m.drain), true
}

// present returns the number of sessions, those that are being created included. The caller holds mu.
func (m *Manager) present() int { return len(m.sessions) + m.admission.Creating() }

// drained returns d's status. The caller holds mu.
func (m *Manager) drained(d *drain) DrainStatus {
	return DrainStatus{
		Policy: d.order.Policy.String(), Begun: d.begun, Deadline: d.deadline, Done: d.done,
		AtStart: d.atStart, Left: m.present(), Asked: len(d.asked),
	}
}

// Resume ends a drain: the host takes sessions again.
func (m *Manager) Resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drain == nil {
		return
	}
	m.drain = nil
	m.log.Info("drain ended", "event", m.emit(Event{Kind: EventResume}))
	m.judge(time.Now())
	m.wakeJanitor()
}

// wakeJanitor makes the janitor work at once.
func (m *Manager) wakeJanitor() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// step does what the drain wants done by now. The caller holds the Manager's mu.
func (d *drain) step(now time.Time, m *Manager) {
	if m.present() == 0 {
		if d.done.IsZero() {
			d.done = now
			event := m.emit(Event{Kind: EventDrained})
			m.log.Info("drained", "event", event, "sessions", d.atStart, "took_seconds", now.Sub(d.begun).Seconds())
		}
		return
	}
	left := d.line(m.sessions)
	switch {
	case !d.deadline.IsZero() && !now.Before(d.deadline), d.order.Policy == DrainEnd && d.deadline.IsZero():
		for _, h := range left {
			m.beginEnd(h, EndDrained)
		}
	case d.order.Policy == DrainEnd:
		for due := d.due(now, d.order.Deadline); d.ended < due && len(left) > 0; left = left[1:] {
			m.beginEnd(left[0], EndDrained)
			d.ended++
		}
	case d.order.Policy == DrainMove:
		over := moveTime
		if d.order.Deadline > 0 {
			over = d.order.Deadline / 2
		}
		due := d.due(now, over)
		for _, h := range left {
			if len(d.asked) >= due || d.asked[h.id] {
				continue
			}
			d.asked[h.id] = true
			event := m.emit(Event{Kind: EventMove, Session: h.id, Display: h.showing()})
			h.log.Info("session should move to another host", "event", event)
		}
	}
}

// due returns how many of the sessions should have had their turn by now, when all are to have it within a time. The first has it
// at once.
func (d *drain) due(now time.Time, within time.Duration) int {
	if within <= 0 {
		return d.atStart
	}
	return min(d.atStart, 1+int(float64(d.atStart)*now.Sub(d.begun).Seconds()/within.Seconds()))
}

// line returns the sessions that are not ending in the order in which they have to go: the least important first, and among equals the
// oldest.
func (d *drain) line(sessions map[string]*held) []*held {
	var line []*held
	for _, h := range sessions {
		if !h.ending {
			line = append(line, h)
		}
	}
	slices.SortFunc(line, func(a, b *held) int {
		return cmp.Or(cmp.Compare(a.weight(), b.weight()), a.created.Compare(b.created), cmp.Compare(a.id, b.id))
	})
	return line
}

package session

import (
	"time"

	"wavryhost/session/lockorder"
)

// keptEvents is how many events can be read again, newest last: hours of a quiet host, minutes of one whose links all
// flicker.
const keptEvents = 1024

// EventRecord is an Event as clients get it.
type EventRecord struct {
	ID      uint64    `json:"id" doc:"Number of the event, one higher than the previous one. After a restart of the daemon numbers are higher than all before. The log record has the same number."`
	At      time.Time `json:"at" doc:"When it happened."`
	Kind    string    `json:"kind" set:"EventKind" doc:"Kind of the event."`
	Session string    `json:"session,omitempty" doc:"ID of the session."`
	Display string    `json:"display,omitempty" doc:"ID of the display."`
	// Reservation is not in the log, since its ID is a credential for its place.
	Reservation string            `json:"reservation,omitempty" doc:"ID of the reservation."`
	Subject     string            `json:"subject,omitempty" doc:"Owner of the session, or the viewer that the reservation is for."`
	ExternalID  string            `json:"external_id,omitempty" doc:"The client's own ID of the session or reservation."`
	Labels      map[string]string `json:"labels,omitempty" doc:"The client's labels of the session or reservation."`
	Server      string            `json:"server,omitempty" doc:"URL of the STUN or TURN server."`
	Reason      string            `json:"reason,omitempty" set:"EventReason" doc:"Reason of an end, of a change of quality, or of an encoder's replacement."`
	Note        string            `json:"note,omitempty" doc:"Text of the operator who ended the session, or who cordoned or drained the host."`
	Owner       string            `json:"owner,omitempty" doc:"Name of the operator who cordoned or drained the host."`
	From        string            `json:"from,omitempty" doc:"What was before: an encoder, encoding, state, route or display, or the ID of the session that had control."`
	To          string            `json:"to,omitempty" doc:"What is now; absent if there is none. For packet_size: the size in bytes. For session_ending: the time of the end."`
	Error       string            `json:"error,omitempty" doc:"The error, for people."`
	Transition  *TransitionRecord `json:"transition,omitempty" doc:"The change of quality, with the figures behind it."`
	Totals      *Totals           `json:"totals,omitempty" doc:"Sums of the whole session."`
}

// Record returns the event as clients get it.
func (e Event) Record() EventRecord {
	r := EventRecord{
		ID: e.ID, At: e.At, Kind: e.Kind.String(), Session: e.Session, Display: e.Display, Reason: e.Reason,
		Note: e.Note, Owner: e.Owner,
		From: e.From, To: e.To, Transition: e.Transition, Server: e.Server, Reservation: e.Reservation,
		Totals: e.Totals, Subject: e.Subject, ExternalID: e.ExternalID, Labels: e.Labels.Map(),
	}
	if e.Err != nil {
		r.Error = e.Err.Error()
	}
	return r
}

// Journal numbers the events and keeps the newest ones.
type Journal struct {
	met  *Metrics
	news *news

	mu   lockorder.Mutex[journalLock]
	ring [keptEvents]EventRecord
	// first and next are the IDs of the first event and of the next one, less one.
	first, next uint64
	more        chan struct{} // closed at the next event
}

// newJournal returns a journal. Its events begin at a number that no earlier run of the daemon has reached, unless that
// run had more than one event in each millisecond or the clock was set back. A client that returns after a restart
// thereby learns that it lost events. The numbers stay far below the limit of integers in JavaScript.
func newJournal(now time.Time, m *Metrics, n *news) *Journal {
	j := &Journal{met: m, news: n, first: uint64(max(0, now.UnixMilli()))}
	j.next = j.first
	return j
}

// emit makes an event known and returns its ID, which belongs into its log record. It may be called with any lock
// held.
func (j *Journal) emit(e Event) uint64 {
	j.met.events.WithLabelValues(e.Kind.String()).Inc()
	j.news.put(e)
	return j.add(e)
}

// add gives an event its number and keeps it.
func (j *Journal) add(e Event) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.next++
	e.ID, e.At = j.next, time.Now()
	j.ring[e.ID%keptEvents] = e.Record()
	if j.more != nil {
		close(j.more)
		j.more = nil
	}
	return e.ID
}

// Events returns the events after a number, oldest first, as far as they are kept, and a channel that is closed when
// there are more. After 0 it returns all that are kept. lost reports that events in between are gone: they were too
// many, or the number is of an earlier run of the daemon.
func (j *Journal) Events(after uint64) (list []EventRecord, lost bool, more <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if after > j.next { // by a clock that was set back since
		after, lost = j.first, true
	}
	if after == 0 {
		after = j.first
	}
	oldest := j.first + 1
	if j.next-j.first > keptEvents {
		oldest = j.next - keptEvents + 1
	}
	if after+1 < oldest {
		after, lost = oldest-1, true
	}
	for id := after + 1; id <= j.next; id++ {
		list = append(list, j.ring[id%keptEvents])
	}
	if j.more == nil {
		j.more = make(chan struct{})
	}
	return list, lost, j.more
}

// Configured records the outcome of a change of the configuration, and returns the event's ID. err says why the change
// was refused.
func (j *Journal) Configured(outcome string, err error) uint64 {
	return j.emit(Event{Kind: EventConfiguration, Reason: outcome, Err: err})
}

// LoopStalled records that a loop of a kind of package progress makes no progress, and returns the event's ID.
func (j *Journal) LoopStalled(kind string, err error) uint64 {
	return j.emit(Event{Kind: EventLoopStalled, Reason: kind, Err: err})
}

// LoopResumed records that a loop which stalled progresses again, and returns the event's ID.
func (j *Journal) LoopResumed(kind string) uint64 {
	return j.emit(Event{Kind: EventLoopResumed, Reason: kind})
}

// Started records the start of the daemon. before says how the previous one ended.
func (j *Journal) Started(before string) uint64 {
	return j.emit(Event{Kind: EventStarted, Reason: before})
}

// LastEvent returns the number of the newest event; before the first one, the number that it follows.
func (j *Journal) LastEvent() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

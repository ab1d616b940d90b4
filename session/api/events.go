package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/problem"
)

const typeEvents = "text/event-stream"

const (
	// maxStreams is how many clients may follow the events at a time.
	maxStreams = 32
	// aliveEvery is how often a stream without events shows that it is there; proxies cut silent ones off.
	aliveEvery = 15 * time.Second
	// writeLimit is how long a client may take for what it is sent.
	writeLimit = 10 * time.Second
	// lastWords is how long a stream goes on when the daemon stops, which ends the sessions meanwhile.
	lastWords = 300 * time.Millisecond
)

// partSize is how much of a long answer a client must read within writeLimit.
const partSize = 32 << 10

// writeParts writes a long answer. A slow client gets all of it. A stalled client is dropped.
func writeParts(w http.ResponseWriter, body []byte) {
	c := http.NewResponseController(w)
	for part := range slices.Chunk(body, partSize) {
		_ = c.SetWriteDeadline(time.Now().Add(writeLimit)) // not every writer has one
		if _, err := w.Write(part); err != nil {
			return // nobody is left to tell
		}
	}
}

// events streams what happens as server-sent events (HTML Living Standard, section 9.2): those after Last-Event-ID, or "after" in the
// query, as far as they are kept; without either, those to come. An event "gap" marks what is lost.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	after, given, err := s.eventsAfter(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", typeEvents)
		return nil
	}
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		return problem.New(problem.TooManyStreams, "%d clients follow the events, which is the limit", maxStreams).With("Retry-After", "5")
	}
	defer s.streams.Add(-1)
	boundBacklog(r.Context())
	h := w.Header()
	h.Set("Content-Type", typeEvents)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would collect them
	w.WriteHeader(http.StatusOK)
	c := http.NewResponseController(w)
	send := func(text string) bool {
		_ = c.SetWriteDeadline(time.Now().Add(writeLimit)) // not every writer has one
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		if c.Flush() != nil {
			return false
		}
		// HTTP/2 ends a stream at its deadline whether something is being written or not.
		_ = c.SetWriteDeadline(time.Time{})
		return true
	}
	_ = c.SetReadDeadline(time.Time{}) // nothing more is read, and the client's going is noticed by that
	hello := ": events of wavry-host\n\n"
	if !given {
		// A client that is cut off before the first event can then ask for what it missed. What has no data is no event.
		hello = fmt.Sprintf(": events of wavry-host\nid: %d\n\n", after)
	}
	if !send(hello) {
		return nil
	}
	alive, sweep := time.NewTicker(aliveEvery), time.NewTicker(sweepEvery)
	defer alive.Stop()
	defer sweep.Stop()
	var end <-chan time.Time
	stopping := s.stopping
	for {
		list, lost, more := s.mgr.Events(after)
		text, newest := frames(list, lost, after)
		if text != "" && !send(text) {
			return nil
		}
		after = newest
		select {
		case <-more:
		case <-alive.C:
			if !send(": alive\n\n") {
				return nil
			}
		case <-sweep.C:
			if _, err := s.key.lapsed(principalOf(r.Context()), time.Now()); err != nil {
				return nil // the answer has begun, and ends
			}
		case <-stopping:
			stopping = nil
			timer := time.NewTimer(lastWords)
			defer timer.Stop()
			end = timer.C
		case <-end:
			list, lost, _ = s.mgr.Events(after)
			text, _ = frames(list, lost, after)
			_ = send(text)
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

// eventsAfter returns the number of the last event that the client has; where it gave none, that of the newest.
func (s *Server) eventsAfter(r *http.Request) (after uint64, given bool, err error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return s.mgr.LastEvent(), false, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, true, problem.New(problem.BadRequest, "Last-Event-ID (or after) is %s; it must be the id of an event, a number", problem.Shorten(text))
	}
	return n, true, nil
}

// gap is the data of the event that marks what is lost.
type gap struct {
	After uint64 `json:"after" doc:"Number of the last event that the client said it has."`
	Next  uint64 `json:"next" doc:"Number of the event that follows the gap; 0 when none does yet."`
}

// timeline is the answer of GET /v1/sessions/{id}/timeline.
type timeline struct {
	Events   []session.EventRecord `json:"events" doc:"Oldest first."`
	Complete bool                  `json:"complete" doc:"They begin with the session's opening; else the first ones are no longer kept."`
}

// timeline shows what happened to a session, as far as the journal reaches. A session that has ended is still known there.
func (s *Server) timeline(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	list, _, _ := s.mgr.Events(0)
	list = slices.DeleteFunc(list, func(e session.EventRecord) bool { return e.Session != id && (id == "" || e.From != id && e.To != id) })
	if len(list) == 0 {
		if _, err := s.mgr.Session(id); err != nil {
			return err
		}
	}
	complete := len(list) > 0 && list[0].Kind == session.EventCreated.String()
	return content.WriteJSON(w, http.StatusOK, timeline{orEmpty(list), complete})
}

// frames writes events as a stream has them, and returns the number of the last one.
func frames(list []session.EventRecord, lost bool, after uint64) (string, uint64) {
	var b []byte
	if lost {
		first := uint64(0)
		if len(list) > 0 {
			first = list[0].ID
		}
		data, _ := json.Marshal(gap{after, first}) // numbers can always be written
		b = fmt.Appendf(b, "event: gap\ndata: %s\n\n", data)
		after = 0
	}
	for _, e := range list {
		data, err := json.Marshal(e)
		if err != nil {
			continue // it has nothing that cannot be written
		}
		b = fmt.Appendf(b, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Kind, data)
		after = e.ID
	}
	return string(b), after
}

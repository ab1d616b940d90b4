package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/problem"
)

const typeEvents = "text/event-stream"

const (
	// maxStreams bounds the event streams.
	maxStreams = 32
	// keepAliveInterval is how often a stream without events sends a comment, because proxies close silent streams.
	keepAliveInterval = 15 * time.Second
	// writeTimeout is how long a client may take to read what it is sent.
	writeTimeout = 10 * time.Second
	// farewell is how long a stream continues when the daemon stops. Meanwhile the sessions end, with an event each.
	farewell = 300 * time.Millisecond
)

// partSize is how much of a long answer a client must read within writeTimeout.
const partSize = 32 << 10

// writeParts writes a long answer. A slow client gets all of it. A stalled client is dropped.
func writeParts(w http.ResponseWriter, body []byte) {
	c := http.NewResponseController(w)
	for part := range slices.Chunk(body, partSize) {
		_ = c.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has one
		if _, err := w.Write(part); err != nil {
			return // the client is gone
		}
	}
}

// events answers requests about the journal of events.
type events struct {
	mgr  eventManager
	auth interface {
		Lapsed(p auth.Principal, now time.Time) (session.EndReason, error)
	}
	streams  *atomic.Int32 // number of streams
	stopping <-chan struct{}
}

// stream sends events as server-sent events (HTML Living Standard, section 9.2). It begins after the event that
// Last-Event-ID or the query parameter "after" names, as far as events are kept, else with the next event. An event
// "gap" marks lost events.
func (e events) stream(w http.ResponseWriter, r *http.Request) error {
	after, given, err := e.after(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", typeEvents)
		return nil
	}
	if e.streams.Add(1) > maxStreams {
		e.streams.Add(-1)
		return problem.New(problem.TooManyStreams, "%d clients already follow the events, which is the limit",
			maxStreams).
			RetryAfter(5 * time.Second)
	}
	defer e.streams.Add(-1)
	edge.BoundBacklog(r.Context())
	h := w.Header()
	h.Set("Content-Type", typeEvents)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // else nginx buffers events
	w.WriteHeader(http.StatusOK)
	send := eventWriter(w)
	hello := ": events of wavry-host\n\n"
	if !given {
		// The ID lets a client that is cut off before the first event ask for what it missed. Without data, the lines
		// do not make an event.
		hello = fmt.Sprintf(": events of wavry-host\nid: %d\n\n", after)
	}
	if send(hello) {
		e.follow(r, after, filterOf(r), send)
	}
	return nil
}

// eventWriter returns a function that sends text to the client, and reports whether it could.
func eventWriter(w http.ResponseWriter) func(text string) bool {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // nothing more is read, but net/http notices that the client has gone
	return func(text string) bool {
		_ = c.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has one
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		if c.Flush() != nil {
			return false
		}
		// HTTP/2 ends a stream at its deadline, even if nothing is being written.
		_ = c.SetWriteDeadline(time.Time{})
		return true
	}
}

// follow sends the events that pass the filter until the client goes, its credential lapses, or the daemon stops. Now
// and then it sends the number of the newest event, so that a client whose events are rare can return after it.
func (e events) follow(r *http.Request, after uint64, filter eventFilter, send func(text string) bool) {
	alive, check := time.NewTicker(keepAliveInterval), time.NewTicker(sweepInterval)
	defer alive.Stop()
	defer check.Stop()
	var end <-chan time.Time
	stopping, told := e.stopping, after
	for {
		list, lost, more := e.mgr.Events(after)
		text, newest := frames(list, lost, after, filter)
		if text != "" {
			if !send(text) {
				return
			}
			told = newest
		}
		after = newest
		select {
		case <-more:
		case <-alive.C:
			text := ": alive\n\n"
			if after != told {
				text, told = fmt.Sprintf(": alive\nid: %d\n\n", after), after
			}
			if !send(text) {
				return
			}
		case <-check.C:
			if _, err := e.auth.Lapsed(auth.PrincipalOf(r.Context()), time.Now()); err != nil {
				return // the answer has begun, so it ends without an error
			}
		case <-stopping:
			stopping = nil
			timer := time.NewTimer(farewell)
			defer timer.Stop()
			end = timer.C
		case <-end:
			list, lost, _ = e.mgr.Events(after)
			text, _ = frames(list, lost, after, filter)
			_ = send(text)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// after returns the number of the last event that the client has. If the client does not give one, it is the newest
// event.
func (e events) after(r *http.Request) (after uint64, given bool, err error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return e.mgr.LastEvent(), false, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, true, problem.New(problem.BadRequest,
			"Last-Event-ID (or after) is %s; it must be the ID of an event, a number", problem.Shorten(text))
	}
	return n, true, nil
}

// gap is the data of the event that marks lost events.
type gap struct {
	After uint64 `json:"after" doc:"Number of the last event that the client has, as it says."`
	Next  uint64 `json:"next" doc:"Number of the first event after the gap; 0 if there is none yet."`
}

// timeline is the answer of GET /v1/sessions/{id}/timeline.
type timeline struct {
	Events   []session.EventRecord `json:"events" doc:"Oldest first."`
	Complete bool                  `json:"complete" doc:"Whether they begin with the opening of the session. If not, the first ones are no longer kept."`
}

// timeline answers with the events of a session, as far as the journal has them. It includes sessions that have ended.
func (e events) timeline(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	list, _, _ := e.mgr.Events(0)
	list = slices.DeleteFunc(list, func(one session.EventRecord) bool {
		return !isAbout(one, id)
	})
	if len(list) == 0 {
		if _, err := e.mgr.Session(id); err != nil {
			return err
		}
	}
	complete := len(list) > 0 && list[0].Kind == session.EventCreated.String()
	filter := filterOf(r)
	list = slices.DeleteFunc(list, func(one session.EventRecord) bool { return !filter.passes(one) })
	return content.WriteJSON(w, http.StatusOK, timeline{orEmpty(list), complete})
}

// frames returns the events that pass the filter in the format of a stream, and the number of the last event. Text that
// ends with another event is followed by that number.
func frames(list []session.EventRecord, lost bool, after uint64, filter eventFilter) (string, uint64) {
	var b []byte
	if lost {
		first := uint64(0)
		if len(list) > 0 {
			first = list[0].ID
		}
		data, _ := json.Marshal(gap{after, first}) // numbers always encode
		b = fmt.Appendf(b, "event: gap\ndata: %s\n\n", data)
		after = 0
	}
	told := after
	for _, one := range list {
		after = one.ID
		if !filter.passes(one) {
			continue
		}
		data, err := json.Marshal(one)
		if err != nil {
			continue // it has nothing that cannot be encoded
		}
		b = fmt.Appendf(b, "id: %d\nevent: %s\ndata: %s\n\n", one.ID, one.Kind, data)
		told = after
	}
	if len(b) > 0 && told != after {
		b = fmt.Appendf(b, "id: %d\n\n", after)
	}
	return string(b), after
}

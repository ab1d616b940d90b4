package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// silence is the time after which a stream without a line is broken: hosts send one every 15 s.
	silence = 50 * time.Second
	// maxPause bounds the pause before the stream is opened again.
	maxPause = 30 * time.Second
	// maxLine bounds a line of the stream.
	maxLine = 1 << 20
)

// Events follows what happens on a host.
type Events struct {
	c      *transport
	filter EventFilter
}

// EventFilter says which events a client gets. An event meets all fields that are set.
type EventFilter struct {
	// Kinds are the kinds of events; nil for all.
	Kinds            []EventKind
	Session, Display string
	// Owner, ExternalID and Labels belong to the session or reservation.
	Owner, ExternalID string
	Labels            map[string]string
	// Server is the URL of a STUN or TURN server.
	Server string
}

// query returns the parameters of the filter.
func (f EventFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"session": f.Session, "display": f.Display, "owner": f.Owner, "external_id": f.ExternalID, "server": f.Server,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for _, k := range f.Kinds {
		q.Add("kind", string(k))
	}
	for name, value := range f.Labels {
		q.Add("label", name+"="+value)
	}
	return q
}

// Where returns the events that meet a filter.
func (e Events) Where(f EventFilter) Events { return Events{e.c, f} }

// Follow calls handle for each event after the event with that number, oldest first; 0 stands for the newest event. It
// opens the stream again when it breaks, and continues after the last event that handle took. An event of the kind
// EventKindGap says that events are lost.
//
// Follow ends with the error of handle, with the error of ctx, or when the host refuses the stream.
func (e Events) Follow(ctx context.Context, after uint64, handle func(Event) error) error {
	s := &stream{c: e.c, query: e.filter.query(), last: after, known: after != 0, handle: handle}
	for failures := 0; ; failures++ {
		before := s.lines
		err := s.read(ctx)
		if handled, ok := errors.AsType[*handlerError](err); ok {
			return handled.err
		}
		refusal, refused := errors.AsType[*Error](err)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case refused && refusal.Problem.Status < 500 && refusal.Problem.Status != http.StatusTooManyRequests:
			return err
		case s.lines > before:
			failures = 0
		}
		pause := min(backoff(failures+1), maxPause)
		if refused {
			pause = max(pause, min(refusal.RetryAfter, maxPause))
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// handlerError is an error of the function that handles events.
type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }

// stream is a stream of events over several connections.
type stream struct {
	c      *transport
	query  url.Values
	last   uint64 // number of the last event
	known  bool   // last is known
	lines  int
	handle func(Event) error
}

// read reads one connection until it breaks.
func (s *stream) read(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := get("/v1/events")
	r.query = s.query
	r.header = http.Header{"Accept": {"text/event-stream"}}
	if s.known {
		r.header.Set("Last-Event-Id", strconv.FormatUint(s.last, 10))
	}
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	resp, err := s.c.once(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	data, id := "", uint64(0)
	for lines.Scan() {
		quiet.Reset(silence)
		s.lines++
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "" && data != "":
			if err := s.take(data); err != nil {
				return err
			}
			data = ""
		case name == "data":
			data = value
		case lines.Text() == "" && id != 0: // of an event that was left out, or before the first one
			s.last, s.known = id, true
		case name == "id":
			if n, err := strconv.ParseUint(value, 10, 64); err == nil {
				id = n
			}
		}
		if lines.Text() == "" {
			id = 0
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("client: read events: %w", err)
	}
	return io.ErrUnexpectedEOF
}

// take handles the data of an event.
func (s *stream) take(data string) error {
	var e Event
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		return &handlerError{fmt.Errorf("client: an event is not of this API: %w", err)}
	}
	if e.Kind == "" { // of a gap, which has no number of its own
		e.Kind = EventKindGap
	}
	if err := s.handle(e); err != nil {
		return &handlerError{err}
	}
	switch {
	case e.Kind != EventKindGap:
		s.last, s.known = e.ID, true
	case e.Next > 0:
		s.last = e.Next - 1
	}
	return nil
}

package api

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/problem"
)

// How many lines have a request to themselves: so many at once, and then one in a time. What is beyond is summed up, so that nobody fills the disk: lines of 250 bytes
// come to some 100 MB a day of strangers at most, and to half a gigabyte of those who are known.
const (
	strangerBurst, strangerEvery = 100, 500 * time.Millisecond
	knownBurst, knownEvery       = 1000, 50 * time.Millisecond
	// sumEvery is how long sums are collected before they are written, and maxSums how many there are at a time.
	sumEvery = time.Second
	maxSums  = 16
)

// audit writes one line of JSON for each request that asks for a change, refused ones included, or for many of them.
type audit struct {
	mu sync.Mutex
	w  io.Writer // nil writes nothing

	strangers, known time.Time // when the lines so far are paid for
	sums             map[auditSum]*auditCount
	began            time.Time // when the first of the sums came
}

// auditLine is such a line. It has nothing of the request's body but what is told by concern, and no token.
type auditLine struct {
	Time       time.Time `json:"time"`
	Event      string    `json:"event,omitempty"`      // what happened, where the line is about no request
	Credential string    `json:"credential,omitempty"` // what the principal showed, one of session.Credentials
	Issuer     string    `json:"issuer,omitempty"`     // who made that
	Who        string    `json:"who"`                  // name of the principal; empty where it is not known
	Role       string    `json:"role,omitempty"`       // its role
	Grant      string    `json:"grant,omitempty"`
	Address    string    `json:"address,omitempty"`
	Request    string    `json:"request,omitempty"` // id of the request, which the answer and the log have, too
	Method     string    `json:"method,omitempty"`
	Route      string    `json:"route,omitempty"`  // the pattern, as /v1/sessions/{id}
	Object     string    `json:"object,omitempty"` // id of what the path names, or what the body does that changes who may come in
	Made       string    `json:"made,omitempty"`   // path of what came of it
	Reason     string    `json:"reason,omitempty"` // of an event
	Status     int       `json:"status,omitempty"`
	Code       string    `json:"code,omitempty"`  // the error code
	Count      int       `json:"count,omitempty"` // of the requests, where the line is for several; it has no address, method, route and object then
	First      time.Time `json:"first,omitzero"`  // of those requests
	Last       time.Time `json:"last,omitzero"`
}

// auditSum is what the requests of a sum have in common.
type auditSum struct {
	Event, Credential, Issuer, Who, Role, Code string
	Status                                     int
}

// auditCount is how many requests are in a sum, and when the first and the last of them ended.
type auditCount struct {
	n           int
	first, last time.Time
}

// record writes a line, or adds it to a sum. It tells whether it did the latter, and what was wrong with writing.
func (a *audit) record(l auditLine) (summed bool, err error) {
	if a.w == nil {
		return false, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.flush(l.Time)
	paid, each, burst := &a.strangers, strangerEvery, strangerBurst
	if l.Role != "" || l.Event != "" {
		paid, each, burst = &a.known, knownEvery, knownBurst
	}
	if l.Code != string(problem.TooManyRequests) && early(l.Time, *paid, each, burst) == 0 {
		*paid = later(l.Time, *paid, each)
		return false, errors.Join(err, a.write(l))
	}
	sum := auditSum{l.Event, l.Credential, l.Issuer, l.Who, l.Role, l.Code, l.Status}
	if a.sums == nil {
		a.sums, a.began = make(map[auditSum]*auditCount), l.Time
	}
	if _, there := a.sums[sum]; !there && len(a.sums) >= maxSums {
		sum = auditSum{} // of others
	}
	if a.sums[sum] == nil {
		a.sums[sum] = &auditCount{first: l.Time}
	}
	a.sums[sum].n++
	a.sums[sum].last = l.Time
	return true, err
}

// sum writes the sums where it is time.
func (a *audit) sum(now time.Time, last bool) error {
	if a.w == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if last {
		a.began = time.Time{}
	}
	return a.flush(now)
}

// flush writes the sums where it is time. The caller holds mu.
func (a *audit) flush(now time.Time) error {
	if len(a.sums) == 0 || now.Sub(a.began) < sumEvery {
		return nil
	}
	var lines []auditLine
	for s, c := range a.sums {
		lines = append(lines, auditLine{
			Time: now, Event: s.Event, Credential: s.Credential, Issuer: s.Issuer, Who: s.Who, Role: s.Role, Code: s.Code, Status: s.Status, Count: c.n, First: c.first, Last: c.last,
		})
	}
	slices.SortFunc(lines, func(x, y auditLine) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Who, y.Who), cmp.Compare(x.Credential, y.Credential), cmp.Compare(x.Issuer, y.Issuer), cmp.Compare(x.Event, y.Event), cmp.Compare(x.Role, y.Role), cmp.Compare(x.Code, y.Code), cmp.Compare(x.Status, y.Status))
	})
	a.sums = nil
	var err error
	for _, l := range lines {
		err = errors.Join(err, a.write(l))
	}
	return err
}

// write writes a line. The caller holds mu.
func (a *audit) write(l auditLine) error {
	line, err := json.Marshal(l)
	if err == nil {
		_, err = a.w.Write(append(line, '\n'))
	}
	return err
}

// Note is what happened beside the requests, for the audit log.
type Note struct {
	// Event is what happened, in a word or two joined by underscores.
	Event string
	// Owner is who did it, or whom it happened to; the zero value for the host itself. Role is what that may do.
	Owner session.Owner
	Role  string
	// Object is what it happened to, and Made the path of what came of it.
	Object, Made, Reason string
}

// Note adds a line to the audit log.
func (s *Server) Note(n Note) {
	summed, err := s.audit.record(auditLine{
		Time: time.Now(), Event: n.Event, Credential: n.Owner.Credential, Issuer: n.Owner.Issuer, Who: n.Owner.Name, Role: n.Role,
		Object: problem.Shorten(n.Object), Made: n.Made, Reason: problem.Shorten(n.Reason),
	})
	s.audited(summed, err)
}

// audited counts and logs what became of a line.
func (s *Server) audited(summed bool, err error) {
	if summed {
		s.metrics.auditSummed.Inc()
	}
	if err != nil {
		s.metrics.auditErrors.Inc()
		s.log.Error("audit line not written", "err", err)
	}
}

// noteEvents adds the events to the audit log that change who sees or controls what, and that no request tells of: control that is taken by typing, sessions that the
// host ends, and changes of the configuration.
func (s *Server) noteEvents() {
	if s.audit.w == nil {
		return
	}
	list, _, _ := s.mgr.Events(s.noted)
	for _, e := range list {
		s.noted = e.ID
		id := e.Session
		switch e.Kind {
		case session.EventControl.String():
			id = cmp.Or(e.To, e.From)
		case session.EventEnded.String():
			switch e.Reason {
			case session.EndRevoked.String(), session.EndExpired.String(), session.EndReplaced.String(), session.EndMisbehaved.String(), session.EndOverload.String():
			default:
				continue
			}
		case session.EventConfiguration.String():
		default:
			continue
		}
		n := Note{Event: e.Kind, Object: cmp.Or(e.Display, id), Reason: e.Reason}
		if id != "" {
			n.Made = "/whep/sessions/" + id
		}
		s.mu.Lock()
		who, ok := s.opened[id]
		if !ok {
			who, ok = s.swept[id]
			delete(s.swept, id)
		}
		s.mu.Unlock()
		if ok {
			n.Owner, n.Role = who.Owner, string(who.role)
		} else if one, err := s.mgr.Session(id); err == nil {
			n.Owner, n.Role = one.Owner(), one.Role
		}
		s.Note(n)
	}
}

// changes tells whether a request by that method asks for a change.
func changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

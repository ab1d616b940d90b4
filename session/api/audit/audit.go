// Package audit writes the audit log: one line of JSON for each request that asks for a change, refused ones included.
// Many lines in a short time are summed up, so that nobody can fill the disk.
package audit

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"wavryhost/session/api/bucket"
	"wavryhost/session/api/problem"
)

// How many requests have a line of their own. With lines of 250 bytes that is at most 100 MB per day for unknown
// clients, and half a gigabyte for known ones.
var (
	unknownRate = bucket.Rate{Burst: 100, Interval: 500 * time.Millisecond}
	knownRate   = bucket.Rate{Burst: 1000, Interval: 50 * time.Millisecond}
)

const (
	// sumInterval is how long sums are collected before they are written.
	sumInterval = time.Second
	// maxSums bounds the sums that are collected at the same time.
	maxSums = 16
)

// Log is an audit log.
type Log struct {
	mu sync.Mutex
	w  io.Writer // nil writes nothing

	unknown, known bucket.Bucket
	sums           map[sum]*count
	began          time.Time // when the first of the sums came
	lost           count     // lines that could not be written, and are not in the log yet as EventLost
}

// EventLost is the event of the line that says how many lines before it could not be written.
const EventLost = "lines_lost"

// Line is a line of the log. Of the request's body it has only what the handler names as the object, and never a
// token.
type Line struct {
	Time       time.Time `json:"time"`
	Event      string    `json:"event,omitempty"`      // what happened, if the line is not about a request
	Credential string    `json:"credential,omitempty"` // the kind of credential, one of session.Credentials
	Issuer     string    `json:"issuer,omitempty"`     // the issuer of the credential
	Who        string    `json:"who"`                  // name of the principal; empty if it is not known
	Role       string    `json:"role,omitempty"`       // its role
	Grant      string    `json:"grant,omitempty"`
	Address    string    `json:"address,omitempty"`
	Request    string    `json:"request,omitempty"` // ID of the request, which the answer and the log have, too
	Method     string    `json:"method,omitempty"`
	Route      string    `json:"route,omitempty"`  // the pattern, as /v1/sessions/{id}
	Object     string    `json:"object,omitempty"` // the ID in the path, or what the body changes
	Made       string    `json:"made,omitempty"`   // path of what the request created
	Reason     string    `json:"reason,omitempty"` // reason of an event
	Status     int       `json:"status,omitempty"`
	Code       string    `json:"code,omitempty"`  // the error code
	Count      int       `json:"count,omitempty"` // number of requests, in a sum, which has no address, method or route
	First      time.Time `json:"first,omitzero"`  // first request of the sum
	Last       time.Time `json:"last,omitzero"`   // last request of the sum
}

// sum is what the requests of a sum have in common.
type sum struct {
	Event, Credential, Issuer, Who, Role, Code string
	Status                                     int
}

// count is a number of requests, and when the first and the last of them ended.
type count struct {
	n           int
	first, last time.Time
}

// New returns a log that writes to w; nil writes nothing.
func New(w io.Writer) *Log { return &Log{w: w} }

// On reports whether the log is written.
func (a *Log) On() bool { return a.w != nil }

// Record writes a line, or adds it to a sum. It reports whether it did the latter, and returns the error of writing.
func (a *Log) Record(l Line) (summed bool, err error) {
	if a.w == nil {
		return false, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.flush(l.Time)
	b, rate := &a.unknown, unknownRate
	if l.Role != "" || l.Event != "" {
		b, rate = &a.known, knownRate
	}
	if l.Code != string(problem.TooManyRequests) && b.Wait(l.Time, rate) == 0 {
		b.Take(l.Time, rate, 1)
		return false, errors.Join(err, a.write(l))
	}
	key := sum{l.Event, l.Credential, l.Issuer, l.Who, l.Role, l.Code, l.Status}
	if a.sums == nil {
		a.sums, a.began = make(map[sum]*count), l.Time
	}
	if _, exists := a.sums[key]; !exists && len(a.sums) >= maxSums {
		key = sum{} // all others
	}
	if a.sums[key] == nil {
		a.sums[key] = &count{first: l.Time}
	}
	a.sums[key].n++
	a.sums[key].last = l.Time
	return true, err
}

// Flush writes the sums that are due, and with last all of them.
func (a *Log) Flush(now time.Time, last bool) error {
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

// flush writes the sums if they are due. The caller holds mu.
func (a *Log) flush(now time.Time) error {
	if len(a.sums) == 0 || now.Sub(a.began) < sumInterval {
		return nil
	}
	var lines []Line
	for s, c := range a.sums {
		lines = append(lines, Line{
			Time: now, Event: s.Event, Credential: s.Credential, Issuer: s.Issuer, Who: s.Who, Role: s.Role,
			Code: s.Code, Status: s.Status, Count: c.n, First: c.first, Last: c.last,
		})
	}
	slices.SortFunc(lines, func(x, y Line) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Who, y.Who), cmp.Compare(x.Credential, y.Credential),
			cmp.Compare(x.Issuer, y.Issuer), cmp.Compare(x.Event, y.Event), cmp.Compare(x.Role, y.Role),
			cmp.Compare(x.Code, y.Code), cmp.Compare(x.Status, y.Status))
	})
	a.sums = nil
	var err error
	for _, l := range lines {
		err = errors.Join(err, a.write(l))
	}
	return err
}

// write writes a line. The first one after a failure follows a line with the number of lost lines. The caller holds mu.
func (a *Log) write(l Line) error {
	if a.lost.n > 0 {
		lost := Line{Time: l.Time, Event: EventLost, Count: a.lost.n, First: a.lost.first, Last: a.lost.last}
		if err := a.encode(lost); err != nil {
			a.lose(l.Time)
			return err
		}
		a.lost = count{}
	}
	err := a.encode(l)
	if err != nil {
		a.lose(l.Time)
	}
	return err
}

func (a *Log) encode(l Line) error {
	line, err := json.Marshal(l)
	if err == nil {
		_, err = a.w.Write(append(line, '\n'))
	}
	return err
}

// lose counts a line that could not be written. The caller holds mu.
func (a *Log) lose(at time.Time) {
	if a.lost.n == 0 {
		a.lost.first = at
	}
	a.lost.n++
	a.lost.last = at
}

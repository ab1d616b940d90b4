package api

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
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
	sums             map[auditSum]int
	began            time.Time // when the first of the sums came
}

// auditLine is such a line. It has nothing of the request's body but what is told by concern, and no token.
type auditLine struct {
	Time    time.Time `json:"time"`
	Who     string    `json:"who"`            // name of the principal; empty where it is not known
	Role    string    `json:"role,omitempty"` // its role
	Grant   string    `json:"grant,omitempty"`
	Address string    `json:"address"`
	Method  string    `json:"method"`
	Route   string    `json:"route"`            // the pattern, as /v1/sessions/{id}
	Object  string    `json:"object,omitempty"` // id of what the path names, or what the body does that changes who may come in
	Made    string    `json:"made,omitempty"`   // path of what came of it
	Status  int       `json:"status"`
	Code    string    `json:"code,omitempty"`  // the error code
	Count   int       `json:"count,omitempty"` // of the requests, where the line is for several; it has no address, method, route and object then
}

// auditSum is what the requests of a sum have in common.
type auditSum struct {
	Who, Role, Code string
	Status          int
}

// record writes a line, or adds it to a sum. It tells whether it did the latter, and whether writing went well.
func (a *audit) record(l auditLine) (summed, ok bool) {
	if a.w == nil {
		return false, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	ok = a.flush(l.Time)
	paid, each, burst := &a.strangers, strangerEvery, strangerBurst
	if l.Role != "" {
		paid, each, burst = &a.known, knownEvery, knownBurst
	}
	if l.Code != string(CodeTooManyRequests) && early(l.Time, *paid, each, burst) == 0 {
		*paid = later(l.Time, *paid, each)
		return false, a.write(l) && ok
	}
	sum := auditSum{l.Who, l.Role, l.Code, l.Status}
	if a.sums == nil {
		a.sums, a.began = make(map[auditSum]int), l.Time
	}
	if _, there := a.sums[sum]; !there && len(a.sums) >= maxSums {
		sum = auditSum{} // of others
	}
	a.sums[sum]++
	return true, ok
}

// sum writes the sums where it is time.
func (a *audit) sum(now time.Time, last bool) bool {
	if a.w == nil {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if last {
		a.began = time.Time{}
	}
	return a.flush(now)
}

// flush writes the sums where it is time. The caller holds mu.
func (a *audit) flush(now time.Time) bool {
	if len(a.sums) == 0 || now.Sub(a.began) < sumEvery {
		return true
	}
	var lines []auditLine
	for s, n := range a.sums {
		lines = append(lines, auditLine{Time: now, Who: s.Who, Role: s.Role, Code: s.Code, Status: s.Status, Count: n})
	}
	slices.SortFunc(lines, func(x, y auditLine) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Who, y.Who), cmp.Compare(x.Role, y.Role), cmp.Compare(x.Code, y.Code), cmp.Compare(x.Status, y.Status))
	})
	a.sums = nil
	ok := true
	for _, l := range lines {
		ok = a.write(l) && ok
	}
	return ok
}

// write writes a line. The caller holds mu.
func (a *audit) write(l auditLine) bool {
	line, err := json.Marshal(l)
	if err == nil {
		_, err = a.w.Write(append(line, '\n'))
	}
	return err == nil
}

// changes tells whether a request by that method asks for a change.
func changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

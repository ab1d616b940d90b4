package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"wavryhost/session"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"

	"github.com/danielgtaylor/huma/v2"
)

// The header of a request with an idempotency key, and the header that marks a repeated answer.
const (
	headerKey      = "Idempotency-Key"
	headerReplayed = "Idempotency-Replayed"
)

// The limits of idempotency keys. Answers are a few kilobytes long: an SDP answer with its candidates is the longest.
const (
	keepKeys   = 10 * time.Minute
	mostKeys   = 4096
	mostKept   = 8 << 20 // bytes of all answers
	longestKey = 128     // characters
)

// creating returns a route that creates something and therefore accepts an idempotency key.
func creating(rt route) route {
	rt.creates = true
	rt.Params = append(slices.Clone(rt.Params), openapi.Param{
		In: "header", Name: headerKey, Value: keyText(""),
		Text: "The same request with the same key within 10 minutes returns the first " +
			"answer, viewer token included, and creates nothing.",
	})
	rt.Codes = append(slices.Clone(rt.Codes), problem.BadRequest, problem.KeyReused)
	slices.Sort(rt.Codes)
	rt.Codes = slices.Compact(rt.Codes)
	return rt
}

// keyText is an idempotency key.
type keyText string

// Schema describes it in the document.
func (keyText) Schema(huma.Registry) *huma.Schema {
	most := longestKey
	return prepared(&huma.Schema{Type: huma.TypeString, MaxLength: &most, Examples: []any{"7f3a"}})
}

// keyName identifies an idempotency key. Keys of different clients are independent.
type keyName struct {
	owner session.Owner
	key   string
}

// attempt is a request with an idempotency key, and its answer once it is done.
type attempt struct {
	request [sha256.Size]byte
	done    chan struct{} // closed when the request is answered

	at     time.Time // of the answer; zero before
	status int
	header http.Header
	body   []byte
}

// attempts remembers the answers of requests with an idempotency key. They end with the daemon, as the sessions,
// reservations and viewer tokens in them do.
type attempts struct {
	mu   sync.Mutex // guards all following fields
	all  map[keyName]*attempt
	kept int // bytes of all answers
}

// begin returns the attempt of a key. mine reports whether the caller must do the request, and then call end.
func (a *attempts) begin(name keyName, request [sha256.Size]byte, now time.Time) (t *attempt, mine bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for other, t := range a.all {
		if !t.at.IsZero() && now.Sub(t.at) >= keepKeys {
			a.drop(other)
		}
	}
	if t = a.all[name]; t != nil {
		return t, false
	}
	t = &attempt{request: request, done: make(chan struct{})}
	if a.all == nil {
		a.all = make(map[keyName]*attempt)
	}
	a.all[name] = t
	return t, true
}

// end keeps the answer of a request that succeeded, and forgets the others: they have created nothing and may be tried
// again.
func (a *attempts) end(name keyName, t *attempt, rec *recorder, before http.Header, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer close(t.done)
	if rec.status < 200 || rec.status > 299 {
		delete(a.all, name)
		return
	}
	t.at, t.status, t.body, t.header = now, rec.status, rec.copied.Bytes(), make(http.Header)
	for key, values := range rec.Header() {
		if !slices.Equal(before[key], values) {
			t.header[key] = slices.Clone(values)
		}
	}
	a.kept += len(t.body)
	for len(a.all) > mostKeys || a.kept > mostKept {
		if !a.dropOldest() {
			return
		}
	}
}

// dropOldest forgets the oldest answer, and reports whether there was one.
func (a *attempts) dropOldest() bool {
	var oldest keyName
	var at time.Time
	for name, t := range a.all {
		if !t.at.IsZero() && (at.IsZero() || t.at.Before(at)) {
			oldest, at = name, t.at
		}
	}
	if at.IsZero() {
		return false
	}
	a.drop(oldest)
	return true
}

func (a *attempts) drop(name keyName) {
	a.kept -= len(a.all[name].body)
	delete(a.all, name)
}

// once answers a request of a creating route. A repeated request gets the first answer. It waits while the first
// request is in progress.
func (a *attempts) once(w http.ResponseWriter, r *http.Request, h handle) error {
	rec, ok := w.(*recorder)
	key := r.Header.Get(headerKey)
	switch {
	case key == "" || !ok:
		return h(w, r)
	case utf8.RuneCountInString(key) > longestKey:
		return problem.New(problem.BadRequest, "the %s has %d characters; at most %d are possible", headerKey,
			utf8.RuneCountInString(key), longestKey)
	}
	body, err := content.Read(w, r)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	name := keyName{auth.PrincipalOf(r.Context()).Owner, key}
	request := hashOf(r, body)
	for {
		t, mine := a.begin(name, request, time.Now())
		if mine {
			return a.first(rec, r, h, name, t)
		}
		if t.request != request {
			return problem.New(problem.KeyReused, "this %s was used for another request", headerKey)
		}
		if err := wait(r.Context(), t.done); err != nil {
			return err
		}
		if t.status != 0 { // t does not change any more
			replay(rec, t)
			return nil
		}
	}
}

// first does the first request of a key.
func (a *attempts) first(rec *recorder, r *http.Request, h handle, name keyName, t *attempt) error {
	before := rec.Header().Clone()
	rec.copied = new(bytes.Buffer)
	defer func() { a.end(name, t, rec, before, time.Now()) }()
	return h(rec, r)
}

// hashOf identifies a request for its idempotency key.
func hashOf(r *http.Request, body []byte) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range []string{
		r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), r.Header.Get("Wavry-Input"), "",
	} {
		_, _ = io.WriteString(h, part+"\n")
	}
	_, _ = h.Write(body)
	return [sha256.Size]byte(h.Sum(nil))
}

// wait waits until done is closed.
func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replay gives the answer of an earlier request.
func replay(rec *recorder, t *attempt) {
	for key, values := range t.header {
		rec.Header()[key] = slices.Clone(values)
	}
	rec.Header().Set(headerReplayed, "true")
	noteObject(rec, "repeat of an earlier request")
	rec.WriteHeader(t.status)
	_, _ = rec.Write(t.body)
}

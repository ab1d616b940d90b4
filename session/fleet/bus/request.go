package bus

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// The headers of requests and answers. The others are headers of HTTP.
const (
	headerMethod  = "Wavry-Method"
	headerPath    = "Wavry-Path"
	headerRequest = "Wavry-Request"
	headerTime    = "Wavry-Time"
	headerSelect  = "Wavry-Select"
	headerHost    = "Wavry-Host"
	headerStatus  = "Wavry-Status"
	headerPart    = "Wavry-Part"
	headerLast    = "Wavry-Last"
)

// The bounds of requests and answers, in bytes.
const (
	MaxRequest = 256 << 10
	MaxAnswer  = 16 << 20
	maxPath    = 4096
	// partSize is how much of an answer is in one message.
	partSize = 256 << 10
)

// MaxSkew is how much the clock of a request may differ from the host's. A host knows the requests of twice that time,
// and refuses repeated ones.
const MaxSkew = 2 * time.Minute

// passed are the HTTP headers of a request that are sent on. Credentials are not: the subject names the caller.
func passed() []string {
	return []string{"Accept", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"}
}

// Request is a request of the control API as a message.
type Request struct {
	// ID is new for each message.
	ID       string
	Time     time.Time
	Method   string
	Path     string // with the query
	Header   http.Header
	Body     []byte
	Selector Selector
}

// NewRequest returns the message of an HTTP request, without a subject. It reads no body.
func NewRequest(r *http.Request, body []byte, s Selector) (*nats.Msg, error) {
	if len(body) > MaxRequest {
		return nil, fmt.Errorf("fleet: a body of %d bytes is larger than %d", len(body), MaxRequest)
	}
	m := &nats.Msg{Header: nats.Header{}, Data: body}
	for _, name := range passed() {
		if v := r.Header.Get(name); v != "" {
			m.Header.Set(name, v)
		}
	}
	m.Header.Set(headerMethod, r.Method)
	m.Header.Set(headerPath, r.URL.RequestURI())
	m.Header.Set(headerRequest, rand.Text())
	m.Header.Set(headerTime, strconv.FormatInt(time.Now().UnixMilli(), 10))
	if len(s) > 0 {
		m.Header.Set(headerSelect, s.String())
	}
	return m, nil
}

var requestID = regexp.MustCompile(`^[A-Za-z0-9_-]{16,64}$`)

// ParseRequest reads and checks a request.
func ParseRequest(m *nats.Msg) (q Request, err error) {
	q = Request{
		ID: m.Header.Get(headerRequest), Method: m.Header.Get(headerMethod), Path: m.Header.Get(headerPath),
		Header: http.Header{}, Body: m.Data,
	}
	ms, err := strconv.ParseInt(m.Header.Get(headerTime), 10, 64)
	u, bad := url.ParseRequestURI(q.Path)
	switch {
	case len(m.Data) > MaxRequest:
		return q, fmt.Errorf("fleet: a body of %d bytes is larger than %d", len(m.Data), MaxRequest)
	case !requestID.MatchString(q.ID):
		return q, errors.New("fleet: the request has no ID")
	case err != nil:
		return q, errors.New("fleet: the request has no time")
	case bad != nil || len(q.Path) > maxPath || u.Host != "" || !strings.HasPrefix(q.Path, "/"):
		return q, errors.New("fleet: the request has no valid path")
	}
	switch q.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return q, fmt.Errorf("fleet: %.40q is not a method of the API", q.Method)
	}
	q.Time = time.UnixMilli(ms)
	if q.Selector, err = ParseSelector(m.Header.Get(headerSelect)); err != nil {
		return q, err
	}
	for _, name := range passed() {
		if v := m.Header.Values(name); len(v) == 1 && len(v[0]) < 1024 {
			q.Header.Set(name, v[0])
		} else if len(v) > 0 {
			return q, fmt.Errorf("fleet: the header %s is there twice, or too long", name)
		}
	}
	return q, nil
}

// HTTP returns the HTTP request of q.
func (q Request) HTTP(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, q.Method, "http://localhost"+q.Path, bytes.NewReader(q.Body))
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	r.Header = q.Header.Clone()
	r.RequestURI = q.Path
	return r, nil
}

// Answers returns the messages of an answer to a subject.
func Answers(subject, host string, status int, h http.Header, body []byte) []*nats.Msg {
	var list []*nats.Msg
	for part := 0; part == 0 || len(body) > 0; part++ {
		n := min(len(body), partSize)
		m := &nats.Msg{Subject: subject, Header: nats.Header{}, Data: body[:n]}
		body = body[n:]
		m.Header.Set(headerHost, host)
		m.Header.Set(headerPart, strconv.Itoa(part))
		if part == 0 {
			m.Header.Set(headerStatus, strconv.Itoa(status))
			maps.Copy(m.Header, nats.Header(h))
		}
		if len(body) == 0 {
			m.Header.Set(headerLast, "1")
		}
		list = append(list, m)
	}
	return list
}

// Answer is the answer of a host, of which parts arrive.
type Answer struct {
	Host   string
	Status int
	Header http.Header
	Body   []byte
	parts  int
}

// Add adds a part, and reports whether it was the last one.
func (a *Answer) Add(m *nats.Msg) (last bool, err error) {
	part, err := strconv.Atoi(m.Header.Get(headerPart))
	if err != nil || part != a.parts {
		return false, errors.New("fleet: a part of the answer is missing")
	}
	if len(a.Body)+len(m.Data) > MaxAnswer {
		return false, fmt.Errorf("fleet: the answer is larger than %d bytes", MaxAnswer)
	}
	if part == 0 {
		a.Host = m.Header.Get(headerHost)
		if a.Status, err = strconv.Atoi(m.Header.Get(headerStatus)); err != nil || a.Status < 100 || a.Status > 599 {
			return false, errors.New("fleet: the answer has no status")
		}
		a.Header = http.Header{}
		for name, values := range m.Header {
			if !strings.HasPrefix(name, "Wavry-") {
				a.Header[name] = values
			}
		}
	}
	a.parts++
	a.Body = append(a.Body, m.Data...)
	return m.Header.Get(headerLast) == "1", nil
}

// HostOf returns the host that sent a part of an answer.
func HostOf(m *nats.Msg) string { return m.Header.Get(headerHost) }

// Unheard reports whether m is the answer of the NATS server that nobody listens.
func Unheard(m *nats.Msg) bool { return len(m.Data) == 0 && m.Header.Get("Status") == "503" }

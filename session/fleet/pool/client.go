package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"wavryhost/session/api/client"
	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
)

// ErrNoHost means that no host listens: it is off, or it is in no fleet.
var ErrNoHost = errors.New("fleet: no host listens")

// Client sends requests to hosts. Its methods may be called concurrently.
type Client struct {
	nc     *nats.Conn
	caller bus.Caller
	inbox  inbox

	mu    sync.Mutex         // guards all following fields
	hosts map[string]float64 // how many hosts answer a question, about, by its subject
	open  map[string]open    // placements whose host has not answered, by the ID of the wish
}

// NewClient returns a Client over a connection, which stays the caller's. The NATS server must allow the caller's
// subjects. The Client has one subscription, for as long as the connection lasts.
func NewClient(nc *nats.Conn, c bus.Caller) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Client{nc: nc, caller: c, hosts: make(map[string]float64), open: make(map[string]open)}, nil
}

// Host returns the client of the control API of one host.
func (c *Client) Host(id string) (*client.Client, error) {
	return client.New(client.Config{
		URL: "http://" + id, HTTP: &http.Client{Transport: transport{c, id}}, Attempts: 2, MaxWait: time.Second,
	})
}

// HTTP returns an HTTP client whose requests go to one host, whatever their address.
func (c *Client) HTTP(id string) *http.Client { return &http.Client{Transport: transport{c, id}} }

// transport sends HTTP requests to a host.
type transport struct {
	client *Client
	id     string
}

var _ http.RoundTripper = transport{}

// answerTimeout bounds the wait for an answer. It is longer than the host's time for one.
const answerTimeout = 25 * time.Second

// RoundTrip sends a request, and returns its answer.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !bus.IsID(t.id) {
		return nil, fmt.Errorf("fleet: %.80q is not the ID of a host", t.id)
	}
	m, err := message(r, nil)
	if err != nil {
		return nil, err
	}
	m.Subject = bus.SubjectAPI(t.id, t.client.caller)
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	a, err := t.client.one(ctx, m)
	if err != nil {
		return nil, err
	}
	if a.Host != t.id {
		return nil, fmt.Errorf("fleet: %.80q answers for %s", a.Host, t.id)
	}
	return response(r, a), nil
}

// message reads a request into a message without a subject.
func message(r *http.Request, s bus.Selector) (*nats.Msg, error) {
	body, err := read(r)
	if err != nil {
		return nil, err
	}
	return bus.NewRequest(r, body, s)
}

// read reads the body of a request. Of an oversized body it returns a byte more than is allowed.
func read(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, bus.MaxRequest+1))
	if err != nil {
		return nil, fmt.Errorf("fleet: read the request: %w", err)
	}
	return body, nil
}

// response returns the HTTP response of an answer.
func response(r *http.Request, a *bus.Answer) *http.Response {
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status)), StatusCode: a.Status, Proto: "HTTP/1.1",
		ProtoMajor: 1, ProtoMinor: 1, Header: a.Header, Body: io.NopCloser(bytes.NewReader(a.Body)),
		ContentLength: int64(len(a.Body)), Request: r,
	}
}

// one sends a message, and returns the answer of one host.
func (c *Client) one(ctx context.Context, m *nats.Msg) (*bus.Answer, error) {
	answers, err := c.inbox.expect(c.nc)
	if err != nil {
		return nil, err
	}
	defer answers.close()
	m.Reply = answers.subject
	if err := c.nc.PublishMsg(m); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	a := &bus.Answer{}
	for {
		part, err := answers.next(ctx, time.Time{})
		if err == nil && bus.Unheard(part) {
			return nil, ErrNoHost
		}
		if err != nil {
			return nil, fmt.Errorf("fleet: no answer: %w", err)
		}
		if last, err := a.Add(part); err != nil || last {
			return a, err
		}
	}
}

// All sends a request to all hosts that a selector matches, and returns what they answer until ctx ends, or until all
// expected ones have. expected are IDs, as from a View; without any, ctx decides.
func (c *Client) All(ctx context.Context, r *http.Request, s bus.Selector, expected []string) ([]*bus.Answer, error) {
	m, err := message(r, s)
	if err != nil {
		return nil, err
	}
	answers, err := c.inbox.expect(c.nc)
	if err != nil {
		return nil, err
	}
	defer answers.close()
	m.Subject, m.Reply = bus.SubjectAll(c.caller), answers.subject
	if err := c.nc.PublishMsg(m); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	waiting := make(map[string]bool)
	for _, id := range expected {
		waiting[id] = true
	}
	parts := make(map[string]*bus.Answer)
	var done []*bus.Answer
	for len(expected) == 0 || len(waiting) > 0 {
		part, err := answers.next(ctx, time.Time{})
		if err == nil && bus.Unheard(part) {
			return done, ErrNoHost
		}
		if err != nil {
			break // the time is over
		}
		id := bus.HostOf(part)
		if parts[id] == nil {
			parts[id] = &bus.Answer{}
		}
		last, err := parts[id].Add(part)
		if err != nil {
			return done, err
		}
		if last {
			done = append(done, parts[id])
			delete(parts, id)
			delete(waiting, id)
		}
	}
	return done, nil
}

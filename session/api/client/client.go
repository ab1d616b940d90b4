// Package client is a typed client of the HTTP API of a host, for gateways and other programs that place viewers. Its
// types are generated from the OpenAPI document.
//
// Methods return an *Error for an answer that is not a success. Requests that failed on the way, or that a host asks to
// repeat later, are repeated where that cannot do anything twice: see Config.Attempts.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	mediaJSON     = "application/json"
	mediaSDP      = "application/sdp"
	mediaFragment = "application/trickle-ice-sdpfrag"

	// maxAnswer bounds an answer that is not a stream. The largest is a page of 1000 sessions.
	maxAnswer = 32 << 20
)

// Config says which host a Client asks, and how.
type Config struct {
	// URL is the address of the host, such as https://host7.example.net:8470. A reverse proxy may add a path.
	URL string
	// Token is the bearer token. It is empty if HTTP has a client certificate.
	Token string
	// HTTP sends the requests. It defaults to a client that follows no redirects, because a redirect would take the
	// token to another host.
	HTTP *http.Client
	// Attempts is the largest number of attempts of one request. It defaults to 4.
	Attempts int
	// MaxWait is the longest wait before another attempt. A host that asks for more gets none. It defaults to 10 s.
	MaxWait time.Duration
}

// Client asks one host. Its methods may be called concurrently.
type Client struct {
	cfg Config

	Host         Hosts
	Sessions     Sessions
	Reservations Reservations
	Events       Events
	WHEP         WHEP
}

// New returns a client.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("client: %q is not the address of a host, such as https://host7.example.net:8470",
			cfg.URL)
	}
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	if cfg.HTTP == nil {
		stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		cfg.HTTP = &http.Client{CheckRedirect: stay}
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 4
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = 10 * time.Second
	}
	c := &Client{cfg: cfg}
	c.Host, c.Sessions, c.Reservations, c.Events, c.WHEP = Hosts{c}, Sessions{c}, Reservations{c}, Events{c: c}, WHEP{c}
	return c, nil
}

// request is a request before its first attempt.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	media        string // of the body
	body         []byte
	// repeats reports whether the request does nothing more when it is done twice.
	repeats bool
}

// get returns a request that only reads.
func get(path string) request { return request{method: http.MethodGet, path: path, repeats: true} }

// with returns the request with a JSON body.
func (r request) with(body any) request {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("client: encode %T: %v", body, err)) // the types of this package have an encoding
	}
	r.media, r.body = mediaJSON, text
	return r
}

// keyed returns the request with an idempotency key, so that it can be repeated. An empty key is replaced by a new one.
func (r request) keyed(key string) request {
	if key == "" {
		key = rand.Text()
	}
	r.header = http.Header{"Idempotency-Key": {key}}
	r.repeats = true
	return r
}

// call sends a request and decodes the answer into out, unless it is nil. It returns the header of the answer, and
// reports whether the answer was 304.
func (c *Client) call(ctx context.Context, r request, out any) (h http.Header, unchanged bool, err error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		return resp.Header, true, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("client: %s %s: read the answer: %w", r.method, r.path, err)
	case len(text) > maxAnswer:
		return nil, false, fmt.Errorf("client: %s %s: the answer exceeds %d bytes", r.method, r.path, maxAnswer)
	}
	switch out := out.(type) {
	case nil:
	case *[]byte:
		*out = text
	default:
		if err := json.Unmarshal(text, out); err != nil {
			return nil, false, fmt.Errorf("client: %s %s: the answer is not of this API: %w", r.method, r.path, err)
		}
	}
	return resp.Header, false, nil
}

// send sends a request, as often as it takes, and returns an answer that is a success. The caller closes its body.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := c.once(ctx, r)
		if err == nil {
			return resp, nil
		}
		if e, ok := errors.AsType[*Error](err); ok && attempt > 1 && r.method == http.MethodDelete &&
			e.Problem.Status == http.StatusNotFound {
			// The attempt before deleted it, and its answer was lost.
			return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}, nil
		}
		wait, again := c.again(r, err, attempt)
		if !again || ctx.Err() != nil {
			return nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

// once makes one attempt.
func (c *Client) once(ctx context.Context, r request) (*http.Response, error) {
	address := c.cfg.URL + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var body io.Reader = http.NoBody
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("client: %s %s: %w", r.method, r.path, err)
	}
	maps.Copy(req.Header, r.header)
	if r.media != "" {
		req.Header.Set("Content-Type", r.media)
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return nil, fmt.Errorf("client: %s %s: %w", r.method, r.path, err)
	}
	if resp.StatusCode < 300 || resp.StatusCode == http.StatusNotModified {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, errorOf(r, resp)
}

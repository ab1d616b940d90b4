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
	"time"
)

const (
	mediaJSON     = "application/json"
	mediaSDP      = "application/sdp"
	mediaFragment = "application/trickle-ice-sdpfrag"

	// maxAnswer bounds an answer that is not a stream. The largest is a page of 1000 sessions.
	maxAnswer = 32 << 20
)

// transport sends requests to one host.
type transport struct{ cfg Config }

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
func (c *transport) call(ctx context.Context, r request, out any) (h http.Header, unchanged bool, err error) {
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
func (c *transport) send(ctx context.Context, r request) (*http.Response, error) {
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
func (c *transport) once(ctx context.Context, r request) (*http.Response, error) {
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

// again returns after which time to repeat a request that failed, and reports whether to do so.
//
// A host that is full, draining or without a network is not asked again: another host may have room.
func (c *transport) again(r request, err error, attempt int) (wait time.Duration, ok bool) {
	if attempt >= c.cfg.Attempts {
		return 0, false
	}
	wait = backoff(attempt)
	e, answered := errors.AsType[*Error](err)
	if answered {
		wait = max(wait, e.RetryAfter)
	}
	switch {
	case wait > c.cfg.MaxWait:
		return 0, false
	case !answered:
		return wait, r.repeats
	}
	switch e.Problem.Code { //nolint:exhaustive // the others do not change by waiting
	case CodeTooManyRequests, CodeTooManyAttempts, CodeTooManyStreams:
		return wait, true // it was refused unread
	case CodeTimeout, CodeSlowRequest:
		return wait, r.repeats
	case "": // an answer of a proxy
		switch e.Problem.Status {
		case http.StatusTooManyRequests:
			return wait, true
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return wait, r.repeats
		}
	}
	return 0, false
}

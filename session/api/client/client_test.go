package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// host answers with one step after the other, and notes when it was asked for what.
type host struct {
	steps []step
	asked []string
	times []time.Duration
	begun time.Time
	keys  []string
}

type step struct {
	status int
	header map[string]string
	body   string
	err    error
	// hangs keeps the stream open after its body.
	hangs bool
}

func (h *host) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.begun.IsZero() {
		h.begun = time.Now()
	}
	h.asked = append(h.asked, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Last-Event-Id"))
	h.times = append(h.times, time.Since(h.begun))
	h.keys = append(h.keys, r.Header.Get("Idempotency-Key"))
	if len(h.steps) == 0 {
		return nil, errors.New("nothing more is planned")
	}
	s := h.steps[0]
	h.steps = h.steps[1:]
	if s.err != nil {
		return nil, s.err
	}
	header := http.Header{}
	for name, value := range s.header {
		header.Set(name, value)
	}
	body := io.Reader(strings.NewReader(s.body))
	if s.hangs {
		body = io.MultiReader(body, hanging{r.Context().Done()})
	}
	return &http.Response{StatusCode: s.status, Header: header, Body: io.NopCloser(body)}, nil
}

// hanging is a body of which nothing more comes.
type hanging struct{ done <-chan struct{} }

func (h hanging) Read([]byte) (int, error) {
	<-h.done
	return 0, context.Canceled
}

func problemStep(status int, code Code, retry int) step {
	s := step{
		status: status, header: map[string]string{"Content-Type": "application/problem+json"},
		body: `{"code": "` + string(code) + `", "detail": "so it is", "status": 1}`,
	}
	if retry > 0 {
		s.header["Retry-After"] = strconv.Itoa(retry)
	}
	return s
}

func newClient(t *testing.T, h *host) *Client {
	t.Helper()
	c, err := New(Config{
		URL: "http://host7.example:8470/screens/", Token: "0123456789abcdef",
		HTTP: &http.Client{Transport: h},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var errCut = errors.New("connection reset")

// A request is repeated where that can do nothing twice, no sooner than the host asks for.
func TestRepeats(t *testing.T) {
	good, created := step{status: 200, body: `{"id": "x"}`}, step{status: 201, body: `{"id": "x"}`}
	read := func(ctx context.Context, c *Client) error { _, err := c.Host.Get(ctx); return err }
	create := func(ctx context.Context, c *Client) error {
		_, err := c.Sessions.Create(ctx, "", SessionRequest{SDP: "v=0"})
		return err
	}
	reload := func(ctx context.Context, c *Client) error { _, err := c.Host.Reload(ctx, ReloadRequest{}); return err }
	end := func(ctx context.Context, c *Client) error { return c.Sessions.End(ctx, "s1", "") }
	for name, test := range map[string]struct {
		do    func(context.Context, *Client) error
		steps []step
		asked int
		code  Code
		least time.Duration
		fails bool
	}{
		"reading after a cut": {do: read, steps: []step{{err: errCut}, {err: errCut}, good}, asked: 3},
		"reading, at most four times": {
			do: read, steps: []step{{err: errCut}, {err: errCut}, {err: errCut}, {err: errCut}, good},
			asked: 4, fails: true,
		},
		"creating after a cut":     {do: create, steps: []step{{err: errCut}, created}, asked: 2},
		"a reload is not repeated": {do: reload, steps: []step{{err: errCut}, good}, asked: 1, fails: true},
		"a reload that was not begun": {do: reload, steps: []step{
			problemStep(429, CodeTooManyRequests, 3),
			good,
		}, asked: 2, least: 3 * time.Second},
		"a host that wants too long": {
			do: read, steps: []step{problemStep(429, CodeTooManyRequests, 60), good}, asked: 1,
			code: CodeTooManyRequests, fails: true,
		},
		"a full host": {
			do: create, steps: []step{problemStep(503, CodeFull, 1), created}, asked: 1,
			code: CodeFull, fails: true,
		},
		"a draining host": {
			do: create, steps: []step{problemStep(503, CodeDraining, 1)}, asked: 1,
			code: CodeDraining, fails: true,
		},
		"a proxy without its host": {
			do: read, steps: []step{{status: 502, body: "<html>"}, {
				status: 503,
				header: map[string]string{"Retry-After": "5"},
			}, good},
			asked: 3, least: 5 * time.Second,
		},
		"a proxy without its host, for a reload": {do: reload, steps: []step{{status: 502}}, asked: 1, fails: true},
		"a redirect is an error":                 {do: read, steps: []step{{status: 307}}, asked: 1, fails: true},
		"a timeout of the host": {do: read, steps: []step{
			problemStep(504, CodeTimeout, 0),
			good,
		}, asked: 2},
		"wrong words": {
			do: create, steps: []step{problemStep(400, CodeBadJSON, 0)},
			asked: 1, code: CodeBadJSON, fails: true,
		},
		"an end whose answer was lost": {do: end, steps: []step{{err: errCut}, problemStep(404,
			CodeUnknownSession, 0)}, asked: 2},
		"an end of nothing": {do: end, steps: []step{problemStep(404, CodeUnknownSession,
			0)}, asked: 1, code: CodeUnknownSession, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &host{steps: test.steps}
				err := test.do(t.Context(), newClient(t, h))
				if (err != nil) != test.fails || CodeOf(err) != test.code || len(h.asked) != test.asked {
					t.Errorf("%v, %q after %q", err, CodeOf(err), h.asked)
				}
				if last := h.times[len(h.times)-1]; last < test.least || last > 20*time.Second {
					t.Errorf("the attempts were at %v", h.times)
				}
				if len(slices.Compact(h.keys)) != 1 {
					t.Errorf("the keys of one request are %q", h.keys)
				}
			})
		})
	}
}

// A caller that gives up waits no longer.
func TestCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := newClient(t, &host{steps: []step{problemStep(429, CodeTooManyRequests, 9)}})
		if _, err := c.Host.Get(ctx); !errors.Is(err, context.DeadlineExceeded) || CodeOf(err) != CodeTooManyRequests {
			t.Errorf("got %v; want both reasons", err)
		}
	})
}

func TestErrors(t *testing.T) {
	full := problemStep(503, CodeFull, 7)
	full.body = `{"code": "full", "detail": "no room", "resource": "cpu", "fit": "640x360@30", "later": {"x": 1}}`
	_, err := newClient(t, &host{steps: []step{full}}).Reservations.Create(t.Context(), "k", ReservationRequest{})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Problem.Resource != "cpu" || e.Problem.Fit != "640x360@30" || e.RetryAfter != 7*time.Second ||
		e.Problem.Status != 503 || err.Error() != "client: POST /v1/reservations: no room (503 full)" {
		t.Errorf("got %v, %+v", err, e)
	}
	for name, s := range map[string]step{
		"no JSON":   {status: 200, body: "<html>"},
		"too large": {status: 200, body: string(bytes.Repeat([]byte(" "), maxAnswer+1))},
	} {
		if _, err := newClient(t, &host{steps: []step{s}}).Host.Get(t.Context()); err == nil || CodeOf(err) != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, url := range []string{
		"", "host7", "ftp://host7", "http://", "http://host7?x=1", "http://host7#t",
		"http://%zz",
	} {
		if _, err := New(Config{URL: url}); err == nil {
			t.Errorf("%q is taken as an address", url)
		}
	}
}

// The stream continues after the last event that was handled, whatever happens to its connections.
func TestFollowResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		event := func(id string) string {
			return "id: " + id + "\nevent: drained\ndata: {\"id\": " + id + ", \"kind\": \"drained\"}\n\n"
		}
		h := &host{steps: []step{
			{status: 200, body: ": hello\nid: 40\n\n"}, // cut before the first event
			{err: errCut},                           // the host is away
			problemStep(503, CodeTooManyStreams, 5), // crowded
			{status: 200, body: event("41") + event("42"), hangs: true}, // falls silent
			{status: 200, body: "event: gap\ndata: {\"after\": 42, \"next\": 90}\n\n" + event("90")},
			{status: 200, body: "id: 91\nevent: drained\ndata: {\"id\": 91, \"ki"}, // half an event
			{status: 200, body: event("91") + "id: 95\n\n"},                        // the last ones are filtered out
			{status: 200, body: event("96")},
		}}
		var got []string
		stop := errors.New("that is enough")
		err := newClient(t, h).Events.Follow(t.Context(), 0, func(e Event) error {
			got = append(got, string(e.Kind)+" "+strconv.FormatUint(max(e.ID, e.Next), 10))
			if e.ID == 96 {
				return stop
			}
			return nil
		})
		if want := []string{
			"drained 41", "drained 42", "gap 90", "drained 90", "drained 91",
			"drained 96",
		}; !errors.Is(err, stop) ||
			!slices.Equal(got, want) {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
		const ask = "GET /screens/v1/events "
		if want := []string{
			ask, ask + "40", ask + "40", ask + "40", ask + "42", ask + "90",
			ask + "90", ask + "95",
		}; !slices.Equal(h.asked, want) {
			t.Errorf("asked %q; want %q", h.asked, want)
		}
		if wait := h.times[3] - h.times[2]; wait < 5*time.Second {
			t.Errorf("a crowded host was asked again after %v", wait)
		}
		if wait := h.times[4] - h.times[3]; wait < silence || wait > silence+maxPause {
			t.Errorf("a silent stream was left after %v", wait)
		}
	})
}

// A stream that the host refuses permanently ends.
func TestFollowIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{steps: []step{problemStep(401, CodeUnauthorized, 0)}}
		err := newClient(t, h).Events.Follow(t.Context(), 7, func(Event) error { return nil })
		if CodeOf(err) != CodeUnauthorized || len(h.asked) != 1 {
			t.Errorf("%v after %q", err, h.asked)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		h = &host{}
		if err := newClient(t, h).Events.Follow(ctx, 7, func(Event) error { return nil }); !errors.Is(err,
			context.DeadlineExceeded) {
			t.Errorf("a host that never answers: %v", err)
		}
		if n := len(h.asked); n < 60 || n > 300 {
			t.Errorf("a host that is away was asked %d times in an hour", n)
		}
	})
}

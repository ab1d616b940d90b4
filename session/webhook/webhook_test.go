package webhook

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/platform/guard"
	"wavryhost/session"
	"wavryhost/session/logtest"
	"wavryhost/session/outbox"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // of the examples of the specification

// events is a journal.
type events struct {
	mu    sync.Mutex
	first uint64
	list  []session.EventRecord
	more  chan struct{}
}

func newEvents(first uint64) *events { return &events{first: first, more: make(chan struct{})} }

func (e *events) happen(kind string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for range n {
		e.list = append(e.list, session.EventRecord{
			ID: e.first + uint64(len(e.list)), At: time.Now(), Kind: kind, Session: "s1",
		})
	}
	close(e.more)
	e.more = make(chan struct{})
}

func (e *events) Events(after uint64) (list []session.EventRecord, lost bool, more <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, one := range e.list {
		if one.ID > after {
			list = append(list, one)
		}
	}
	return list, false, e.more
}

// receiver answers with one status after the other, and with 204 at the end. It notes what it accepted.
type receiver struct {
	mu       sync.Mutex
	statuses []int
	header   http.Header
	names    []string
	times    []time.Time
	bodies   []string
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.times = append(r.times, time.Now())
	status := http.StatusNoContent
	if len(r.statuses) > 0 {
		status, r.statuses = r.statuses[0], r.statuses[1:]
	}
	if status == http.StatusNoContent {
		r.names, r.bodies = append(r.names, req.Header.Get("Webhook-Id")), append(r.bodies, string(body))
	}
	r.mu.Unlock()
	switch status {
	case 0:
		return nil, errors.New("connection refused")
	case -1:
		<-req.Context().Done()
		return nil, req.Context().Err()
	case -2:
		panic("of a test")
	}
	header := r.header.Clone()
	if status < 300 {
		header = nil
	}
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Header: header, Body: http.NoBody}, nil
}

func (r *receiver) accepted() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.names, " ")
}

// sender is a Sender of a test.
type sender struct {
	*Sender
	stop func()
	log  *logtest.Buffer
}

// launch runs a Sender. stop ends it in order.
func launch(t *testing.T, cfg Config, from outbox.Journal, r http.RoundTripper) *sender {
	t.Helper()
	cfg.URL, cfg.Host = "https://gateway.example/events?key=of-the-receiver", "rack-7"
	if cfg.ReadFile == nil {
		cfg.ReadFile = func(string) ([]byte, error) { return []byte(secret), nil }
	}
	log := &logtest.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	cfg.Guard = guard.New(logger, nil, nil)
	s, err := New(cfg, from, NewMetrics(prometheus.NewRegistry()), logger)
	if err != nil {
		t.Fatal(err)
	}
	s.http.Transport = r
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return &sender{s, func() {
		cancel()
		<-ended
		last, done := context.WithTimeout(context.Background(), time.Second)
		defer done()
		s.Flush(last)
	}, log}
}

// names are the IDs of events for receivers.
func names(first, last int) string {
	var list []string
	for n := first; n <= last; n++ {
		list = append(list, fmt.Sprintf("rack-7.%d", n))
	}
	return strings.Join(list, " ")
}

// Events arrive in order, once each while nothing fails, and after every failure again.
func TestEventsAreDelivered(t *testing.T) {
	for name, c := range map[string]struct {
		statuses []int
		header   http.Header
		least    time.Duration // until all are delivered
		most     time.Duration
		results  map[string]int
	}{
		"works": {results: map[string]int{resultDelivered: 3}},
		"is away": {
			statuses: []int{0, 0, 0}, least: 7 * time.Second, most: 10 * time.Second,
			results: map[string]int{resultFailed: 3},
		},
		"hangs": {
			statuses: []int{-1}, least: answerTimeout, most: 13 * time.Second,
			results: map[string]int{resultTimeout: 1},
		},
		"is broken": {
			statuses: []int{204, 500, 204, 500}, least: 2 * time.Second,
			most: 4 * time.Second, results: map[string]int{resultRefused: 2},
		},
		"redirects": {
			statuses: []int{302, 307},
			header:   http.Header{"Location": {"https://evil.example"}}, least: 3 * time.Second,
			most: 5 * time.Second, results: map[string]int{resultRedirected: 2},
		},
		"is busy": {
			statuses: []int{429}, header: http.Header{"Retry-After": {"120"}},
			least: 2 * time.Minute, most: 3 * time.Minute, results: map[string]int{resultRefused: 1},
		},
		"asks for too much": {
			statuses: []int{503}, header: http.Header{"Retry-After": {"2000000000"}},
			least: time.Hour, most: 90 * time.Minute, results: map[string]int{resultRefused: 1},
		},
		"panics": {
			statuses: []int{-2}, least: time.Second, most: 2 * time.Second,
			results: map[string]int{resultDelivered: 3},
		},
		"asks for nonsense": {
			statuses: []int{503}, header: http.Header{"Retry-After": {"soon"}},
			least: time.Second, most: 2 * time.Second, results: map[string]int{resultRefused: 1},
		},
		"is away for days": {
			statuses: make([]int, 600), least: 48 * time.Hour, most: 72 * time.Hour,
			results: map[string]int{resultFailed: 600},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, from := &receiver{statuses: c.statuses, header: c.header}, newEvents(41)
				s := launch(t, Config{Outbox: filepath.Join(t.TempDir(), "outbox")}, from, r)
				begun := time.Now()
				from.happen("drained", 3)
				time.Sleep(10 * 24 * time.Hour)
				s.stop()
				if got := r.accepted(); got != names(41, 43) {
					t.Errorf("accepted %s", got)
				}
				if took := r.times[len(r.times)-1].Sub(begun); took < c.least || took > max(c.most, time.Millisecond) {
					t.Errorf("it took %v; want %v to %v", took, c.least, c.most)
				}
				for result, want := range c.results {
					if n := testutil.ToFloat64(s.met.deliveries.WithLabelValues(result)); int(n) != want {
						t.Errorf("%v deliveries are %s; want %d", n, result, want)
					}
				}
				if strings.Contains(s.log.String(), "of-the-receiver") {
					t.Errorf("the receiver's secret is in the log: %s", s.log)
				}
				var m map[string]any
				if err := json.Unmarshal([]byte(r.bodies[0]), &m); err != nil || m["type"] != "drained" ||
					m["host"] != "rack-7" ||
					m["data"].(map[string]any)["id"] != 41.0 {
					t.Errorf("the body is %s, %v", r.bodies[0], err)
				}
			})
		})
	}
}

// A reload changes the receiver and the kinds at once, and can end and begin the delivery.
func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, from := new(receiver), newEvents(1)
		s := launch(t, Config{Outbox: filepath.Join(t.TempDir(), "outbox")}, from, r)
		cfg := s.current()
		set := func(change func(*Config)) {
			changed := cfg
			change(&changed)
			s.Reconfigure(changed)
			from.happen("drained", 1)
			time.Sleep(time.Minute)
		}
		set(func(*Config) {})
		set(func(c *Config) { c.URL = "" })
		set(func(c *Config) { c.Kinds = []string{"resume"} })
		r.mu.Lock()
		r.statuses = []int{0, 0, 0, 0, 0, 0, 0, 0}
		r.mu.Unlock()
		set(func(*Config) {})
		attempts := func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.times)
		}
		waited := attempts()
		s.Reconfigure(cfg) // it does not wait for the pause to end
		synctest.Wait()
		if n := attempts() - waited; n != 1 {
			t.Errorf("%d attempts after the change", n)
		}
		time.Sleep(time.Hour)
		s.stop()
		if got := r.accepted(); got != "rack-7.1 rack-7.4" {
			t.Errorf("accepted %s", got)
		}
	})
}

// Without a receiver nothing is kept, and no file is made.
func TestNoWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, from := filepath.Join(t.TempDir(), "outbox"), newEvents(1)
		s, err := New(Config{Outbox: path}, from, NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			from.happen("drained", 1)
			time.Sleep(time.Minute)
			cancel()
		}()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		s.Flush(t.Context())
		if _, err := os.Stat(path); err == nil {
			t.Error("there is an outbox")
		}
	})
}

// Signatures are as in the specification's examples, one for each secret; the secret is read again for each event.
func TestSignature(t *testing.T) {
	keys, err := ParseSecrets(secret + "\n")
	if err != nil {
		t.Fatal(err)
	}
	got := sign(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	next := "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	files := []string{secret, secret, secret + "\n\n" + next + "\n", "none", next}
	var signed []int
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		signed = append(signed, len(strings.Fields(r.Header.Get("Webhook-Signature"))))
	})
	server := httptest.NewServer(h)
	defer server.Close()
	cfg := Config{
		URL: server.URL, Host: "h", Outbox: filepath.Join(t.TempDir(), "o"),
		Guard: guard.New(slog.New(slog.DiscardHandler), nil, nil),
		ReadFile: func(string) ([]byte, error) {
			text := files[0]
			files = files[1:]
			return []byte(text), nil
		},
	}
	s, err := New(cfg, newEvents(1), NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		_ = s.attempt(t.Context(), outbox.Item{ID: 1, Kind: "drained", Data: json.RawMessage("{}")})
	}
	if !slices.Equal(signed, []int{1, 2, 1}) ||
		testutil.ToFloat64(s.met.deliveries.WithLabelValues(resultSecret)) != 1 {
		t.Errorf("the requests have %v signatures", signed)
	}
}

func TestValidate(t *testing.T) {
	good := Config{
		URL: "https://g.example/e", Outbox: "o", Kinds: []string{"drained"},
		ReadFile: func(string) ([]byte, error) { return []byte(secret), nil },
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"no scheme":    func(c *Config) { c.URL = "gateway.example" },
		"clear text":   func(c *Config) { c.URL = "http://gateway.example" },
		"a password":   func(c *Config) { c.URL = "https://a:b@gateway.example" },
		"another":      func(c *Config) { c.URL = "ftp://gateway.example" },
		"no file":      func(c *Config) { c.Outbox = "" },
		"no kind":      func(c *Config) { c.Kinds = []string{"draind"} },
		"no secret":    func(c *Config) { c.ReadFile = func(string) ([]byte, error) { return nil, os.ErrNotExist } },
		"empty secret": func(c *Config) { c.ReadFile = func(string) ([]byte, error) { return nil, nil } },
		"short secret": func(c *Config) {
			c.ReadFile = func(string) ([]byte,
				error,
			) {
				return []byte("whsec_YWJj"), nil
			}
		},
		"plain secret": func(c *Config) {
			c.ReadFile = func(string) ([]byte, error) { return []byte("hunter2hunter2hunter2"), nil }
		},
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for _, url := range []string{"http://127.0.0.1:9/e", "http://[::1]/e", "http://localhost/e?x=1"} {
		if err := CheckURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "1.5": 0, "99999999999999": 0,
		"Tue, 14 Nov 2023 22:14:20 GMT": time.Minute,
		"Tue, 14 Nov 2000 22:14:20 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %v; want %v", text, got, want)
		}
	}
}

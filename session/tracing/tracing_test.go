package tracing

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/logtest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// transport answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newTracer returns a Tracer whose requests go to a transport, and its log.
func newTracer(t *testing.T, cfg Config, to http.RoundTripper) (*Tracer, *logtest.Buffer) {
	t.Helper()
	if cfg.Endpoint == "" {
		cfg.Endpoint = "http://127.0.0.1:4318"
	}
	log := &logtest.Buffer{}
	tracer, err := New(cfg, NewMetrics(prometheus.NewRegistry()), slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	tracer.http.Transport = to
	return tracer, log
}

// count returns how many traces have a result.
func (t *Tracer) count(result string) int {
	return int(testutil.ToFloat64(t.met.traces.WithLabelValues(result)))
}

func TestBadEndpoint(t *testing.T) {
	for _, text := range []string{"", "127.0.0.1:4318", "http://", "http://[::1", "collector"} {
		if _, err := New(Config{Endpoint: text}, NewMetrics(prometheus.NewRegistry()), slog.Default()); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// Traces that cannot be delivered are counted. One warning in ten minutes says what to do.
func TestDeadCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collector
		dead := true
		cfg := Config{Endpoint: "http://127.0.0.1:4318/?key=s3cret"}
		tracer, log := newTracer(t, cfg, transport(func(r *http.Request) (*http.Response, error) {
			if dead {
				return nil, errors.New("connection refused")
			}
			return got.RoundTrip(r)
		}))
		stop := run(t, tracer)
		for range 5 {
			tracer.Add(session.Span{Name: "x", Start: time.Now(), End: time.Now()})
			time.Sleep(time.Second)
		}
		text := log.String()
		if n := strings.Count(text, "level=WARN"); n != 1 || !strings.Contains(text, "connection refused") ||
			!strings.Contains(text, "endpoint=http://127.0.0.1:4318/v1/traces ") || strings.Contains(text, "s3cret") {
			t.Errorf("%d warnings: %s", n, text)
		}
		time.Sleep(warnEvery)
		tracer.Add(session.Span{Name: "x", Start: time.Now(), End: time.Now()})
		time.Sleep(time.Second)
		if text := log.String(); strings.Count(text, "level=WARN") != 2 || !strings.Contains(text, "traces=5") {
			t.Errorf("after ten minutes: %s", text)
		}
		dead = false
		tracer.Add(session.Span{Name: "x", Start: time.Now(), End: time.Now()})
		time.Sleep(time.Second)
		if !strings.Contains(log.String(), "delivered again") {
			t.Errorf("the end is not told: %s", log.String())
		}
		stop()
		if f, d := tracer.count(resultFailed), tracer.count(resultDelivered); f != 6 || d != 1 {
			t.Errorf("%d failed, %d delivered; want 6 and 1", f, d)
		}
	})
}

// Add does not wait for a slow collector. Traces that find the queue full are dropped and counted. Flush ends with its
// context.
func TestSlowCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer, _ := newTracer(t, Config{}, transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- tracer.Run(ctx) }()
		tracer.Add(session.Span{Name: "first", Start: time.Now(), End: time.Now()})
		synctest.Wait()
		begun := time.Now()
		for range queued + 10 {
			tracer.Add(session.Span{Name: "x", Start: time.Now(), End: time.Now()})
		}
		if took := time.Since(begun); took != 0 || tracer.count(resultDropped) != 10 {
			t.Errorf("Add took %v, %d dropped; want 10", took, tracer.count(resultDropped))
		}
		time.Sleep(answerTimeout) // the first is lost, the others are on their way
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		begun = time.Now()
		limit, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		tracer.Flush(limit)
		if took := time.Since(begun); took != time.Second || tracer.count(resultFailed) != queued+1 {
			t.Errorf("the end took %v, %d failed; want 1 s and %d", took, tracer.count(resultFailed), queued+1)
		}
	})
}

// What a delivery that the end of Run breaks off has, Flush delivers.
func TestFlushDeliversTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collector
		hang := true
		tracer, log := newTracer(t, Config{}, transport(func(r *http.Request) (*http.Response, error) {
			if hang {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return got.RoundTrip(r)
		}))
		stop := run(t, tracer)
		tracer.Add(session.Span{Name: "first", Start: time.Now(), End: time.Now()})
		synctest.Wait()
		tracer.Add(session.Span{Name: "second", Start: time.Now(), End: time.Now()})
		hang = false
		stop()
		if !slices.Equal(names(got.spans), []string{"first", "second"}) || log.String() != "" {
			t.Errorf("delivered %v, and logged %s", names(got.spans), log.String())
		}
	})
}

// Each answer other than a success is one clear error.
func TestRefusingCollector(t *testing.T) {
	for want, answer := range map[string]func(http.ResponseWriter){
		"the collector answers 503 Service Unavailable": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"redirects are not followed": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://127.0.0.1/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		// An ExportTraceServiceResponse with a partial success of 3 rejected spans and a message.
		`the collector rejects 3 spans: \"full\"`: func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "\x0a\x08\x08\x03\x12\x04full")
		},
	} {
		tracer, log := newTracer(t, Config{}, &collector{answer: answer})
		stop := run(t, tracer)
		tracer.Add(session.Span{Name: "x", Start: time.Now(), End: time.Now()})
		stop()
		if text := strings.ReplaceAll(log.String(), `\\`, ``); !strings.Contains(text, strings.ReplaceAll(want, `\\`, ``)) ||
			tracer.count(resultFailed) != 1 {
			t.Errorf("logged %s; want %s", text, want)
		}
	}
	for _, text := range []string{"", "\x0a", "\x0a\x08\x08", "\xff\xff\xff", "<html>", "\x0a\x00"} {
		if n, why := rejection([]byte(text)); n != 0 {
			t.Errorf("%q rejects %d spans: %s", text, n, why)
		}
	}
}

// The file of headers is read for each request. An error names the line and does not show its
// content.
func TestHeaders(t *testing.T) {
	var got collector
	text := "Authorization: Bearer s3cret\n\nX-Scope-OrgID: a\n"
	tracer, log := newTracer(t, Config{
		HeadersFile: "headers", ReadFile: func(string) ([]byte, error) { return []byte(text), nil },
	}, &got)
	tracer.Add(session.Span{Name: "x", Start: time.Now(), End: time.Now()})
	tracer.Flush(t.Context())
	if len(got.headers) != 1 || got.headers[0].Get("Authorization") != "Bearer s3cret" ||
		got.headers[0].Get("X-Scope-OrgID") != "a" {
		t.Errorf("requests have the headers %v", got.headers)
	}
	for _, bad := range []string{"s3cret", "a b: s3cret", "A: s3\x00cret", "A:", ": s3cret"} {
		text = "Fine: x\n" + bad
		tracer.warned = time.Time{}
		tracer.Add(session.Span{Name: "x", Start: time.Now(), End: time.Now()})
		tracer.Flush(t.Context())
	}
	if text := log.String(); strings.Count(text, "headers: line 2 is not of the form Name: value") != 5 ||
		strings.Contains(text, "cret") || len(got.headers) != 1 {
		t.Errorf("logged %s", text)
	}
}

// A traceparent that says that its trace is not sampled takes no span; a wrong one counts for nothing.
func TestTraceparent(t *testing.T) {
	var got collector
	tracer, _ := newTracer(t, Config{}, &got)
	for _, parent := range []string{
		strings.TrimSuffix(traceparent, "1") + "0", "nonsense", "00-" + strings.Repeat("0", 32) + "-" + parentID + "-01",
	} {
		tracer.Add(session.Span{Name: "x", Start: time.Now(), End: time.Now(), Parent: parent})
	}
	tracer.Flush(t.Context())
	if len(got.spans) != 2 || len(got.spans[0].GetParentSpanId()) != 0 || len(got.spans[1].GetParentSpanId()) != 0 ||
		tracer.count(resultUnsampled) != 1 {
		t.Errorf("got %v, %d unsampled; want two roots and one unsampled", got.spans, tracer.count(resultUnsampled))
	}
}

// A span that failed says why, in a text of bounded length. A step of the wall clock does not make it negative.
func TestFailedSpan(t *testing.T) {
	var got collector
	tracer, _ := newTracer(t, Config{}, &got)
	now := time.Now()
	tracer.Add(session.Span{
		Name: "x", Start: now, End: now.Add(-time.Second), Reason: "ice_timeout",
		Err: errors.New(strings.Repeat("ä", maxText) + "\xff"),
	})
	tracer.Flush(t.Context())
	s := got.spans[0]
	if status := s.GetStatus(); status.GetCode() != tracepb.Status_STATUS_CODE_ERROR ||
		status.GetMessage() != strings.Repeat("ä", maxText/2) || value(s.GetAttributes(), "error.type") != "ice_timeout" ||
		s.GetEndTimeUnixNano() != s.GetStartTimeUnixNano() {
		t.Errorf("got %v", s)
	}
}

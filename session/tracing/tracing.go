// Package tracing delivers the traces of sessions to an OpenTelemetry collector, by OTLP over HTTP with bodies of
// protobuf.
//
// Sessions give away finished spans with their times; nothing here is on the way of a picture. A queue with room for 64
// traces stands between: what comes while it is full is dropped and counted. What the collector does not take is lost:
// there is no second attempt, because a trace is a sample.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"wavryhost/session"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// queued is how many traces wait at most. 20 sessions that begin at once and a sampled frame of each fit.
	queued = 64
	// answerTimeout bounds one delivery.
	answerTimeout = 10 * time.Second
	// warnEvery is the time between two warnings while traces are lost.
	warnEvery = 10 * time.Minute
)

// Tracer delivers traces. Run must be running.
type Tracer struct {
	log      *slog.Logger
	met      *Metrics
	endpoint string // for the log
	http     *http.Client
	exporter *otlptrace.Exporter
	tracer   trace.Tracer
	queue    chan session.Span

	// What follows belongs to the goroutine of Run, and to Flush after that.
	batch  []sdk.ReadOnlySpan
	traces int // in the batch
	lost   int // since the last warning
	warned time.Time
	failed bool // the last delivery failed
}

// New returns a Tracer that delivers nothing before Run. It returns an error for an endpoint that is no URL.
func New(cfg Config, m *Metrics, log *slog.Logger) (*Tracer, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("tracing: %q is not an address such as http://127.0.0.1:4318", cfg.Endpoint)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	shown := *u
	shown.RawQuery = "" // it may have a secret
	t := &Tracer{
		log: log, met: m, endpoint: shown.String(), queue: make(chan session.Span, queued),
		http: &http.Client{
			Timeout:       answerTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute,
				ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
			},
		},
	}
	t.exporter = otlptrace.NewUnstarted(&client{cfg: cfg, url: u.String(), http: t.http})
	about := []attribute.KeyValue{
		attribute.String("service.name", "wavry-host"), attribute.String("service.version", cfg.Version),
	}
	if cfg.ID != "" {
		about = append(about, attribute.String("service.instance.id", cfg.ID))
	}
	if cfg.Name != "" {
		about = append(about, attribute.String("host.name", cfg.Name))
	}
	t.tracer = sdk.NewTracerProvider(
		sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample())), sdk.WithRawSpanLimits(limits()),
		sdk.WithResource(resource.NewSchemaless(about...)), sdk.WithSpanProcessor(keeper{t}),
	).Tracer("wavryhost/session")
	return t, nil
}

// Add takes a trace. It never blocks: a trace that comes while the queue is full is dropped.
func (t *Tracer) Add(root session.Span) {
	select {
	case t.queue <- root:
	default:
		t.met.traces.WithLabelValues(resultDropped).Inc()
	}
}

// Run delivers traces until ctx ends. It returns nil.
func (t *Tracer) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case root := <-t.queue:
			t.convert(ctx, root)
		}
		t.gather(ctx)
		if err := t.deliver(ctx); err == nil || ctx.Err() == nil {
			t.settle(time.Now(), err)
		}
	}
}

// Flush delivers what is left after Run, within the time of ctx. It repeats a delivery that the end of Run broke off.
// Then spans may arrive twice, with the same IDs.
func (t *Tracer) Flush(ctx context.Context) {
	t.gather(ctx)
	t.settle(time.Now(), t.deliver(ctx))
	t.http.CloseIdleConnections()
}

// gather converts all traces that wait.
func (t *Tracer) gather(ctx context.Context) {
	for range queued {
		select {
		case root := <-t.queue:
			t.convert(ctx, root)
		default:
			return
		}
	}
}

// deliver sends the batch.
func (t *Tracer) deliver(ctx context.Context) error {
	if len(t.batch) == 0 {
		return nil
	}
	return t.exporter.ExportSpans(ctx, t.batch)
}

// settle counts the batch by the result of its delivery, and forgets it.
func (t *Tracer) settle(now time.Time, err error) {
	traces := t.traces
	t.batch, t.traces = nil, 0
	switch {
	case traces == 0:
	case err == nil:
		t.met.traces.WithLabelValues(resultDelivered).Add(float64(traces))
		if t.failed {
			t.failed = false
			t.log.Info("traces are delivered again", "endpoint", t.endpoint)
		}
	default:
		t.met.traces.WithLabelValues(resultFailed).Add(float64(traces))
		t.lost, t.failed = t.lost+traces, true
		if t.warned.IsZero() || now.Sub(t.warned) >= warnEvery {
			t.log.Warn("traces are lost: the collector did not accept them; check that it runs, and that "+
				"tracing.endpoint is its address for OTLP over HTTP", "endpoint", t.endpoint, "traces", t.lost, "err", err)
			t.warned, t.lost = now, 0
		}
	}
}

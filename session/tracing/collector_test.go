package tracing

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is an OTLP collector for tests.
type collector struct {
	answer func(http.ResponseWriter) // nil for a success

	mu       sync.Mutex
	spans    []*tracepb.Span
	resource []*commonpb.KeyValue
	headers  []http.Header
	bodies   bytes.Buffer
}

// ServeHTTP takes an ExportTraceServiceRequest.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &data)
	}
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "not a request", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	c.bodies.Write(body)
	for _, of := range data.GetResourceSpans() {
		c.resource = of.GetResource().GetAttributes()
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				same := func(one *tracepb.Span) bool { return bytes.Equal(one.GetSpanId(), s.GetSpanId()) }
				if !slices.ContainsFunc(c.spans, same) { // Flush may repeat a delivery
					c.spans = append(c.spans, s)
				}
			}
		}
	}
	if c.answer != nil {
		c.answer(w)
	}
}

// start serves the collector until the test ends, and returns its address.
func (c *collector) start(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return s.URL
}

// RoundTrip answers in the bubble of a test, where there is no network.
func (c *collector) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Result(), nil
}

// roots returns the spans with a name.
func (c *collector) named(name string) (list []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.GetName() == name {
			list = append(list, s)
		}
	}
	return list
}

// under returns the children of a span in the order of their starts.
func (c *collector) under(parent *tracepb.Span) (list []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if bytes.Equal(s.GetTraceId(), parent.GetTraceId()) && bytes.Equal(s.GetParentSpanId(), parent.GetSpanId()) {
			list = append(list, s)
		}
	}
	return list
}

// names returns the names of spans.
func names(list []*tracepb.Span) (all []string) {
	for _, s := range list {
		all = append(all, s.GetName())
	}
	return all
}

// value returns an attribute as text, empty if there is none.
func value(list []*commonpb.KeyValue, key string) string {
	i := slices.IndexFunc(list, func(kv *commonpb.KeyValue) bool { return kv.GetKey() == key })
	if i < 0 {
		return ""
	}
	return list[i].GetValue().GetStringValue()
}

// run runs a Tracer until the returned function is called, which also flushes it.
func run(t *testing.T, tracer *Tracer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tracer.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
		defer cancel()
		tracer.Flush(ctx)
	}
}

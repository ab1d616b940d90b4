package tracing

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"wavryhost/session"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// maxText bounds each text in a span, in bytes.
const maxText = 512

// limits bounds what a span has. OpenTelemetry reads its own limits from the environment.
func limits() sdk.SpanLimits {
	return sdk.SpanLimits{
		AttributeValueLengthLimit: maxText, AttributeCountLimit: 32,
		AttributeValueDepthLimit: sdk.DefaultAttributeValueDepthLimit,
	}
}

// convert adds the spans of a trace to the batch. There are none for a traceparent that is not sampled. An invalid
// traceparent counts for nothing.
func (t *Tracer) convert(ctx context.Context, root session.Span) {
	kind := trace.SpanKindInternal
	if root.Parent != "" {
		kind = trace.SpanKindServer
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": root.Parent})
	}
	before := len(t.batch)
	// The differences are by the monotonic clock: a step of the wall clock must not make a span negative.
	wall := root.Start.Round(0)
	t.span(ctx, root, kind, func(at time.Time) time.Time { return wall.Add(max(0, at.Sub(root.Start))) })
	if len(t.batch) == before {
		t.met.traces.WithLabelValues(resultUnsampled).Inc()
		return
	}
	t.traces++
}

// span makes a span and its parts.
func (t *Tracer) span(ctx context.Context, s session.Span, kind trace.SpanKind, at func(time.Time) time.Time) {
	ctx, one := t.tracer.Start(ctx, s.Name, trace.WithTimestamp(at(s.Start)), trace.WithSpanKind(kind),
		trace.WithAttributes(attributes(s.Attrs)...))
	for _, part := range s.Parts {
		t.span(ctx, part, trace.SpanKindInternal, at)
	}
	if s.Reason != "" {
		text := s.Reason
		if s.Err != nil {
			text = strings.ToValidUTF8(s.Err.Error(), "")
		}
		if len(text) > maxText {
			text = strings.ToValidUTF8(text[:maxText], "")
		}
		one.SetAttributes(attribute.String("error.type", s.Reason))
		one.SetStatus(codes.Error, text)
	}
	one.End(trace.WithTimestamp(at(s.End)))
}

// attributes converts attributes.
func attributes(list []slog.Attr) []attribute.KeyValue {
	all := make([]attribute.KeyValue, len(list))
	for i, a := range list {
		switch a.Value.Kind() {
		case slog.KindBool:
			all[i] = attribute.Bool(a.Key, a.Value.Bool())
		case slog.KindInt64:
			all[i] = attribute.Int64(a.Key, a.Value.Int64())
		default:
			all[i] = attribute.String(a.Key, a.Value.String())
		}
	}
	return all
}

// keeper puts spans that end into the batch of a Tracer, in the goroutine that makes them.
type keeper struct{ *Tracer }

var _ sdk.SpanProcessor = keeper{}

// OnStart does nothing.
func (keeper) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd takes a span.
func (k keeper) OnEnd(s sdk.ReadOnlySpan) { k.batch = append(k.batch, s) }

// Shutdown does nothing.
func (keeper) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing.
func (keeper) ForceFlush(context.Context) error { return nil }

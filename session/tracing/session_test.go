package tracing

import (
	"context"
	"encoding/hex"
	"image"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/capture/capturetest"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/session"
	"wavryhost/session/peer/peertest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID    = "00f067aa0ba902b7"
	traceparent = "00-" + traceID + "-" + parentID + "-01"
)

// A collector gets the spans of a real session: of its set-up, in the trace of the request, and of a frame.
func TestSessionReachesTheCollector(t *testing.T) {
	var got collector
	reg := prometheus.NewRegistry()
	tracer, err := New(Config{Endpoint: got.start(t), Version: "1.2.3", ID: "host-7"}, NewMetrics(reg),
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, tracer)
	screen := capturetest.NewScreen(640, 480)
	m, err := session.NewManager(session.Config{
		Displays: func(context.Context) []session.Display {
			return []session.Display{{ID: "test", Name: "Test", Width: 640, Height: 480, Open: screen.Open}}
		},
		Encoders: []encode.Factory{encodetest.New(encodetest.Config{Took: 100 * time.Microsecond})},
		Loopback: true, Linger: time.Millisecond, ConnectTimeout: peertest.Deadline, ShutdownTimeout: peertest.Deadline,
		Trace: tracer.Add, TraceFrameEvery: 200 * time.Millisecond,
	}, slog.New(slog.DiscardHandler), session.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	viewer := peertest.New(t)
	defer viewer.Close()
	offer := viewer.Offer(false)
	a, err := m.Create(t.Context(), session.Offer{Display: "default", SDP: offer, TraceParent: traceparent})
	if err != nil {
		t.Fatal(err)
	}
	viewer.Accept(a.SDP)
	var frame *tracepb.Span
	peertest.Eventually(t, "the set-up and an acknowledged frame are delivered", func() bool {
		if screen.Source() != nil {
			screen.Touch(image.Rect(10, 10, 20, 20))
		}
		list := got.named("frame")
		i := slices.IndexFunc(list, func(s *tracepb.Span) bool {
			return s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_UNSET && len(got.under(s)) > 0
		})
		if i >= 0 {
			frame = list[i]
		}
		return i >= 0 && len(got.named("session set-up")) > 0
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	stop()

	root := got.named("session set-up")[0]
	if hex.EncodeToString(root.GetTraceId()) != traceID || hex.EncodeToString(root.GetParentSpanId()) != parentID ||
		root.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("the set-up does not continue the trace of the request: %v", root)
	}
	if len(frame.GetParentSpanId()) != 0 || hex.EncodeToString(frame.GetTraceId()) == traceID {
		t.Errorf("the frame has no trace of its own: %v", frame)
	}
	for _, c := range []struct {
		root *tracepb.Span
		want []string
	}{
		{root, []string{"offer", "ice", "dtls", "encode", "ack"}},
		{frame, []string{"capture", "wait", "convert", "encode", "send", "ack"}},
	} {
		parts := got.under(c.root)
		if !slices.Equal(names(parts), c.want) {
			t.Errorf("%s has the parts %v; want %v", c.root.GetName(), names(parts), c.want)
		}
		begin, end := c.root.GetStartTimeUnixNano(), c.root.GetEndTimeUnixNano()
		t.Logf("%-14s %8.3f ms", c.root.GetName(), float64(end-begin)/1e6)
		for i, s := range parts {
			from, to := s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano()
			t.Logf("    %-10s %8.3f ms, from %8.3f ms", s.GetName(), float64(to-from)/1e6, float64(from-begin)/1e6)
			if from < begin || to > end || to < from || i > 0 && to < parts[i-1].GetEndTimeUnixNano() {
				t.Errorf("%s is from %d to %d, within %d to %d", s.GetName(), from, to, begin, end)
			}
		}
		for key, want := range map[string]string{
			"session.id": a.ID, "wavry.display": "test", "wavry.codec": "H264", "wavry.path": "direct",
			"wavry.encoder": "fake",
		} {
			if v := value(c.root.GetAttributes(), key); v != want {
				t.Errorf("%s: %s is %q; want %q", c.root.GetName(), key, v, want)
			}
		}
	}
	if value(got.resource, "service.name") != "wavry-host" || value(got.resource, "service.version") != "1.2.3" ||
		value(got.resource, "service.instance.id") != "host-7" {
		t.Errorf("the spans are of %v", got.resource)
	}
	for line := range strings.Lines(offer + a.SDP) {
		for _, secret := range []string{"a=ice-pwd:", "a=ice-ufrag:"} {
			text, ok := strings.CutPrefix(strings.TrimSpace(line), secret)
			if ok && strings.Contains(got.bodies.String(), text) {
				t.Errorf("the spans have %s%s", secret, text)
			}
		}
	}
	if n := testutil.ToFloat64(tracer.met.traces.WithLabelValues(resultDelivered)); n < 2 {
		t.Errorf("%v traces are counted", n)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
}

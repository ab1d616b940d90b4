package session

import (
	"errors"
	"image"
	"log/slog"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/capture/capturetest"
)

// eventLog keeps the events of a part of a session.
type eventLog struct {
	log    *slog.Logger
	met    *Metrics
	events []Event
}

func newEventLog() *eventLog {
	return &eventLog{log: slog.New(slog.DiscardHandler), met: NewMetrics(prometheus.NewRegistry())}
}

func (l *eventLog) emit(e Event) uint64 {
	l.events = append(l.events, e)
	return uint64(len(l.events))
}

// screen is a display for tests.
type screen struct{ *capturetest.Screen }

func newScreen(w, h int) *screen { return &screen{capturetest.NewScreen(w, h)} }

// display returns the screen as a display with ID test.
func (s *screen) display() Display {
	w, h := s.Size()
	return Display{ID: "test", Name: "Test", Backend: "fake", Width: w, Height: h, Open: s.Open}
}

// spot is a small part of a picture.
var spot = image.Rect(10, 10, 20, 20)

var errTest = errors.New("test error")

// lint checks the metrics' names and help texts.
func lint(t *testing.T, reg prometheus.Gatherer) {
	t.Helper()
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Errorf("gather metrics: %v", err)
	}
	for _, p := range problems {
		t.Errorf("metric %s: %s", p.Metric, p.Text)
	}
}

// seriesOf returns the value of a series whose labels have these values, as "reason=request".
func seriesOf(t testing.TB, reg prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			n := 0
			for _, l := range m.GetLabel() {
				if slices.Contains(labels, l.GetName()+"="+l.GetValue()) {
					n++
				}
			}
			if n == len(labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no series %s %v", name, labels)
	return 0
}

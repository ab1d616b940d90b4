package main

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wavryhost/platform/input"
	"wavryhost/platform/pressure"
	"wavryhost/session"
	"wavryhost/session/api"
	"wavryhost/session/outbox"
	"wavryhost/session/tracing"
	"wavryhost/session/webhook"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// shownValues is the most values of a label that the document lists; other labels are described by their help alone.
const shownValues = 16

// described is one metric as its collector describes it.
type described struct {
	name, kind, help string
	labels           []string
	values           map[string][]string
	// idle is the number of series on an idle host, without the buckets of histograms.
	idle int
}

// catcher is a Registerer that keeps what is registered.
type catcher struct {
	*prometheus.Registry
	collectors []prometheus.Collector
}

func (c *catcher) MustRegister(list ...prometheus.Collector) {
	c.collectors = append(c.collectors, list...)
	c.Registry.MustRegister(list...)
}

var descForm = regexp.MustCompile(
	`^Desc\{fqName: "([^"]+)", help: "((?:[^"\\]|\\.)*)", (?:unit: "[^"]*", )?constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`, //nolint:lll // a raw string
)

// registerAll registers the metrics of all parts. With complete set, all series of closed sets exist.
func registerAll(c *catcher, complete bool) {
	sessions, requests := session.NewMetrics(c), api.NewMetrics(c)
	link, injectors := newGatewayCounters(c), input.NewMetrics(c)
	lines := newLogQueue(io.Discard, nil)
	lines.Close(patience)
	c.MustRegister(lines.lost, newRestartPending(programFile{}))
	reloads := newReloader(nil, nil, nil, nil, nil, c, nil)
	newConfigInfo(c)
	newExitInfo(c)
	c.MustRegister(newVersionCounters(versions{})...)
	newLoops(c, nil)
	hook, traces := webhook.NewMetrics(c), tracing.NewMetrics(c)
	newKeyFetches(c)
	newSelfProbe(nil, nil, nil, nil, c, nil)
	pressure.New(c, slog.New(slog.DiscardHandler))
	pressure.NewGPUs(c, slog.New(slog.DiscardHandler))
	if complete {
		sessions.Complete()
		requests.Complete()
		link.complete()
		injectors.Complete()
		reloads.complete()
		hook.Complete()
		traces.Complete()
	}
}

// metricsOfTheCode returns our metrics, by name, with the metrics of a fleet.
func metricsOfTheCode(t *testing.T) []described {
	t.Helper()
	c := &catcher{Registry: prometheus.NewRegistry()}
	registerAll(c, true)
	newFleetCounters(c)
	c.MustRegister(outbox.NewMetrics("fleet").Collectors()...)
	values := make(map[string]map[string][]string)
	families, err := c.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		of := make(map[string][]string)
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(of[l.GetName()], l.GetValue()) {
					of[l.GetName()] = append(of[l.GetName()], l.GetValue())
				}
			}
		}
		values[f.GetName()] = of
	}
	idle := idleCounts(t)
	var list []described
	own, err := newRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range own {
		if !strings.HasPrefix(f.GetName(), "wavry_host_") {
			continue // of the Go client library
		}
		d := described{name: f.GetName(), kind: strings.ToLower(f.GetType().String()), help: f.GetHelp(), idle: 1}
		for _, l := range f.GetMetric()[0].GetLabel() {
			d.labels = append(d.labels, l.GetName())
		}
		list = append(list, d)
	}
	for _, collector := range c.collectors {
		kind := "gauge"
		switch collector.(type) {
		case *prometheus.CounterVec:
			kind = "counter"
		case *prometheus.HistogramVec, prometheus.Histogram:
			kind = "histogram"
		case *prometheus.GaugeVec, prometheus.Gauge, *session.ComputedGauges:
		case prometheus.Counter:
			kind = "counter"
		case prometheus.GaugeFunc: // counters match it too
		default:
			t.Fatalf("%T is no kind of metric that the document knows", collector)
		}
		descs := make(chan *prometheus.Desc, 8) // more than a collector has
		collector.Describe(descs)
		close(descs)
		for desc := range descs {
			m := descForm.FindStringSubmatch(desc.String())
			if m == nil {
				t.Fatalf("%s is not understood", desc)
			}
			d := described{name: m[1], kind: kind, help: m[2], values: values[m[1]], idle: idle[m[1]]}
			if m[4] != "" {
				d.labels = strings.Split(m[4], ",")
			}
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b described) int { return strings.Compare(a.name, b.name) })
	return list
}

func metricTable(list []described) string {
	var b strings.Builder
	b.WriteString("| name | type | labels | idle | meaning |\n| --- | --- | --- | --- | --- |\n")
	for _, d := range list {
		var labels []string
		for _, l := range d.labels {
			text := code(l)
			if v := d.values[l]; len(v) > 0 && len(v) <= shownValues {
				slices.Sort(v)
				text += ": " + strings.Join(v, ", ")
			}
			labels = append(labels, text)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %d | %s |\n", d.name, d.kind, strings.Join(labels, "; "), d.idle, cell(d.help))
	}
	return b.String()
}

// idleSeries is the budget of series of a host without sessions, without the buckets of histograms. More series cost
// memory and time on every Prometheus server that scrapes the hosts: docs/operate/metrics.md states the number.
const idleSeries = 150

// idleCounts returns how many series each metric has on an idle host, without the buckets of histograms.
func idleCounts(t *testing.T) map[string]int {
	t.Helper()
	c := &catcher{Registry: prometheus.NewRegistry()}
	registerAll(c, false)
	counts := make(map[string]int)
	for _, from := range []prometheus.Gatherer{c, newRegistry()} {
		families, err := from.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			each := 1
			switch {
			case !strings.HasPrefix(f.GetName(), "wavry_host_"):
				continue // of the Go client library
			case f.GetType() == dto.MetricType_HISTOGRAM:
				each = 2 // the sum and the count
			}
			counts[f.GetName()] = each * len(f.GetMetric())
		}
	}
	return counts
}

// The end-to-end test of the metrics counts them on a running daemon.
func TestIdleHostHasFewSeries(t *testing.T) {
	n := 0
	for _, series := range idleCounts(t) {
		n += series
	}
	text, err := os.ReadFile("../../docs/operate/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	if n > idleSeries || !strings.Contains(string(text), fmt.Sprintf("at most %d series", idleSeries)) {
		t.Errorf("an idle host has %d series; the budget is %d, which docs/operate/metrics.md states", n, idleSeries)
	}
	t.Logf("%d series", n)
}

// docs/operate/metrics.md lists the metrics that the code registers, and no label names a session.
func TestMetricsAreDocumented(t *testing.T) {
	const path = "../../docs/operate/metrics.md"
	list := metricsOfTheCode(t)
	for _, d := range list {
		if !strings.HasPrefix(d.name, "wavry_host_") || !strings.HasSuffix(d.help, ".") {
			t.Errorf("%s has no prefix wavry_host_, or its help %q is no sentence", d.name, d.help)
		}
		if slices.Contains(d.labels, "session") || slices.Contains(d.labels, "display") {
			t.Errorf("%s has the labels %v; the number of their values has no bound", d.name, d.labels)
		}
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := replacePart(string(old), "metrics", metricTable(list))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != string(old) {
		t.Errorf("%s is behind the code; rewrite it with: make generate", path)
	}
}

// The runbooks name only metrics that exist. deploy/monitoring checks the alerts.
func TestRunbooksNameWhatExists(t *testing.T) {
	known := make(map[string]bool)
	for _, d := range metricsOfTheCode(t) {
		known[d.name] = true
		if d.kind == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				known[d.name+suffix] = true
			}
		}
	}
	texts := make(map[string]string)
	if err := filepath.WalkDir("../../docs/operate/runbooks", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		texts[filepath.Base(path)] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`wavry_host_[a-z_]+`)
	for file, text := range texts {
		for _, n := range name.FindAllString(text, -1) {
			if !known[n] {
				t.Errorf("%s names %s, which is no metric", file, n)
			}
		}
	}
	if len(texts) < 10 {
		t.Errorf("docs/operate/runbooks has %d pages; want at least 10", len(texts))
	}
}

package canary

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// The metrics besides the counters of the figures.
const (
	buildInfo = "wavry_host_build_info"
	lastExit  = "wavry_host_last_exit_info"
	probe     = "wavry_host_probe_success"
	started   = "process_start_time_seconds"
)

// abnormal reports whether a daemon that ended so crashed.
func abnormal(reason string) bool { return reason == "failed" || reason == "killed" }

// ReadSnapshots reads what a host counted between two copies of GET /metrics, or since its start when first is empty.
func ReadSnapshots(first, last string) (Host, error) {
	end, err := readSnapshot(last)
	if err != nil {
		return Host{}, err
	}
	if first == "" {
		return end.host(snapshot{}), nil
	}
	begin, err := readSnapshot(first)
	if err != nil {
		return Host{}, err
	}
	if begin.version != end.version {
		return Host{}, fmt.Errorf("%s is of version %s, and %s of version %s; want two snapshots of the same version",
			first, begin.version, last, end.version)
	}
	if end.started < begin.started {
		return Host{}, fmt.Errorf("%s is older than %s; want the earlier snapshot first", last, first)
	}
	return end.host(begin), nil
}

// snapshot is a copy of GET /metrics.
type snapshot struct {
	file, version, exit string
	started, probe      float64
	counters            map[string]Sample
}

func readSnapshot(path string) (snapshot, error) {
	s := snapshot{file: path, probe: -1, counters: make(map[string]Sample)}
	f, err := os.Open(path)
	if err != nil {
		return s, fmt.Errorf("read a snapshot: %w", err)
	}
	defer f.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(f)
	if err != nil {
		return s, fmt.Errorf("read %s: %w; want a copy of GET /metrics", path, err)
	}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			s.read(name, m)
		}
	}
	if s.version == "" {
		return s, fmt.Errorf("%s has no %s; want a copy of GET /metrics of wavry-host", path, buildInfo)
	}
	return s, nil
}

func (s *snapshot) read(name string, m *dto.Metric) {
	labels := make(map[string]string)
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	switch {
	case name == buildInfo:
		s.version = labels["version"]
	case name == lastExit && m.GetGauge().GetValue() == 1:
		s.exit = labels["reason"]
	case name == probe:
		s.probe = m.GetGauge().GetValue()
	case name == started:
		s.started = m.GetGauge().GetValue()
	}
	switch {
	case m.GetCounter() != nil:
		s.count(name, labels, m.GetCounter().GetValue())
	case m.GetHistogram() != nil:
		s.count(name+"_count", labels, float64(m.GetHistogram().GetSampleCount()))
		for _, b := range m.GetHistogram().GetBucket() {
			below := maps.Clone(labels)
			below["le"] = fmt.Sprint(b.GetUpperBound())
			s.count(name+"_bucket", below, float64(b.GetCumulativeCount()))
		}
	}
}

func (s *snapshot) count(name string, labels map[string]string, value float64) {
	var key strings.Builder
	key.WriteString(name)
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&key, "\n%s=%q", label, labels[label])
	}
	s.counters[key.String()] = Sample{Metric: name, Labels: labels, Value: value}
}

// host returns what the host counted since an earlier snapshot. The counters of a daemon that was restarted in between
// count from its start.
func (s *snapshot) host(before snapshot) Host {
	restarted := s.started != before.started
	h := Host{
		Name: s.file, Version: s.version, Probe: s.probe,
		Crashed: before.file != "" && restarted && abnormal(s.exit),
	}
	for key, sample := range s.counters {
		if earlier := before.counters[key].Value; !restarted && earlier <= sample.Value {
			sample.Value -= earlier
		}
		h.Increases = append(h.Increases, sample)
	}
	return h
}

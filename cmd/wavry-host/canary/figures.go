package canary

import (
	"fmt"
	"maps"
	"slices"
)

// term is a sum of counters of a metric, whose labels have one of the values.
type term struct {
	metric string
	labels map[string][]string
	// less is subtracted.
	less *term
}

// sum adds up a term over hosts.
func sum(hosts []Host, terms ...term) float64 {
	total := 0.
	for _, t := range terms {
		for _, h := range hosts {
			for _, s := range h.Increases {
				if t.matches(s) {
					total += s.Value
				}
			}
		}
		if t.less != nil {
			total -= sum(hosts, *t.less)
		}
	}
	return max(total, 0)
}

func (t term) matches(s Sample) bool {
	if s.Metric != t.metric {
		return false
	}
	for name, values := range t.labels {
		if !slices.Contains(values, s.Labels[name]) {
			return false
		}
	}
	return true
}

// figure is a promise to viewers that a version can break.
type figure struct {
	name, title, unit string
	bad, all          []term
	// sessions are the independent observations. They are all events when it is nil.
	sessions []term
}

// handshakes returns the handshakes with some results.
func handshakes(results ...string) term {
	return term{metric: "wavry_host_handshakes_total", labels: map[string][]string{"result": results}}
}

// bad is the quality that is not good, for some causes.
func badQuality(causes ...string) term {
	t := term{
		metric: "wavry_host_quality_state_seconds_total",
		labels: map[string][]string{"state": {"critical", "stalled"}},
	}
	if len(causes) > 0 {
		t.labels["cause"] = causes
	}
	return t
}

// over returns the observations of a histogram that are above an edge.
func over(histogram, edge string, labels map[string][]string) term {
	below := map[string][]string{"le": {edge}}
	maps.Copy(below, labels)
	return term{
		metric: histogram + "_count", labels: labels, less: &term{metric: histogram + "_bucket", labels: below},
	}
}

var (
	sessions  = handshakes("success")                                  //nolint:gochecknoglobals // a constant
	connected = term{metric: "wavry_host_quality_state_seconds_total"} //nolint:gochecknoglobals // a constant
	acked     = map[string][]string{"to": {"acked"}}                   //nolint:gochecknoglobals // a constant
	refused   = term{
		metric: "wavry_host_sessions_refused_total",
		labels: map[string][]string{ //nolint:gochecknoglobals // a constant
			"reason": {"error", "no_picture"},
		},
	}
)

// figures are the figures of the pool's objectives (deploy/monitoring), and faults that no session should meet.
func figures() []figure {
	failed := handshakes("dtls_failed", "dtls_timeout", "ice_failed", "ice_timeout")
	return []figure{
		{
			name: "setup", title: "set-up failed", unit: "set-ups",
			bad: []term{failed, refused}, all: []term{sessions, failed, refused},
		},
		{
			name: "first_frame", title: "first picture after 2.5 s", unit: "sessions",
			bad: []term{over("wavry_host_first_frame_seconds", "2.5", acked)},
			all: []term{{metric: "wavry_host_first_frame_seconds_count", labels: acked}},
		},
		{
			name: "quality", title: "quality was critical or stalled", unit: "s",
			bad: []term{badQuality()}, all: []term{connected}, sessions: []term{sessions},
		},
		{
			name: "quality_host", title: "quality was bad because of the host", unit: "s",
			bad: []term{badQuality("host")}, all: []term{connected}, sessions: []term{sessions},
		},
		{
			name: "freezes", title: "picture was frozen", unit: "s",
			bad: []term{{metric: "wavry_host_freeze_seconds_total"}}, all: []term{connected},
			sessions: []term{sessions},
		},
		{
			name: "late_frames", title: "frame took over 33 ms in the host", unit: "frames",
			bad:      []term{over("wavry_host_capture_to_send_seconds", "0.0333", nil)},
			all:      []term{{metric: "wavry_host_capture_to_send_seconds_count"}},
			sessions: []term{sessions},
		},
		{
			name: "undelivered", title: "session began to show nothing", unit: "sessions",
			bad: []term{{metric: "wavry_host_sessions_undelivered_total"}}, all: []term{sessions},
		},
		{
			name: "encoder_fallbacks", title: "encoder was replaced", unit: "sessions",
			bad: []term{{metric: "wavry_host_encoder_fallbacks_total"}}, all: []term{sessions},
		},
		{
			name: "panics", title: "daemon panicked", unit: "sessions",
			bad: []term{{metric: "wavry_host_panics_total"}}, all: []term{sessions},
		},
	}
}

// metrics are the names of the counters that the figures need.
func metrics() []string {
	var names []string
	for _, f := range figures() {
		for _, t := range slices.Concat(f.bad, f.all, f.sessions) {
			for p := &t; p != nil; p = p.less {
				names = append(names, p.metric)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// share returns the figure of a group.
func (f figure) share(hosts []Host) Share {
	s := Share{Bad: sum(hosts, f.bad...), All: sum(hosts, f.all...)}
	s.Observations = s.All
	if f.sessions != nil {
		s.Observations = sum(hosts, f.sessions...)
	}
	return s
}

// compare judges the canary by the figure. A fault that is certain counts with few sessions too; to pass takes many.
func (f figure) compare(baseline, canary []Host, limits Limits, alpha float64) Result {
	r := Result{
		Name: f.name, Title: f.title, Unit: f.unit, Verdict: Pass,
		Baseline: f.share(baseline), Canary: f.share(canary),
	}
	b, c := r.Baseline, r.Canary
	low := 0.
	if b.All > 0 && c.All > 0 && b.Observations > 0 && c.Observations > 0 {
		var high float64
		low, high = ratioInterval(c, b, alpha)
		r.Low, r.High = finite(low), finite(high)
		r.Ratio = finite(c.value() / b.value())
	}
	least := func(s Share, group string) string {
		return fmt.Sprintf("the %s has %.0f of the %.0f sessions that it takes", group, s.Observations, limits.Sessions)
	}
	switch {
	case low > limits.Ratio:
		r.Verdict = Fail
		r.Reason = fmt.Sprintf("%s at the canary, %s at the baseline: at least %.2g times as often",
			c.Text(f.unit), b.Text(f.unit), low)
	case c.Observations < limits.Sessions || c.All == 0:
		r.Verdict, r.Reason = Undecided, least(c, "canary")
	case b.Observations < limits.Sessions || b.All == 0:
		r.Verdict, r.Reason = Undecided, least(b, "baseline")
	}
	return r
}

// Text describes a share: "12 of 300 sessions (4 %)".
func (s Share) Text(unit string) string {
	return fmt.Sprintf("%.5g of %.7g %s (%.3g %%)", s.Bad, s.All, unit, 100*s.value())
}

// hostsWith compares the shares of hosts with a fault that one host suffices to prove.
func hostsWith(name, title string, baseline, canary []Host, has func(Host) (bad, known bool)) Result {
	count := func(hosts []Host) (s Share) {
		for _, h := range hosts {
			bad, known := has(h)
			if known {
				s.All++
			}
			if known && bad {
				s.Bad++
			}
		}
		s.Observations = s.All
		return s
	}
	r := Result{
		Name: name, Title: title, Unit: "hosts", Verdict: Pass, Baseline: count(baseline),
		Canary: count(canary),
	}
	if r.Canary.value() > r.Baseline.value() {
		r.Verdict = Fail
		r.Reason = fmt.Sprintf("%s at the canary, %s at the baseline", r.Canary.Text("hosts"), r.Baseline.Text("hosts"))
	}
	return r
}

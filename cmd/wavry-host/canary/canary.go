// Package canary judges whether hosts with a new version, the canary, serve their viewers worse than hosts with the
// present one, the baseline. The counters come from a Prometheus server, or from copies of GET /metrics.
//
// Sessions are the independent observations. The pictures of a session, and its seconds, are alike, so a share of time
// or of pictures counts as that share of its sessions. The shares of two sessions differ at most as much as good and
// bad do, so this overestimates the spread rather than underestimating it.
package canary

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrSelection means that a group of hosts is empty, or shares a host with the other one.
var ErrSelection = errors.New("selection of hosts")

// Host is what one host counted.
type Host struct {
	// Name is the instance at Prometheus, or the name of the file.
	Name string
	// Version is the version of the daemon.
	Version string
	// Increases are the increases of counters. Buckets of histograms count as counters.
	Increases []Sample
	// Probe is the result of the last self-probe: 0 or 1, or negative without one.
	Probe float64
	// Crashed reports whether the daemon ended abnormally while it counted.
	Crashed bool
}

// Sample is a value of a series.
type Sample struct {
	Metric string
	Labels map[string]string
	Value  float64
}

// Limits decide when a difference counts.
type Limits struct {
	// Sessions is the number of sessions that each group must have before the canary passes.
	Sessions float64
	// Ratio is how many times as often as at the baseline a fault may happen at the canary.
	Ratio float64
	// Confidence is the probability that a canary that is as good as the baseline fails by no figure.
	Confidence float64
}

// Validate reports the first limit that is out of range.
func (l Limits) Validate() error {
	switch {
	case !(l.Sessions >= 1) || math.IsInf(l.Sessions, 0):
		return fmt.Errorf("%g sessions are too few; want at least 1", l.Sessions)
	case !(l.Ratio >= 1) || math.IsInf(l.Ratio, 0):
		return fmt.Errorf("the ratio %g is out of range; want at least 1", l.Ratio)
	case !(l.Confidence >= .5 && l.Confidence < 1):
		return fmt.Errorf("the confidence %g is out of range; want 0.5 or more, and less than 1, such as 0.95",
			l.Confidence)
	}
	return nil
}

// Verdict is a judgment of the canary.
type Verdict string

// The verdicts.
const (
	Pass      Verdict = "pass"
	Fail      Verdict = "fail"
	Undecided Verdict = "undecided" // too few sessions
)

// Report is the comparison of two groups.
type Report struct {
	Verdict  Verdict  `json:"verdict"`
	Reasons  []string `json:"reasons"`
	Baseline Group    `json:"baseline"`
	Canary   Group    `json:"canary"`
	Figures  []Result `json:"figures"`
}

// Group describes a group of hosts.
type Group struct {
	Versions []string `json:"versions"`
	Hosts    []string `json:"hosts"`
	Sessions float64  `json:"sessions"`
}

// Result is the comparison by one figure.
type Result struct {
	Name     string  `json:"name"`
	Title    string  `json:"title"`
	Unit     string  `json:"unit"`
	Verdict  Verdict `json:"verdict"`
	Reason   string  `json:"reason,omitempty"`
	Baseline Share   `json:"baseline"`
	Canary   Share   `json:"canary"`
	// Ratio is the canary's share divided by the baseline's, with the limits of its confidence interval. The parts
	// that are infinite or unknown are absent.
	Ratio *float64 `json:"ratio,omitempty"`
	Low   *float64 `json:"ratio_low,omitempty"`
	High  *float64 `json:"ratio_high,omitempty"`
}

// Share is the part of bad events in a group.
type Share struct {
	Bad float64 `json:"bad"`
	All float64 `json:"all"`
	// Observations is the number of independent observations behind it.
	Observations float64 `json:"observations"`
}

// value returns the share, 0 without events.
func (s Share) value() float64 {
	if s.All == 0 {
		return 0
	}
	return s.Bad / s.All
}

// Compare judges the canary.
func Compare(baseline, canary []Host, limits Limits) (*Report, error) {
	if err := limits.Validate(); err != nil {
		return nil, err
	}
	if len(baseline) == 0 {
		return nil, fmt.Errorf("%w: the baseline has no host", ErrSelection)
	}
	if len(canary) == 0 {
		return nil, fmt.Errorf("%w: the canary has no host", ErrSelection)
	}
	for _, h := range canary {
		if slices.ContainsFunc(baseline, func(b Host) bool { return b.Name == h.Name }) {
			return nil, fmt.Errorf("%w: %s is in the baseline and in the canary", ErrSelection, h.Name)
		}
	}
	r := &Report{Verdict: Pass, Baseline: describe(baseline), Canary: describe(canary)}
	all := figures()
	alpha := (1 - limits.Confidence) / float64(len(all)) // Bonferroni: some figure is always unlucky
	for _, f := range all {
		r.add(f.compare(baseline, canary, limits, alpha))
	}
	r.add(hostsWith("probe", "self-probe failed", baseline, canary, func(h Host) (bad, known bool) {
		return h.Probe == 0, h.Probe >= 0
	}))
	r.add(hostsWith("crash", "daemon crashed", baseline, canary, func(h Host) (bad, known bool) {
		return h.Crashed, true
	}))
	for _, f := range r.Figures {
		reason := f.Reason
		if f.Verdict == Fail {
			reason = f.Title + ": " + reason
		}
		if f.Verdict == r.Verdict && !slices.Contains(r.Reasons, reason) {
			r.Reasons = append(r.Reasons, reason)
		}
	}
	if r.Verdict == Pass {
		r.Reasons = []string{fmt.Sprintf("no figure is more than %g times as bad as the baseline's, as far as %.0f sessions "+
			"can show", limits.Ratio, r.Canary.Sessions)}
	}
	return r, nil
}

// add appends a result. The worst verdict of the results is that of the report.
func (r *Report) add(f Result) {
	r.Figures = append(r.Figures, f)
	if f.Verdict == Fail || f.Verdict == Undecided && r.Verdict == Pass {
		r.Verdict = f.Verdict
	}
}

func describe(hosts []Host) Group {
	g := Group{Sessions: sum(hosts, sessions)}
	for _, h := range hosts {
		g.Hosts = append(g.Hosts, h.Name)
		g.Versions = append(g.Versions, h.Version)
	}
	slices.Sort(g.Hosts)
	slices.Sort(g.Versions)
	g.Versions = slices.Compact(g.Versions)
	return g
}

// Package monitoring has the objectives, alerts and dashboards of a pool of hosts as tables in Go. Its test writes
// them into deploy/prometheus and deploy/grafana with -update, and fails when those files differ from the tables.
package monitoring

import (
	"fmt"
	"strings"
)

// Job is the name of the scrape job of all hosts. The rules select the hosts of this job.
const Job = "wavry-host"

// by has the labels of a pool. They come from the scrape configuration (service discovery), not from the daemon. Pools
// without these labels are one pool.
const by = "pool, region"

// Objective is a promise to the users of a pool, measured as the share of bad events among all events. A pool has an
// objective, not a host: ten sessions a day on one host are too few for a ratio.
type Objective struct {
	// Name is part of the names of recorded series: pool:wavry_host_<name>_bad:rate5m.
	Name string
	// Title is the name of the bad share on dashboards.
	Title string
	// Target is the promised share of good events over 30 days.
	Target float64
	// Bad and All are the rates of bad events and of all events over 5 minutes, by pool.
	Bad, All string
	// Unit says what is counted.
	Unit string
	// Least is the number of bad events in the long window below which no alert fires: few sessions make ratios jump.
	Least float64
	// Page says whether a fast burn wakes somebody. A slow burn always makes a ticket.
	Page bool
	// Severity is that of the fast burn, by the rubric in docs/operate/monitoring.md.
	Severity Severity
	// Summary says what users notice, for alerts.
	Summary string
	// Runbook is the page in docs/operate/runbooks.
	Runbook string
}

// Objectives returns the objectives of a pool.
func Objectives() []Objective {
	refused := rate(`wavry_host_sessions_refused_total{reason=~"error|no_picture"}`)
	attempts := rate(`wavry_host_handshakes_total{result!="aborted"}`)
	return []Objective{
		{
			Name: "setup_host", Title: "Failed set-ups (host)", Target: .999, Unit: "sessions",
			Bad:   rate(`wavry_host_handshakes_total{result=~"dtls_.*"}`) + " + " + refused,
			All:   attempts + " + " + refused,
			Least: 5, Page: true, Severity: MostUsers, Runbook: "handshakes",
			Summary: "Viewers cannot start sessions because of faults on hosts",
		},
		{
			Name: "setup", Title: "Failed set-ups", Target: .99, Unit: "sessions",
			Bad:   rate(failures) + " + " + refused,
			All:   attempts + " + " + refused,
			Least: 10, Severity: SomeUsers, Runbook: "handshakes",
			Summary: "Viewers cannot connect; most failures of this kind lie on the path",
		},
		{
			Name: "quality", Title: "Bad quality", Target: .99, Unit: "seconds",
			Bad:   rate(`wavry_host_quality_state_seconds_total{state=~"critical|stalled"}`),
			All:   rate(`wavry_host_quality_state_seconds_total`),
			Least: 600, Severity: SomeUsers, Runbook: "quality",
			Summary: "Sessions are critical or stalled; most such time is due to the path",
		},
		{
			Name: "quality_host", Title: "Bad quality (host)", Target: .998, Unit: "seconds",
			Bad:   rate(`wavry_host_quality_state_seconds_total{state=~"critical|stalled",cause="host"}`),
			All:   rate(`wavry_host_quality_state_seconds_total`),
			Least: 300, Page: true, Severity: ManyUsers, Runbook: "quality",
			Summary: "Sessions are critical or stalled because of hosts",
		},
		{
			Name: "first_frame", Title: "Late first pictures", Target: .99, Unit: "sessions",
			Bad: rate(`wavry_host_first_frame_seconds_count{to="acked"}`) + " - " +
				rate(`wavry_host_first_frame_seconds_bucket{to="acked",le="2.5"}`),
			All:   rate(`wavry_host_first_frame_seconds_count{to="acked"}`),
			Least: 5, Page: true, Severity: SomeUsers, Runbook: "handshakes",
			Summary: "Viewers wait long for the first picture",
		},
		{
			Name: "freezes", Title: "Frozen pictures", Target: .998, Unit: "seconds",
			Bad:   rate(`wavry_host_freeze_seconds_total`),
			All:   rate(`wavry_host_quality_state_seconds_total`),
			Least: 120, Severity: SomeUsers, Runbook: "black-picture",
			Summary: "Pictures freeze",
		},
		{
			Name: "late_frames", Title: "Late frames", Target: .99, Unit: "frames",
			Bad: rate(`wavry_host_capture_to_send_seconds_count`) + " - " +
				rate(`wavry_host_capture_to_send_seconds_bucket{le="0.0333"}`),
			All:   rate(`wavry_host_capture_to_send_seconds_count`),
			Least: 5000, Severity: SomeUsers, Runbook: "quality",
			Summary: "Pictures are late inside hosts",
		},
	}
}

// rate returns the rate of a counter over 5 minutes, by pool.
func rate(selector string) string { return fmt.Sprintf("sum by (%s) (rate(%s[5m]))", by, selector) }

// bad and all are the names of the recorded rates.
func (o Objective) bad() string { return "pool:wavry_host_" + o.Name + "_bad:rate5m" }
func (o Objective) all() string { return "pool:wavry_host_" + o.Name + "_all:rate5m" }

// ratio is the name of the recorded share of bad events over a window.
func (o Objective) ratio(window string) string {
	return "pool:wavry_host_" + o.Name + "_bad:ratio_rate" + window
}

// windows are the windows of the burn rates. Each ratio is the quotient of sums over the recorded rates, which is
// cheaper than a rate over days of all hosts' counters.
var windows = []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"}

// evaluation is the interval at which the recorded rates are evaluated, in seconds.
const evaluation = 60

// burn is an alert condition of "multiwindow, multi-burn-rate" (Google's SRE workbook, chapter 5): the budget of 30
// days burns so many times too fast over a long window, and still does over a short one.
type burn struct {
	factor      float64
	long, short string
	page        bool
}

var burns = []burn{
	{factor: 14.4, long: "1h", short: "5m", page: true},
	{factor: 6, long: "6h", short: "30m", page: true},
	{factor: 3, long: "1d", short: "2h"},
	{factor: 1, long: "3d", short: "6h"},
}

// condition returns the burn's expression for an objective. The number of bad events in the long window comes from the
// recorded rates.
func (b burn) condition(o Objective) string {
	limit := b.factor * (1 - o.Target)
	return fmt.Sprintf("(%s > %.6g and %s > %.6g and sum_over_time(%s[%s]) * %d >= %g)",
		o.ratio(b.long), limit, o.ratio(b.short), limit, o.bad(), b.long, evaluation, o.Least)
}

// burning returns the alert that fires when the objective's budget burns by any of the fast or slow conditions.
func (o Objective) burning(fast bool) Alert {
	var conditions []string
	for _, b := range burns {
		if b.page == fast {
			conditions = append(conditions, b.condition(o))
		}
	}
	a := Alert{
		Name: "WavryPool" + camel(o.Name) + "Burns", Expr: strings.Join(conditions, "\nor "), Runbook: o.Runbook,
		Severity: SomeUsers,
		Summary:  o.Summary + " in {{ $labels.pool }} {{ $labels.region }}.",
		Description: fmt.Sprintf("The objective is %.4g %% of %s. At this pace the budget of 30 days is gone early: "+
			"{{ $value | humanizePercentage }} are bad.", 100*o.Target, o.Unit),
	}
	if fast {
		a.Name += "Fast"
		a.Page, a.Severity = o.Page, o.Severity
	}
	return a
}

func camel(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

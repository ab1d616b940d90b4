package monitoring

import (
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Dashboard is a page of panels for one question.
type Dashboard struct {
	// Name is the file in deploy/grafana and the UID, after "wavry-".
	Name, Title, Description string
	// Variables are the labels that a viewer of the page can choose.
	Variables []Variable
	Rows      []Row
}

// Variable is a label with the values that a metric has of it.
type Variable struct {
	Label, Metric string
}

// Row is a group of panels.
type Row struct {
	Title  string
	Panels []Panel
}

// Panel shows one or several queries.
type Panel struct {
	Title, Description string
	// Unit is Grafana's name of the unit: s, percentunit, bps, short.
	Unit string
	// Single says that only the newest value is shown, as a number.
	Single  bool
	Queries []Query
}

// Query is an expression in PromQL with a template for the legend.
type Query struct{ Expr, Legend string }

// setupWindow is the window of times of set-ups. A host has few of them.
const setupWindow = "10m"

// The filters by the dashboards' variables. Values of variables are regular expressions; "All" is ".*".
const (
	inPool = `pool=~"$pool",region=~"$region"`
	onHost = `instance=~"$instance"`
	// onHosts is for a page with all three variables.
	onHosts = inPool + "," + onHost
)

var (
	pool     = Variable{Label: "pool", Metric: "wavry_host_build_info"}
	region   = Variable{Label: "region", Metric: "wavry_host_build_info"}
	instance = Variable{Label: "instance", Metric: "wavry_host_build_info"}
	// within are the hosts of the chosen pools.
	within = Variable{Label: "instance", Metric: "wavry_host_build_info{" + inPool + "}"}
)

// quantiles returns queries for quantiles of a histogram that grows all the time.
func quantiles(metric, filter string, of ...float64) []Query {
	return quantilesOver("$__rate_interval", metric, filter, of...)
}

// quantilesOver returns queries for quantiles over a window.
func quantilesOver(window, metric, filter string, of ...float64) []Query {
	var list []Query
	for _, q := range of {
		list = append(list, Query{
			fmt.Sprintf("histogram_quantile(%g, sum by (le) (rate(%s_bucket{%s}[%s])))", q,
				metric, filter, window),
			fmt.Sprintf("p%g", 100*q),
		})
	}
	return list
}

// rates returns a query of the rate of a counter of the chosen host, by a label.
func rates(metric, label string) []Query {
	return orZero([]Query{{
		fmt.Sprintf("sum by (%s) (rate(%s{%s}[$__rate_interval]))", label, metric, onHost), "{{" + label + "}}",
	}})
}

// events returns a panel of the number of events by a label.
func events(title, metric, filter, label string) Panel {
	counter := metric + "{" + filter + "}"
	return Panel{
		Title: title, Unit: "short", Description: "Number of events in the interval before each point.",
		Queries: orZero(one(fmt.Sprintf("sum by (%s) (%s)", label, counted(counter, "$__rate_interval")),
			"{{"+label+"}}")),
	}
}

// counted returns how much a counter grew within a window. increase leaves out the event with which a series appears:
// a series is new if its host was scraped without it at the beginning of the window.
func counted(counter, window string) string {
	return fmt.Sprintf(`%[1]s unless %[1]s offset %[2]s and on (instance) up{job="%[3]s"} offset %[2]s == 1 or `+
		"increase(%[1]s[%[2]s])", counter, window, Job)
}

// sums returns a query of a gauge's sum by a label.
func sums(metric, filter, label string) []Query {
	return []Query{{fmt.Sprintf("sum by (%s) (%s{%s})", label, metric, filter), "{{" + label + "}}"}}
}

// bitrates returns queries of a gauge in bytes per second: the sum of all sessions, and the lowest of one session.
func bitrates(metric string) []Query {
	return []Query{
		{fmt.Sprintf(`8 * sum(%s{of="sum",%s})`, metric, onHosts), "all sessions"},
		{fmt.Sprintf(`8 * min(%s{of="min",%s} > 0)`, metric, onHosts), "lowest"},
	}
}

// orZero makes queries of a metric that has no series before its first event return 0 instead of nothing.
func orZero(list []Query) []Query {
	for i := range list {
		list[i].Expr += " or on () vector(0)"
	}
	return list
}

// one returns a query with a fixed legend.
func one(expr, legend string) []Query { return []Query{{expr, legend}} }

// Dashboards returns all dashboards.
func Dashboards() []Dashboard {
	return []Dashboard{fleet(), host(), session(), release()}
}

func fleet() Dashboard {
	var objectives []Panel
	for _, o := range Objectives() {
		objectives = append(objectives, Panel{
			Title: o.Title, Unit: "percentunit",
			Description: fmt.Sprintf("Share of bad %s. The objective allows %.3g %% over 30 days.", o.Unit,
				100*(1-o.Target)),
			Queries: []Query{
				{o.ratio("1h") + "{" + inPool + "}", "{{pool}} {{region}}, 1 h"},
				{o.ratio("1d") + "{" + inPool + "}", "{{pool}} {{region}}, 1 day"},
			},
		})
	}
	objectives = append(objectives, Panel{
		Title: "Time on relays", Unit: "percentunit", Description: "Share of connected time. It has no objective.",
		Queries: one("pool:wavry_host_relay_share:ratio_rate30m{"+inPool+"}", "{{pool}} {{region}}"),
	})
	return Dashboard{
		Name: "fleet", Title: "Wavry: fleet", Variables: []Variable{pool, region},
		Description: "Do the pools keep their objectives, and where do they not?",
		Rows: []Row{
			{Title: "Now", Panels: []Panel{
				{
					Title: "Hosts that answer", Unit: "short", Single: true,
					Queries: one(`sum(up{job="`+Job+`",`+inPool+`})`, "hosts"),
				},
				{
					Title: "Sessions", Unit: "short", Single: true,
					Queries: one(`sum(wavry_host_sessions{`+inPool+`})`, "sessions"),
				},
				{
					Title: "Critical or stalled", Unit: "short", Single: true,
					Queries: one(`sum(wavry_host_quality_sessions{state=~"critical|stalled",`+inPool+`})`, "sessions"),
				},
				{
					Title: "Hosts by state", Unit: "short", Single: true,
					Queries: sums("wavry_host_host_state", inPool, "state"),
				},
			}},
			{Title: "Objectives: share of what is bad", Panels: objectives},
			{Title: "Use", Panels: []Panel{
				{Title: "Sessions by state", Unit: "short", Queries: sums("wavry_host_sessions", inPool, "state")},
				{Title: "Sessions by quality", Unit: "short", Queries: sums("wavry_host_quality_sessions",
					inPool, "state")},
				events("Refused offers", "wavry_host_sessions_refused_total", inPool, "reason"),
				events("Ends of sessions", "wavry_host_sessions_ended_total", inPool, "reason"),
				{
					Title: "Cores in use", Unit: "percentunit",
					Queries: one("sum by (pool, region) (wavry_host_pressure_cores_used{"+inPool+"}) / "+
						"sum by (pool, region) (wavry_host_pressure_cores{"+inPool+"})", "{{pool}} {{region}}"),
				},
				{
					Title: "Room for sessions", Unit: "short", Description: "Number of further sessions, by their size.",
					Queries: sums("wavry_host_capacity_sessions", inPool, "profile"),
				},
			}},
			{Title: "Hosts that stand out", Panels: []Panel{
				{
					Title: "Failed handshakes in an hour", Unit: "short",
					Queries: one("topk(10, sum by (instance) "+
						"(increase(wavry_host_handshakes_total{"+failed+","+inPool+"}[1h])))", "{{instance}}"),
				},
				{
					Title: "Critical or stalled sessions", Unit: "short",
					Queries: one(`topk(10, sum by (instance) (wavry_host_quality_sessions{state=~"critical|stalled",`+inPool+`}))`,
						"{{instance}}"),
				},
				{
					Title: "Replaced encoders in a day", Unit: "short",
					Queries: orZero(one("topk(10, sum by (instance) ("+
						counted("wavry_host_encoder_fallbacks_total{"+inPool+"}", "1d")+"))", "{{instance}}")),
				},
				{Title: "Panics in a day", Unit: "short", Queries: one(
					"topk(10, sum by (instance) (increase(wavry_host_panics_total{"+inPool+"}[1d])))", "{{instance}}")},
			}},
		},
	}
}

func host() Dashboard {
	return Dashboard{
		Name: "host", Title: "Wavry: host", Variables: []Variable{instance},
		Description: "What does this host do, and what limits it?",
		Rows: []Row{
			{Title: "State", Panels: []Panel{
				{
					Title: "State", Unit: "short",
					Queries: one(`sum by (state) (wavry_host_host_state{`+onHost+`}) > 0`, "{{state}}"),
				},
				{Title: "Sessions", Unit: "short", Queries: sums("wavry_host_sessions", onHost, "state")},
				{Title: "Displays", Unit: "short", Queries: sums("wavry_host_displays", onHost, "state")},
				{
					Title: "Load", Unit: "percentunit", Description: "Used part of each resource.",
					Queries: sums("wavry_host_load_ratio", onHost, "resource"),
				},
				{Title: "Room for sessions", Unit: "short", Queries: sums("wavry_host_capacity_sessions", onHost, "profile")},
				{
					Title: "Would refuse", Unit: "short",
					Description: "1 for each resource that is too short for another session of the default display.",
					Queries:     sums("wavry_host_admission_would_refuse", onHost, "resource"),
				},
				{
					Title: "Self-probe", Unit: "percentunit",
					Description: "Success, and how similar the picture was to what was captured.",
					Queries: []Query{
						{"min(wavry_host_probe_success{" + onHost + "})", "success"},
						{"min(wavry_host_probe_similarity_ratio{" + onHost + "})", "similarity"},
					},
				},
				events("Events", "wavry_host_events_total", onHost, "kind"),
			}},
			{Title: "Set-up", Panels: []Panel{
				events("Handshakes", "wavry_host_handshakes_total", onHost, "result"),
				{
					Title: "Time to connect", Unit: "s", Description: "Of the viewers of the last 10 minutes.",
					Queries: quantilesOver(setupWindow, "wavry_host_handshake_seconds", onHost, .5, .95, .99),
				},
				{
					Title: "Time to the first picture", Unit: "s",
					Description: "From the offer to the report of its arrival, for the viewers of the last 10 minutes.",
					Queries:     quantilesOver(setupWindow, "wavry_host_first_frame_seconds", onHost, .5, .95, .99),
				},
				{
					Title: "Mean time of set-up stages", Unit: "s",
					Queries: one("sum by (stage) (rate(wavry_host_setup_stage_seconds_sum{"+onHost+"}["+setupWindow+"])) / "+
						"(sum by (stage) (rate(wavry_host_setup_stage_seconds_count{"+onHost+"}["+setupWindow+"])) > 0)", "{{stage}}"),
				},
				events("Refused offers", "wavry_host_sessions_refused_total", onHost, "reason"),
				events("Short resources", "wavry_host_refusals_total", onHost, "resource"),
				{Title: "Frozen time", Unit: "percentunit", Queries: rates("wavry_host_freeze_seconds_total", "cause")},
				{
					Title: "Frozen time by the viewers' browsers", Unit: "percentunit",
					Queries: one("sum(rate(wavry_host_viewer_frozen_seconds_total{"+onHost+"}[$__rate_interval]))", "frozen"),
				},
				events("ICE failures", "wavry_host_ice_failures_total", onHost, "cause"),
			}},
			{Title: "Pictures", Panels: []Panel{
				{Title: "Frames", Unit: "fps", Queries: rates("wavry_host_frames_total", "stage")},
				{Title: "Dropped frames", Unit: "ops", Queries: rates("wavry_host_frames_dropped_total", "reason")},
				{
					Title: "Capture to pacer", Unit: "s",
					Queries: quantiles("wavry_host_capture_to_send_seconds", onHost, .5, .95, .99),
				},
				{Title: "Encode time", Unit: "s", Queries: quantiles("wavry_host_encode_seconds", onHost, .5,
					.95, .99)},
				events("Replaced encoders", "wavry_host_encoder_fallbacks_total", onHost, "reason"),
				events("Keyframes", "wavry_host_keyframes_total", onHost, "reason"),
			}},
			{Title: "Machine", Panels: []Panel{
				{Title: "Cores", Unit: "short", Queries: []Query{
					{"wavry_host_pressure_cores_used{" + onHost + "}", "used"},
					{"wavry_host_pressure_cores{" + onHost + "}", "usable"},
				}},
				{Title: "Memory", Unit: "bytes", Queries: []Query{
					{"wavry_host_pressure_memory_free_bytes{" + onHost + "}", "free"},
					{"wavry_host_pressure_memory_total_bytes{" + onHost + "}", "total"},
				}},
				events("Load shedding", "wavry_host_load_shedding_steps_total", onHost, "to"),
				{
					Title: "Sent", Unit: "bps",
					Queries: one("8 * sum by (path) (rate(wavry_host_sent_bytes_total{"+onHost+"}[$__rate_interval]))",
						"{{path}}"),
				},
			}},
			{Title: "API", Panels: []Panel{
				{Title: "Requests", Unit: "ops", Queries: rates("wavry_host_http_requests_total", "code")},
				events("Errors", "wavry_host_http_errors_total", onHost, "code"),
				{
					Title: "Authentications", Unit: "ops",
					Queries: rates("wavry_host_api_authentications_total", "result"),
				},
				{
					Title: "Certificate expires in", Unit: "s", Single: true,
					Queries: one("min((wavry_host_api_certificate_expiry_timestamp_seconds{"+onHost+"} > 0)) - time()",
						"left"),
				},
			}},
		},
	}
}

func session() Dashboard {
	return Dashboard{
		Name: "sessions", Title: "Wavry: sessions", Variables: []Variable{pool, region, within},
		Description: "How do sessions go, and why? No series names a session: the log and the API have single ones.",
		Rows: []Row{
			{Title: "Quality", Panels: []Panel{
				{Title: "Sessions by quality", Unit: "short", Queries: sums("wavry_host_quality_sessions",
					onHosts, "state")},
				{
					Title: "Time by quality", Unit: "percentunit",
					Queries: one("sum by (state) "+
						"(rate(wavry_host_quality_state_seconds_total{"+onHosts+"}[$__rate_interval])) / "+
						"ignoring (state) group_left () (sum(rate(wavry_host_quality_state_seconds_total{"+onHosts+
						"}[$__rate_interval])) > 0)", "{{state}}"),
				},
				events("Transitions by reason", "wavry_host_quality_transitions_total", onHosts, "reason"),
				events("Sessions that show nothing", "wavry_host_sessions_undelivered_total", onHosts, "reason"),
			}},
			{Title: "Path", Panels: []Panel{
				{Title: "Round trip", Unit: "s", Queries: quantiles("wavry_host_rtt_seconds", onHosts, .5, .95)},
				{Title: "Loss", Unit: "percentunit", Queries: quantiles("wavry_host_loss_ratio", onHosts, .5, .95)},
				{Title: "Jitter", Unit: "s", Queries: quantiles("wavry_host_jitter_seconds", onHosts, .5, .95)},
				{Title: "Queue delay", Unit: "s", Queries: quantiles("wavry_host_queue_delay_seconds", onHosts,
					.5, .95)},
				{Title: "Sessions by path", Unit: "short", Queries: sums("wavry_host_session_path", onHosts, "path")},
				{
					Title: "Retransmissions", Unit: "percentunit",
					Queries: one("sum(rate(wavry_host_retransmissions_total{"+onHosts+"}[$__rate_interval])) / "+
						"(sum(rate(wavry_host_packets_sent_total{"+onHosts+"}[$__rate_interval])) > 0)", "of packets"),
				},
			}},
			{Title: "Adaptation", Panels: []Panel{
				{Title: "Target bitrate", Unit: "bps", Queries: bitrates("wavry_host_target_rate_bytes_per_second")},
				{Title: "Achieved bitrate", Unit: "bps", Queries: bitrates("wavry_host_achieved_rate_bytes_per_second")},
				{
					Title: "Encoded / requested bits", Unit: "percentunit",
					Queries: quantiles("wavry_host_encoder_rate_ratio", onHosts, .5, .95),
				},
				events("Keyframe requests", "wavry_host_keyframe_requests_total", onHosts, "kind"),
			}},
		},
	}
}

// byVersion returns a quotient of rates by the version of the hosts.
func byVersion(bad, all string) []Query {
	join := " * on (instance) group_left (version) wavry_host_build_info"
	return one(fmt.Sprintf("sum by (version) (rate(%s[30m])%s) / (sum by (version) (rate(%s[30m])%s) > 0)",
		bad, join, all, join),
		"{{version}}")
}

func release() Dashboard {
	return Dashboard{
		Name: "releases", Title: "Wavry: releases", Variables: []Variable{pool, region},
		Description: "Is the new version as good as the old one? Compare a canary with the rest of its pool.",
		Rows: []Row{
			{Title: "Hosts", Panels: []Panel{
				{
					Title: "Hosts by version", Unit: "short",
					Queries: one("count by (version) (wavry_host_build_info{"+inPool+"})", "{{version}}"),
				},
				{
					Title: "Sessions by version", Unit: "short",
					Queries: one("sum by (version) (wavry_host_sessions{"+inPool+
						"} * on (instance) group_left (version) wavry_host_build_info)", "{{version}}"),
				},
			}},
			{Title: "Canary against baseline", Panels: []Panel{
				{Title: "Failed handshakes", Unit: "percentunit", Queries: byVersion(
					"wavry_host_handshakes_total{"+failed+","+inPool+"}",
					`wavry_host_handshakes_total{result!="aborted",`+inPool+"}")},
				{Title: "Critical or stalled time", Unit: "percentunit", Queries: byVersion(
					`wavry_host_quality_state_seconds_total{state=~"critical|stalled",`+inPool+"}",
					"wavry_host_quality_state_seconds_total{"+inPool+"}")},
				{Title: "Frames in time", Unit: "percentunit", Queries: byVersion(
					`wavry_host_capture_to_send_seconds_bucket{le="0.0333",`+inPool+"}",
					"wavry_host_capture_to_send_seconds_count{"+inPool+"}")},
				{Title: "Cores per session", Unit: "short", Queries: one(
					"sum by (version) (rate(process_cpu_seconds_total{job=\""+Job+"\","+inPool+"}[30m]) * on "+
						"(instance) "+
						"group_left (version) wavry_host_build_info) / (sum by (version) (wavry_host_sessions{"+inPool+
						"} * on (instance) group_left (version) wavry_host_build_info) > 0)", "{{version}}")},
				{
					Title: "Panics", Unit: "short",
					Queries: one("sum by (version) (increase(wavry_host_panics_total{"+inPool+
						"}[1d]) * on (instance) group_left (version) wavry_host_build_info)", "{{version}}"),
				},
				{Title: "Replaced encoders", Unit: "short", Queries: orZero(one(
					"sum by (version) (("+counted("wavry_host_encoder_fallbacks_total{"+inPool+"}", "1d")+
						") * on (instance) group_left (version) wavry_host_build_info)", "{{version}}"))},
			}},
		},
	}
}

// The size of panels on Grafana's grid.
const (
	gridWidth, panelHeight = 24, 7
	numberHeight           = 4
)

// columns is the number of panels that stand beside each other.
func (r Row) columns() int {
	if len(r.Panels)%4 == 0 {
		return 4
	}
	return 3
}

// JSON returns the dashboard in the form that Grafana imports.
func (d Dashboard) JSON() ([]byte, error) {
	source := common.DataSourceRef{Type: new("prometheus"), Uid: new("$datasource")}
	//nolint:staticcheck // every Grafana imports this schema; version 2 needs Grafana 12
	b := dashboard.NewDashboardBuilder(d.Title).Uid("wavry-"+d.Name).Description(d.Description).
		Tags([]string{"wavry"}).Refresh("1m").Time("now-6h", "now").Timezone("browser").Readonly().
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus"))
	for _, v := range d.Variables {
		b.WithVariable(dashboard.NewQueryVariableBuilder(v.Label).Label(v.Label).Datasource(source).
			Query(dashboard.StringOrMap{String: new(fmt.Sprintf("label_values(%s, %s)", v.Metric, v.Label))}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
			Multi(true).IncludeAll(true).AllValue(".*").
			Current(dashboard.VariableOption{
				Text:  dashboard.StringOrArrayOfString{String: new("All")},
				Value: dashboard.StringOrArrayOfString{String: new("$__all")},
			}))
	}
	for _, a := range annotations {
		b.Annotation(dashboard.NewAnnotationQueryBuilder().Name(a.name).Datasource(source).Enable(true).
			IconColor(a.color).Expr(a.expr).TitleFormat(a.name).TextFormat(a.text).TagKeys("instance"))
	}
	for _, r := range d.Rows {
		b.WithRow(dashboard.NewRowBuilder(r.Title))
		width := uint32(gridWidth / r.columns())
		for _, p := range r.Panels {
			if p.Single {
				s := stat.NewPanelBuilder().Title(p.Title).Description(p.Description).Unit(p.Unit).Datasource(source).
					Span(width).Height(numberHeight)
				for _, q := range p.Queries {
					s.WithTarget(q.target().Instant())
				}
				b.WithPanel(s)
				continue
			}
			t := timeseries.NewPanelBuilder().Title(p.Title).Description(p.Description).Unit(p.Unit).Datasource(source).
				Span(width).Height(panelHeight).Min(0)
			for _, q := range p.Queries {
				t.WithTarget(q.target())
			}
			b.WithPanel(t)
		}
	}
	built, err := b.Build()
	if err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.Name, err)
	}
	text, err := json.MarshalIndent(built, "", " ")
	if err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.Name, err)
	}
	return append(text, '\n'), nil
}

func (q Query) target() *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Expr(q.Expr).LegendFormat(q.Legend)
}

// annotations mark changes on all dashboards.
var annotations = []struct{ name, expr, text, color string }{
	{
		"Version", "wavry_host_build_info unless on (instance, version) wavry_host_build_info offset 5m",
		"{{instance}} runs {{version}}", "blue",
	},
	{
		"Configuration", happened(`wavry_host_config_reloads_total{result=~"applied|rolled_back"}`, "1m"),
		"{{instance}}: {{result}}", "orange",
	},
}

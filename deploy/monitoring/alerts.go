package monitoring

import "slices"

// Severity says how many users an alert affects, and with it how fast somebody must act. docs/operate/monitoring.md
// has the rubric.
type Severity uint8

// The severities, the worst first.
const (
	// MostUsers says that most users of a pool cannot work, or nobody can connect.
	MostUsers Severity = iota + 1
	// ManyUsers says that many users of a pool work badly, or new ones cannot connect.
	ManyUsers
	// SomeUsers says that the users of one host, or few of a pool, are affected.
	SomeUsers
	// NoUsers says that nobody is affected yet.
	NoUsers
)

// Alert is one alerting rule.
type Alert struct {
	// Name is the rule's name.
	Name string
	// Expr is the condition in PromQL, and For how long it must hold.
	Expr, For string
	// Page says whether the alert wakes somebody. Otherwise it makes a ticket.
	Page     bool
	Severity Severity
	// Summary says what users notice; Description has details. Both are templates of Prometheus.
	Summary, Description string
	// Runbook is the page in docs/operate/runbooks.
	Runbook string
}

// Alerts returns all alerting rules: first for objectives, then for pools, then for single hosts.
func Alerts() []Alert { return slices.Concat(objectiveAlerts(), poolAlerts, hostAlerts) }

// objectiveAlerts returns the alerts of the objectives, with the labels pool and region.
func objectiveAlerts() []Alert {
	var list []Alert
	for _, o := range Objectives() {
		list = append(list, o.burning(true), o.burning(false))
	}
	return list
}

// DeadMan is the alert that always fires, so that a service outside notices when alerting itself is broken.
const DeadMan = "WavryDeadMan"

const down = `up{job="` + Job + `"} == 0`

// poolAlerts have the labels pool and region.
var poolAlerts = []Alert{
	{
		Name: DeadMan, Expr: "vector(1)", Severity: NoUsers, Runbook: "alerting",
		Summary: "This alert always fires. Route it to a service that notices when it stops.",
	},
	{
		Name: "WavryPoolAbsent", Expr: `absent(up{job="` + Job + `"})`, For: "5m", Page: true, Severity: MostUsers,
		Runbook: "host-down", Summary: "Prometheus knows no host at all.",
		Description: "Service discovery or the scrape configuration is broken, or all hosts are gone.",
	},
	{
		Name: "WavryPoolDown",
		Expr: "count by (" + by + ") (" + down + ") >= 2\n" +
			"and count by (" + by + ") (" + down + ") > count by (" + by + ") (up{job=\"" + Job + "\"}) / 10",
		For: "2m", Page: true, Severity: ManyUsers, Runbook: "host-down",
		Summary: "{{ $value }} hosts of {{ $labels.pool }} {{ $labels.region }} do not answer.",
	},
	{
		Name: "WavryPoolSaturated",
		Expr: "sum by (" + by + `) (increase(wavry_host_sessions_refused_total{reason="full"}[10m])) >= 5` + "\n" +
			"and sum by (" + by + `) (increase(wavry_host_sessions_refused_total{reason="full"}[10m])) > ` +
			"sum by (" + by + ") (increase(wavry_host_sessions_created_total[10m])) / 10",
		For: "5m", Page: true, Severity: ManyUsers, Runbook: "full",
		Summary: "{{ $labels.pool }} {{ $labels.region }} turns viewers away: hosts are full.",
	},
	{
		// The canary against the baseline: a new version on few hosts of a pool.
		Name: "WavryPoolVersionWorse",
		Expr: ofVersion(failures) + " >= 5\n" +
			"and " + ofVersion(failures) + " / " + ofVersion(attempted) + "\n" +
			"> on (" + by + ") group_left () 2 * (sum by (" + by + ") (increase(" + failures + "[1h])) / " +
			"sum by (" + by + ") (increase(" + attempted + "[1h])))",
		Severity: SomeUsers, Runbook: "upgrade",
		Summary: "Viewers fail to connect to version {{ $labels.version }} in {{ $labels.pool }} {{ $labels.region }} " +
			"twice as often as to the pool.",
	},
	{
		Name: "WavryPoolRelayShift",
		Expr: "pool:wavry_host_relay_share:ratio_rate30m > 2 * (pool:wavry_host_relay_share:ratio_rate30m offset " +
			"1w) + 0.1",
		For: "15m", Severity: SomeUsers, Runbook: "relay",
		Summary: "Far more sessions of {{ $labels.pool }} {{ $labels.region }} use relays than a week ago.",
		Description: "{{ $value | humanizePercentage }} of connected time goes through relays. UDP to the hosts " +
			"may be " +
			"blocked.",
	},
}

// failed matches failed handshakes. A viewer that leaves (aborted) is none.
const (
	failed   = `result=~"dtls_.*|ice_.*"`
	failures = "wavry_host_handshakes_total{" + failed + "}"
	// attempted are handshakes that the viewer did not abort.
	attempted = `wavry_host_handshakes_total{result!="aborted"}`
)

const refusedCredentials = "sum by (instance, " + by +
	`) (increase(wavry_host_api_authentications_total{result!="ok"}[10m]))`

// ofVersion returns the increase of a counter in an hour, by pool and version of the daemon.
func ofVersion(counter string) string {
	return "sum by (" + by + ", version) (increase(" + counter + "[1h]) * on (instance) group_left (version) " +
		"wavry_host_build_info)"
}

// happened returns the condition that a counter grew within a window, for counters that appear with their first event:
// increase does not count that one.
func happened(counter, window string) string {
	return "increase(" + counter + "[" + window + "]) > 0\nor " + counter + " unless " + counter + " offset " + window
}

// hostAlerts have the label instance, too.
var hostAlerts = []Alert{
	{
		Name: "WavryHostDown", Expr: down, For: "2m", Severity: SomeUsers, Runbook: "host-down",
		Summary: "The daemon on {{ $labels.instance }} does not answer.",
	},
	{
		Name: "WavryHostDisplayLost", Expr: `wavry_host_displays{state="lost"} > 0`, For: "1m", Severity: SomeUsers,
		Runbook: "display-lost",
		Summary: "A display with viewers on {{ $labels.instance }} has had no picture for a minute.",
	},
	{
		Name: "WavryHostCaptureHung", Expr: "wavry_host_captures_hung > 0", For: "5m", Severity: SomeUsers,
		Runbook: "display-lost", Summary: "A capture driver on {{ $labels.instance }} does not return from a call.",
	},
	{
		Name: "WavryHostEncoderReplaced", Expr: happened("wavry_host_encoder_fallbacks_total", "15m"),
		Severity: NoUsers,
		Runbook:  "encoder",
		Summary:  "An encoder on {{ $labels.instance }} failed in use, and another replaced it.",
	},
	{
		Name: "WavryHostEncoderHung", Expr: "wavry_host_encoders_hung > 0", For: "5m", Severity: SomeUsers,
		Runbook: "encoder", Summary: "An encoder's driver on {{ $labels.instance }} does not return from a call.",
	},
	{
		Name: "WavryHostOutlier",
		Expr: "sum by (instance, " + by + ") (increase(" + failures + "[1h])) >= 5\n" +
			"and sum by (instance, " + by + ") (increase(" + failures + "[1h])) / " +
			"sum by (instance, " + by + `) (increase(wavry_host_handshakes_total{result!="aborted"}[1h]))` + "\n" +
			"> on (" + by + ") group_left () 5 * (sum by (" + by + ") (increase(" + failures + "[1h])) / " +
			"sum by (" + by + `) (increase(wavry_host_handshakes_total{result!="aborted"}[1h])))`,
		Severity: SomeUsers, Runbook: "handshakes",
		Summary: "Viewers fail to connect to {{ $labels.instance }} five times as often as to its pool.",
	},
	{
		Name: "WavryHostHandshakesFail",
		Expr: "sum by (instance, " + by + ") (increase(" + failures + "[30m])) >= 5\n" +
			"and sum by (instance, " + by + ") (increase(" + failures + "[30m])) > " +
			"sum by (instance, " + by + `) (increase(wavry_host_handshakes_total{result!="aborted"}[30m])) / 2`,
		Severity: SomeUsers, Runbook: "handshakes",
		Summary: "More than half of the viewers of {{ $labels.instance }} cannot connect.",
	},
	{
		Name: "WavryHostQualityBad",
		Expr: "sum by (instance, " + by + `) (wavry_host_quality_sessions{state=~"critical|stalled"}) >= 3` + "\n" +
			"and sum by (instance, " + by + `) (wavry_host_quality_sessions{state=~"critical|stalled"})` +
			" > sum by (instance, " + by + ") (wavry_host_quality_sessions) / 3",
		For: "2m", Severity: SomeUsers, Runbook: "quality",
		Summary: "A third of the sessions on {{ $labels.instance }} are critical or stalled.",
	},
	{
		Name:     "WavryHostShowsNothing",
		Expr:     "sum by (instance, " + by + ") (increase(wavry_host_sessions_undelivered_total[30m])) >= 3",
		Severity: SomeUsers, Runbook: "black-picture",
		Summary: "Connected sessions on {{ $labels.instance }} show nothing.",
	},
	{
		Name: "WavryHostProbeFails", Expr: "wavry_host_probe_success == 0", For: "11m", Severity: SomeUsers,
		Runbook: "black-picture",
		Summary: "{{ $labels.instance }} does not see its own display as it was captured.",
	},
	{
		Name: "WavryHostFeedbackFaults",
		Expr: "sum by (instance, " + by + ") (increase(wavry_host_feedback_faults_total[30m])) >= 300\n" +
			"and sum by (instance, " + by + ") (increase(wavry_host_feedback_faults_total[30m])) > " +
			"sum by (instance, " + by + ") (increase(wavry_host_packets_sent_total[30m])) / 100",
		Severity: NoUsers, Runbook: "quality",
		Summary: "Feedback of viewers of {{ $labels.instance }} is lost or cannot be read: rates adapt late.",
	},
	{
		Name: "WavryHostDrainOverdue",
		Expr: "wavry_host_drain_sessions_left > 0 and 0 < wavry_host_drain_deadline_timestamp_seconds < time() - 120",
		For:  "1m", Severity: NoUsers, Runbook: "full",
		Summary: "The drain of {{ $labels.instance }} is past its deadline, and sessions are left.",
	},
	{
		Name: "WavryHostPanics", Expr: "sum by (instance, " + by + ") (increase(wavry_host_panics_total[1h])) > 0",
		Severity: SomeUsers, Runbook: "panic",
		Summary: "A part of the daemon on {{ $labels.instance }} panicked. The log has the stack.",
	},
	{
		Name: "WavryHostRefusesSessions",
		Expr: "sum by (instance, " + by + `) (increase(wavry_host_sessions_refused_total{reason="full"}[10m])) > 0`,
		For:  "10m", Severity: NoUsers, Runbook: "full",
		Summary: "{{ $labels.instance }} is full and refuses sessions.",
	},
	{
		Name:     "WavryHostLowersSessions",
		Expr:     "sum by (instance, " + by + `) (increase(wavry_host_load_shedding_steps_total{to!="whole"}[30m])) >= 3`,
		Severity: SomeUsers, Runbook: "full",
		Summary: "{{ $labels.instance }} lowers the quality of sessions because its processors are busy.",
	},
	{
		Name: "WavryHostConfigRefused", Expr: "wavry_host_config_last_reload_successful == 0", For: "5m",
		Severity: NoUsers,
		Runbook:  "configuration",
		Summary:  "The configuration on {{ $labels.instance }} is refused. The previous one stays in force.",
	},
	{
		Name: "WavryHostRelayDown", Expr: "wavry_host_ice_server_up == 0", For: "5m", Severity: NoUsers,
		Runbook: "relay",
		Summary: "{{ $labels.instance }} gets no answer from {{ $labels.server }}. Sessions use other servers.",
	},
	{
		Name: "WavryHostNoRelay",
		Expr: `max by (instance, ` + by + `) (wavry_host_ice_server_up{server=~"turns?:.*"}) == 0`,
		For:  "2m", Page: true, Severity: ManyUsers, Runbook: "relay",
		Summary: "No TURN server works for {{ $labels.instance }}. Viewers without a direct path cannot connect.",
	},
	{
		Name: "WavryHostFleetLost",
		Expr: `max by (instance, ` + by + `) (wavry_host_fleet_state{state="connected"}) == 0`, For: "5m",
		Severity: SomeUsers, Runbook: "fleet",
		Summary: "{{ $labels.instance }} is not in its fleet and gets no sessions from it.",
	},
	{
		Name: "WavryHostFleetEventsBehind",
		Expr: "time() - (wavry_host_fleet_oldest_event_timestamp_seconds > 0) > 300", For: "5m",
		Severity: NoUsers, Runbook: "fleet",
		Summary: "The fleet's stream lacks events of {{ $labels.instance }} that are older than five minutes.",
	},
	{
		Name: "WavryHostGatewayLost",
		Expr: `max by (instance, ` + by + `) (wavry_host_gateway_state{state="bound"}) == 0`, For: "5m",
		Severity: SomeUsers, Runbook: "gateway",
		Summary: "{{ $labels.instance }} has no connection to its gateway and gets no sessions from it.",
	},
	{
		Name: "WavryHostWebhookBehind",
		Expr: "time() - (wavry_host_webhook_oldest_event_timestamp_seconds > 0) > 300", For: "5m",
		Severity: NoUsers, Runbook: "webhook",
		Summary: "{{ $labels.instance }} has not delivered its events for more than five minutes.",
	},
	{
		Name: "WavryHostWebhookLosesEvents", Expr: "increase(wavry_host_webhook_lost_events_total[1h]) > 0",
		Severity: NoUsers, Runbook: "webhook",
		Summary: "The webhook of {{ $labels.instance }} dropped events: its receiver was away for too long.",
	},
	{
		Name: "WavryHostCredentialsFail",
		Expr: "sum by (instance, " + by + `) (increase(wavry_host_api_authentications_total{result=~"expired|signature|` +
			`unknown_key|revoked|wrong"}[10m])) >= 20` + "\n" +
			"and " + refusedCredentials + " > (sum by (instance, " + by +
			`) (increase(wavry_host_api_authentications_total{result="ok"}[10m])) or 0 * ` + refusedCredentials + ")",
		Severity: ManyUsers, Runbook: "authentication",
		Summary: "{{ $labels.instance }} refuses most credentials: keys, clocks or tokens do not fit.",
	},
	{
		Name: "WavryHostGrantKeysOld", Expr: "wavry_host_grant_keys_last_success_timestamp_seconds < time() - 1800",
		For: "5m", Severity: NoUsers, Runbook: "authentication",
		Summary: "{{ $labels.instance }} cannot fetch the keys of grants. It refuses grants when they are a day old.",
	},
	{
		Name: "WavryHostCertificateExpires",
		Expr: "0 < wavry_host_api_certificate_expiry_timestamp_seconds < time() + 14 * 86400", Severity: NoUsers,
		Runbook: "certificates",
		Summary: "The TLS certificate of {{ $labels.instance }} expires within two weeks.",
	},
	{
		Name: "WavryHostCertificateExpired",
		Expr: "0 < wavry_host_api_certificate_expiry_timestamp_seconds < time() + 86400", Page: true,
		Severity: ManyUsers,
		Runbook:  "certificates",
		Summary:  "The TLS certificate of {{ $labels.instance }} has expired, or expires within a day.",
	},
	{
		Name: "WavryHostAuditFails", Expr: "increase(wavry_host_audit_errors_total[15m]) > 0",
		Severity: NoUsers,
		Runbook:  "disk-full", Summary: "{{ $labels.instance }} cannot write its audit log.",
	},
	{
		Name: "WavryHostLogLost", Expr: "increase(wavry_host_log_lines_lost_total[15m]) > 0",
		Severity: NoUsers,
		Runbook:  "disk-full", Summary: "{{ $labels.instance }} loses log lines: nothing reads its standard error.",
	},
	{
		Name: "WavryHostLoopStalls", Expr: "wavry_host_loop_stalled_seconds > 0", Page: true,
		Severity: SomeUsers, Runbook: "loop-stalled",
		Summary: "The loop {{ $labels.loop }} of the daemon on {{ $labels.instance }} makes no progress.",
	},
	{
		Name: "WavryHostDegraded", Expr: `wavry_host_host_state{state="degraded"} == 1`, For: "15m",
		Severity: SomeUsers, Runbook: "host-degraded",
		Summary: "{{ $labels.instance }} has been degraded for 15 minutes: a display or an encoder does not work.",
	},
}

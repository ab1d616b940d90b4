//go:build integration

package monitoring

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ruleCase has series for which an alert fires, and series for which it must not although they come close. Labels pool
// and region are put where "…" is. Series are in the notation of promtool, one sample a minute.
type ruleCase struct {
	alert       string
	fire, quiet []string
	// after is the time of the judgment; it defaults to 2h. every is the interval of evaluation; it defaults to 1m.
	after, every string
}

const hostLabels = `instance="a:8470",job="wavry-host",pool="p",region="r"`

// handshakes are the counters of one host: successes and failures a minute.
func handshakes(instance string, ok, failed, aborted int) []string {
	line := `wavry_host_handshakes_total{instance=%q,job="wavry-host",pool="p",region="r",result=%q} 0+%dx200`
	return []string{
		fmt.Sprintf(line, instance, "success", ok), fmt.Sprintf(line, instance, "dtls_failed", failed),
		fmt.Sprintf(line, instance, "aborted", aborted),
		fmt.Sprintf(`wavry_host_sessions_refused_total{instance=%q,pool="p",region="r",reason="error"} 0x200`,
			instance),
	}
}

// versions says that the host a runs version 2, and the host b another one.
func versions(b string) []string {
	line := `wavry_host_build_info{instance=%q,job="wavry-host",pool="p",region="r",version=%q} 1x200`
	return []string{fmt.Sprintf(line, "a", "2"), fmt.Sprintf(line, "b", b)}
}

// late are frames a minute of which so many are later than 33 ms, with the bucket's edge as either major version of
// Prometheus stores it.
func late(all, late int, edge string) []string {
	return []string{
		fmt.Sprintf(`wavry_host_capture_to_send_seconds_count{…} 0+%dx200`, all),
		fmt.Sprintf(`wavry_host_capture_to_send_seconds_bucket{le=%q,…} 0+%dx200`, edge, all-late),
	}
}

// quality are seconds a minute in good and in bad quality, over days where that is needed.
func quality(good, bad, minutes int) []string {
	return []string{
		fmt.Sprintf(`wavry_host_quality_state_seconds_total{state="good",…} 0+%dx%d`, good, minutes),
		fmt.Sprintf(`wavry_host_quality_state_seconds_total{state="stalled",…} 0+%dx%d`, bad, minutes),
	}
}

// caused is quality, with the cause of the bad time.
func caused(good, bad int, cause string, minutes int) []string {
	return []string{
		fmt.Sprintf(`wavry_host_quality_state_seconds_total{state="good",cause="none",…} 0+%dx%d`, good, minutes),
		fmt.Sprintf(`wavry_host_quality_state_seconds_total{state="stalled",cause=%q,…} 0+%dx%d`, cause, bad, minutes),
	}
}

// shown are sessions a minute whose first picture arrived, and how many of them in time.
func shown(all, inTime, minutes int) []string {
	return []string{
		fmt.Sprintf(`wavry_host_first_frame_seconds_count{to="acked",…} 0+%dx%d`, all, minutes),
		fmt.Sprintf(`wavry_host_first_frame_seconds_bucket{to="acked",le="2.5",…} 0+%dx%d`, inTime, minutes),
	}
}

// frozen are ten connected minutes a minute, with frozen seconds in tenths.
func frozen(tenths, minutes int) []string {
	return []string{
		fmt.Sprintf(`wavry_host_quality_state_seconds_total{state="good",cause="none",…} 0+600x%d`, minutes),
		fmt.Sprintf(`wavry_host_freeze_seconds_total{cause="path",…} 0+%d.%dx%d`, tenths/10, tenths%10, minutes),
	}
}

var ruleCases = []ruleCase{
	{alert: "WavryPoolQualityHostBurnsFast", fire: caused(480, 120, "host", 200), quiet: caused(480, 120, "path", 200)},
	{
		alert: "WavryPoolQualityHostBurns", after: "26h", every: "5m", fire: caused(590, 10, "host", 1600),
		quiet: caused(590, 10, "viewer", 1600),
	},
	{alert: "WavryPoolFirstFrameBurnsFast", fire: shown(10, 8, 200), quiet: shown(100, 99, 200)},
	{
		alert: "WavryPoolFirstFrameBurns", after: "26h", every: "5m", fire: shown(100, 95, 1600),
		quiet: shown(1000, 995, 1600),
	},
	{alert: "WavryPoolFreezesBurnsFast", fire: frozen(300, 200), quiet: frozen(5, 200)},
	{alert: "WavryPoolFreezesBurns", after: "26h", every: "5m", fire: frozen(50, 1600), quiet: frozen(5, 1600)},
	{
		alert: "WavryHostFeedbackFaults",
		fire: []string{
			`wavry_host_feedback_faults_total{kind="lost",…} 0+50x200`, `wavry_host_packets_sent_total{…} 0+1000x200`,
		},
		quiet: []string{
			`wavry_host_feedback_faults_total{kind="lost",…} 0+50x200`, `wavry_host_packets_sent_total{…} 0+100000x200`,
		},
	},
	{
		alert: "WavryHostDrainOverdue",
		fire: []string{
			`wavry_host_drain_sessions_left{…} 2x200`, `wavry_host_drain_deadline_timestamp_seconds{…} 60x200`,
		},
		quiet: []string{
			`wavry_host_drain_sessions_left{…} 2x200`, `wavry_host_drain_deadline_timestamp_seconds{…} 90000x200`,
		},
	},
	{alert: "WavryPoolSetupHostBurnsFast", fire: handshakes("a", 10, 1, 0), quiet: handshakes("a", 1000, 1, 500)},
	{
		alert: "WavryPoolSetupHostBurnsFast", // too few events to judge
		fire:  handshakes("a", 1, 1, 0), quiet: []string{
			`wavry_host_handshakes_total{result="success",…} 0x200`,
			`wavry_host_handshakes_total{result="dtls_failed",…} 0x110 4x90`,
			`wavry_host_sessions_refused_total{reason="error",…} 0x200`,
		},
	},
	{
		alert: "WavryPoolSetupHostBurns", after: "26h", every: "5m",
		fire: []string{
			`wavry_host_handshakes_total{result="success",…} 0+100x1600`,
			`wavry_host_handshakes_total{result="dtls_failed",…} 0+0.5x1600`,
			`wavry_host_sessions_refused_total{reason="error",…} 0x1600`,
		},
		quiet: []string{
			`wavry_host_handshakes_total{result="success",…} 0+100x1600`,
			`wavry_host_handshakes_total{result="dtls_failed",…} 0+0.05x1600`,
			`wavry_host_sessions_refused_total{reason="error",…} 0x1600`,
		},
	},
	{alert: "WavryPoolSetupBurnsFast", fire: handshakes("a", 3, 1, 0), quiet: handshakes("a", 100, 1, 500)},
	{
		alert: "WavryPoolSetupBurns", after: "26h", every: "5m",
		fire: []string{
			`wavry_host_handshakes_total{result="success",…} 0+95x1600`,
			`wavry_host_handshakes_total{result="ice_failed",…} 0+5x1600`,
			`wavry_host_sessions_refused_total{reason="error",…} 0x1600`,
		},
		quiet: []string{
			`wavry_host_handshakes_total{result="success",…} 0+995x1600`,
			`wavry_host_handshakes_total{result="ice_failed",…} 0+5x1600`,
			`wavry_host_sessions_refused_total{reason="error",…} 0x1600`,
		},
	},
	{alert: "WavryPoolQualityBurnsFast", fire: quality(480, 120, 200), quiet: quality(597, 3, 200)},
	{alert: "WavryPoolQualityBurnsFast", fire: quality(480, 120, 200), quiet: quality(4, 1, 200)}, // few sessions
	{
		alert: "WavryPoolQualityBurns", after: "26h", every: "5m", fire: quality(570, 30, 1600),
		quiet: quality(597, 3, 1600),
	},
	{alert: "WavryPoolLateFramesBurnsFast", fire: late(3600, 900, "0.0333"), quiet: late(3600, 18, "0.0333")},
	{
		alert: "WavryPoolLateFramesBurns", after: "26h", every: "5m",
		fire: []string{
			`wavry_host_capture_to_send_seconds_count{…} 0+3600x1600`,
			`wavry_host_capture_to_send_seconds_bucket{le="0.0333",…} 0+3400x1600`,
		},
		quiet: []string{
			`wavry_host_capture_to_send_seconds_count{…} 0+3600x1600`,
			`wavry_host_capture_to_send_seconds_bucket{le="0.0333",…} 0+3590x1600`,
		},
	},
	{alert: "WavryDeadMan", fire: []string{`up{…} 1x200`}},
	{alert: "WavryPoolAbsent", fire: []string{`up{job="other"} 1x200`}, quiet: []string{`up{…} 0x200`}},
	{
		alert: "WavryPoolDown",
		fire: []string{
			`up{instance="a",job="wavry-host",pool="p"} 0x200`, `up{instance="b",job="wavry-host",pool="p"} 0x200`,
			`up{instance="c",job="wavry-host",pool="p"} 1x200`,
		},
		quiet: []string{
			`up{instance="a",job="wavry-host",pool="p"} 0x200`,
			`up{instance="b",job="wavry-host",pool="p"} 1x200`,
		},
	},
	{
		alert: "WavryPoolSaturated",
		fire: []string{
			`wavry_host_sessions_refused_total{reason="full",…} 0+2x200`,
			`wavry_host_sessions_created_total{…} 0+5x200`,
		},
		quiet: []string{
			`wavry_host_sessions_refused_total{reason="full",…} 0+2x200`,
			`wavry_host_sessions_created_total{…} 0+50x200`,
		},
	},
	{
		alert: "WavryPoolRelayShift", after: "8d", every: "15m",
		fire: []string{
			`wavry_host_session_path_seconds_total{path="relay",…} 0+6x10080 60480+40x1500`,
			`wavry_host_session_path_seconds_total{path="direct",…} 0+54x10080 544320+20x1500`,
		},
		quiet: []string{
			`wavry_host_session_path_seconds_total{path="relay",…} 0+40x11600`,
			`wavry_host_session_path_seconds_total{path="direct",…} 0+20x11600`,
		},
	},
	{alert: "WavryHostDown", fire: []string{`up{…} 0x200`}, quiet: []string{`up{…} 1x119 0x1 1x80`}},
	{
		alert: "WavryHostDisplayLost", fire: []string{`wavry_host_displays{state="lost",…} 1x200`},
		quiet: []string{`wavry_host_displays{state="lost",…} 0x200`, `wavry_host_displays{state="live",…} 1x200`},
	},
	{
		alert: "WavryHostCaptureHung", fire: []string{`wavry_host_captures_hung{…} 1x200`},
		quiet: []string{`wavry_host_captures_hung{…} 0x116 1x80`},
	},
	{
		alert: "WavryHostEncoderReplaced", fire: []string{`wavry_host_encoder_fallbacks_total{…} 1x110 2x80`},
		quiet: []string{`wavry_host_encoder_fallbacks_total{…} 1x200`},
	},
	{ // the first one
		alert: "WavryHostEncoderReplaced", fire: []string{`wavry_host_encoder_fallbacks_total{…} _x110 1x80`},
		quiet: []string{`wavry_host_encoder_fallbacks_total{…} 1x200`},
	},
	{
		alert: "WavryHostEncoderHung", fire: []string{`wavry_host_encoders_hung{…} 1x200`},
		quiet: []string{`wavry_host_encoders_hung{…} 0x200`},
	},
	{
		alert: "WavryHostOutlier",
		fire:  slices.Concat(handshakes("a", 1, 1, 0), handshakes("b", 100, 0, 0)),
		quiet: slices.Concat(handshakes("a", 1, 1, 0), handshakes("b", 1, 1, 0)),
	},
	{
		alert: "WavryPoolVersionWorse",
		fire:  slices.Concat(versions("1"), handshakes("a", 1, 1, 0), handshakes("b", 20, 0, 0)),
		// Both versions fail alike: the network is the cause.
		quiet: slices.Concat(versions("1"), handshakes("a", 1, 1, 0), handshakes("b", 20, 20, 0)),
	},
	{
		alert: "WavryPoolVersionWorse", // all hosts have one version
		fire:  slices.Concat(versions("1"), handshakes("a", 3, 3, 0), handshakes("b", 20, 0, 0)),
		quiet: slices.Concat(versions("2"), handshakes("a", 3, 3, 0), handshakes("b", 20, 0, 0)),
	},
	{alert: "WavryHostHandshakesFail", fire: handshakes("a", 1, 2, 0), quiet: handshakes("a", 2, 1, 50)},
	{
		alert: "WavryHostProbeFails", fire: []string{`wavry_host_probe_success{…} 0x200`},
		quiet: []string{`wavry_host_probe_success{…} 1x105 0x5 1x100`},
	},
	{
		alert: "WavryHostQualityBad",
		fire: []string{
			`wavry_host_quality_sessions{state="stalled",…} 3x200`,
			`wavry_host_quality_sessions{state="good",…} 5x200`,
		},
		quiet: []string{
			`wavry_host_quality_sessions{state="stalled",…} 1x200`,
			`wavry_host_quality_sessions{state="good",…} 0x200`,
		},
	},
	{
		alert: "WavryHostShowsNothing",
		fire:  []string{`wavry_host_sessions_undelivered_total{reason="no_picture",…} 0+1x200`},
		quiet: []string{`wavry_host_sessions_undelivered_total{reason="no_picture",…} 0x110 1x90`},
	},
	{
		alert: "WavryHostPanics", fire: []string{`wavry_host_panics_total{part="encode",…} 0x100 1x100`},
		quiet: []string{`wavry_host_panics_total{part="encode",…} 1x200`},
	},
	{
		alert: "WavryHostRefusesSessions", fire: []string{`wavry_host_sessions_refused_total{reason="full",…} 0+1x200`},
		quiet: []string{`wavry_host_sessions_refused_total{reason="malformed",…} 0+1x200`},
	},
	{
		alert: "WavryHostLowersSessions", fire: []string{`wavry_host_load_shedding_steps_total{to="smaller",…} 0+1x200`},
		quiet: []string{`wavry_host_load_shedding_steps_total{to="whole",…} 0+1x200`},
	},
	{
		alert: "WavryHostConfigRefused", fire: []string{`wavry_host_config_last_reload_successful{…} 0x200`},
		quiet: []string{`wavry_host_config_last_reload_successful{…} 1x200`},
	},
	{
		alert: "WavryHostRelayDown", fire: []string{`wavry_host_ice_server_up{server="turn:t:3478",…} 0x200`},
		quiet: []string{`wavry_host_ice_server_up{server="turn:t:3478",…} 1x118 0x2 1x80`},
	},
	{
		alert: "WavryHostNoRelay",
		fire: []string{
			`wavry_host_ice_server_up{server="turn:t:3478",…} 0x200`,
			`wavry_host_ice_server_up{server="stun:s:3478",…} 1x200`,
		},
		quiet: []string{
			`wavry_host_ice_server_up{server="turn:t:3478",…} 0x200`,
			`wavry_host_ice_server_up{server="turns:u:5349",…} 1x200`,
		},
	},
	{
		alert: "WavryHostFleetLost",
		fire: []string{
			`wavry_host_fleet_state{state="connected",…} 0x200`,
			`wavry_host_fleet_state{state="duplicate",…} 1x200`,
		},
		quiet: []string{`wavry_host_fleet_state{state="connected",…} 1x117 0x3 1x80`},
	},
	{
		alert: "WavryHostFleetEventsBehind", // the clock of the rule's test begins at 0
		fire:  []string{`wavry_host_fleet_oldest_event_timestamp_seconds{…} 1x200`},
		quiet: []string{`wavry_host_fleet_oldest_event_timestamp_seconds{…} 0x200`},
	},
	{
		alert: "WavryHostGatewayLost",
		fire: []string{
			`wavry_host_gateway_state{state="bound",…} 0x200`,
			`wavry_host_gateway_state{state="connecting",…} 1x200`,
		},
		quiet: []string{`wavry_host_gateway_state{state="bound",…} 1x117 0x3 1x80`},
	},
	{
		alert: "WavryHostWebhookBehind", // the clock of the rule's test begins at 0
		fire:  []string{`wavry_host_webhook_oldest_event_timestamp_seconds{…} 1x200`},
		quiet: []string{`wavry_host_webhook_oldest_event_timestamp_seconds{…} 0x200`},
	},
	{
		alert: "WavryHostWebhookLosesEvents",
		fire:  []string{`wavry_host_webhook_lost_events_total{…} 0x100 1000x100`},
		quiet: []string{`wavry_host_webhook_lost_events_total{…} 1000x200`},
	},
	{
		alert: "WavryHostCredentialsFail",
		fire: []string{
			`wavry_host_api_authentications_total{result="signature",…} 0+10x200`,
			`wavry_host_api_authentications_total{result="ok",…} 0+1x200`,
		},
		quiet: []string{
			`wavry_host_api_authentications_total{result="wrong",…} 0+10x200`,
			`wavry_host_api_authentications_total{result="ok",…} 0+100x200`,
		},
	},
	{ // nobody has come in yet
		alert: "WavryHostCredentialsFail",
		fire:  []string{`wavry_host_api_authentications_total{result="expired",…} 0+10x200`},
		quiet: []string{`wavry_host_api_authentications_total{result="missing",…} 0+10x200`},
	},
	{
		alert: "WavryHostGrantKeysOld",
		fire:  []string{`wavry_host_grant_keys_last_success_timestamp_seconds{…} 0x200`},
		quiet: []string{`wavry_host_grant_keys_last_success_timestamp_seconds{…} 0+60x200`},
	},
	{
		alert: "WavryHostCertificateExpires",
		fire:  []string{`wavry_host_api_certificate_expiry_timestamp_seconds{…} 1000000x200`},
		quiet: []string{`wavry_host_api_certificate_expiry_timestamp_seconds{…} 2000000x200`},
	},
	{
		alert: "WavryHostCertificateExpires", // without TLS
		fire:  []string{`wavry_host_api_certificate_expiry_timestamp_seconds{…} 3600x200`},
		quiet: []string{`wavry_host_api_certificate_expiry_timestamp_seconds{…} 0x200`},
	},
	{
		alert: "WavryHostCertificateExpired",
		fire:  []string{`wavry_host_api_certificate_expiry_timestamp_seconds{…} 3600x200`},
		quiet: []string{`wavry_host_api_certificate_expiry_timestamp_seconds{…} 1000000x200`},
	},
	{
		alert: "WavryHostAuditFails", fire: []string{`wavry_host_audit_errors_total{…} 0+1x200`},
		quiet: []string{`wavry_host_audit_errors_total{…} 3x200`},
	},
	{
		alert: "WavryHostLogLost", fire: []string{`wavry_host_log_lines_lost_total{…} 0+1x200`},
		quiet: []string{`wavry_host_log_lines_lost_total{…} 3x200`},
	},
	{
		alert: "WavryHostLoopStalls", fire: []string{`wavry_host_loop_stalled_seconds{loop="encode",…} 9x200`},
		quiet: []string{`wavry_host_loop_stalled_seconds{loop="encode",…} 0x200`},
	},
	{
		alert: "WavryHostDegraded", fire: []string{`wavry_host_host_state{state="degraded",…} 1x200`},
		quiet: []string{`wavry_host_host_state{state="degraded",…} 0x110 1x90`},
	},
}

// promtool tests each alert with series for which it fires and with others for which it must not. Each alert is tested
// with the recorded series that it uses alone: all of them over days would take minutes.
func TestAlertsFireAndDoNotFire(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	test := []string{"test", "rules"}
	for _, a := range Alerts() {
		groups := []ruleGroup{{Name: "alert", Rules: []rule{a.rule()}}}
		for _, g := range recordings() {
			if slices.ContainsFunc(g.Rules, func(r rule) bool { return strings.Contains(a.Expr, r.Record) }) {
				groups = append([]ruleGroup{g}, groups...)
			}
		}
		var b strings.Builder
		every, tested := "1m", false
		for _, c := range ruleCases {
			if c.alert != a.Name {
				continue
			}
			tested = true
			if c.every != "" {
				every = c.every
			}
			c.write(&b, c.fire, true)
			if c.quiet != nil {
				c.write(&b, c.quiet, false)
			}
		}
		if !tested {
			t.Errorf("%s has no case", a.Name)
			continue
		}
		var order []string
		for i := range groups {
			groups[i].Interval = every
			order = append(order, strconv.Quote(groups[i].Name))
		}
		rules, err := marshal(groups)
		if err != nil {
			t.Fatal(err)
		}
		write(a.Name+".rules", rules)
		// Without it promtool evaluates groups in a random order, and an alert before its recordings sees none.
		write(a.Name+".yml", fmt.Appendf(nil,
			"rule_files: [%s.rules]\nevaluation_interval: %s\ngroup_eval_order: [%s]\ntests:\n%s",
			a.Name, every, strings.Join(order, ", "), &b))
		test = append(test, a.Name+".yml")
	}
	check := []string{"check", "rules", "--lint-fatal"}
	for path, text := range files(t) {
		if filepath.Ext(path) == ".yml" {
			write(filepath.Base(path), text)
			check = append(check, filepath.Base(path))
		}
	}
	for _, args := range [][]string{check, test} {
		cmd := exec.CommandContext(t.Context(), "promtool", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Panels of events count the event with which a series appears, but not what happened before the host was scraped.
func TestPanelsCountTheFirstEvent(t *testing.T) {
	dir := t.TempDir()
	test := fmt.Sprintf(`tests:
- interval: 1m
  input_series:
  - {series: 'up{job="wavry-host",instance="a"}', values: '1x30'}
  - {series: 'up{job="wavry-host",instance="new"}', values: '_x20 1x9'}
  - {series: 'up{job="wavry-host",instance="away"}', values: '1x10 0x9 1x9'}
  - {series: 'x{instance="a",reason="first"}', values: '_x20 1x9'}
  - {series: 'x{instance="a",reason="further"}', values: '3x20 5x9'}
  - {series: 'x{instance="a",reason="past"}', values: '7x30'}
  - {series: 'x{instance="new",reason="before"}', values: '_x20 7x9'}
  - {series: 'x{instance="away",reason="before"}', values: '7x10 _x9 7x9'}
  promql_expr_test:
  - expr: round(sum by (reason) (%s))
    eval_time: 22m
    exp_samples:
    - {labels: '{reason="first"}', value: 1}
    - {labels: '{reason="further"}', value: 2}
    - {labels: '{reason="past"}', value: 0}
    - {labels: '{reason="before"}', value: 0}
`, counted("x", "5m"))
	if err := os.WriteFile(filepath.Join(dir, "test.yml"), []byte(test), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "promtool", "test", "rules", "test.yml")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

func (c ruleCase) write(b *strings.Builder, series []string, fires bool) {
	after := c.after
	if after == "" {
		after = "2h"
	}
	fmt.Fprintf(b, "- name: '%s, fires %t'\n  interval: 1m\n  input_series:\n", c.alert, fires)
	for _, s := range series {
		name, values, _ := strings.Cut(strings.ReplaceAll(s, "…", hostLabels), "} ")
		fmt.Fprintf(b, "  - {series: '%s}', values: '%s'}\n", name, values)
	}
	fmt.Fprintf(b, "  promql_expr_test:\n  - expr: count(ALERTS{alertname=\"%s\",alertstate=\"firing\"}) > 0\n"+
		"    eval_time: %s\n", c.alert, after)
	if fires {
		b.WriteString("    exp_samples: [{labels: '{}', value: 1}]\n")
	}
}

var alertMatcher = regexp.MustCompile(`alertname(=~|!=|=)"([^"]*)"`)

// strangers returns the matchers of alert names in a configuration of Alertmanager that match no alert.
func strangers(config string) (faults []string) {
	for _, m := range alertMatcher.FindAllStringSubmatch(config, -1) {
		for name := range strings.SplitSeq(m[2], "|") {
			if m[1] != "=~" {
				name = regexp.QuoteMeta(name)
			}
			re := regexp.MustCompile("^(?:" + name + ")$")
			if !slices.ContainsFunc(Alerts(), func(a Alert) bool { return re.MatchString(a.Name) }) {
				faults = append(faults, fmt.Sprintf("%s: no alert is named %s", m[0], name))
			}
		}
	}
	return faults
}

// amtool accepts the example of Alertmanager, and its routes lead pages, tickets and the heartbeat to their receivers.
func TestAlertmanagerExample(t *testing.T) {
	const path = "../prometheus/alertmanager.yml"
	amtool := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "amtool", args...).Output()
		if err != nil {
			t.Fatalf("amtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	amtool("check-config", path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range strangers(string(text)) {
		t.Error(fault)
	}
	renamed := strings.ReplaceAll(string(text), "WavryPoolDown", "WavryPoolGone")
	if list := strangers(renamed); len(list) != 1 {
		t.Errorf("an inhibition by an alert that does not exist: found %q", list)
	}
	for _, a := range Alerts() {
		want := "tickets"
		switch {
		case a.Name == DeadMan:
			want = "heartbeat"
		case a.Page:
			want = "pager"
		}
		got := amtool("config", "routes", "test", "--config.file="+path, "alertname="+a.Name,
			"severity="+a.rule().Labels["severity"])
		if got != want {
			t.Errorf("%s goes to %s; want %s", a.Name, got, want)
		}
	}
	example := exec.CommandContext(t.Context(), "promtool", "check", "config", "--syntax-only",
		"../prometheus/prometheus.yml")
	if out, err := example.CombinedOutput(); err != nil {
		t.Errorf("promtool check config: %v\n%s", err, out)
	}
}

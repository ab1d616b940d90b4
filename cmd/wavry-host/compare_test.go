package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// exported is a copy of GET /metrics with some set-ups that failed.
func exported(version string, good, failed int) string {
	return fmt.Sprintf(`# TYPE wavry_host_build_info gauge
wavry_host_build_info{version=%[1]q} 1
# TYPE wavry_host_handshakes_total counter
wavry_host_handshakes_total{result="success"} %[2]d
wavry_host_handshakes_total{result="ice_failed"} %[3]d
# TYPE wavry_host_quality_state_seconds_total counter
wavry_host_quality_state_seconds_total{state="good",cause="none"} %[2]d
# TYPE wavry_host_first_frame_seconds histogram
wavry_host_first_frame_seconds_bucket{to="acked",le="2.5"} %[2]d
wavry_host_first_frame_seconds_bucket{to="acked",le="+Inf"} %[2]d
wavry_host_first_frame_seconds_count{to="acked"} %[2]d
# TYPE wavry_host_capture_to_send_seconds histogram
wavry_host_capture_to_send_seconds_bucket{le="0.0333"} %[2]d
wavry_host_capture_to_send_seconds_bucket{le="+Inf"} %[2]d
wavry_host_capture_to_send_seconds_count %[2]d
`, version, good, failed)
}

func TestCompareCommand(t *testing.T) {
	down := httptest.NewServer(http.NotFoundHandler())
	defer down.Close()
	base := write(t, "base", exported("1", 1000, 5))
	same := write(t, "same", exported("2", 100, 0))
	worse := write(t, "worse", exported("2", 100, 30))
	few := write(t, "few", exported("2", 10, 0))
	for name, c := range map[string]struct {
		args string
		code int
		want string
	}{
		"pass": {
			"--baseline " + base + " --canary " + same,
			0, "\npass: no figure is more than 1.2 times as bad",
		},
		"fail": {
			"--baseline " + base + " --canary " + worse,
			exitWorse, "\nfail: set-up failed: 30 of 130 set-ups",
		},
		"undecided": {
			"--baseline " + base + " --canary " + few,
			exitUndecided, "\nundecided: the canary has 10",
		},
		"several": {
			"--baseline " + base + " --canary " + few + " --canary " + worse,
			exitWorse, "canary    2        2      110",
		},
		"fewer suffice": {"--min-sessions 10 --baseline " + base + " --canary " + few, 0, "\npass: "},
		"same host": {
			"--baseline " + base + " --canary " + base,
			exitFailure, "is in the baseline and in the canary",
		},
		"no file": {
			"--baseline " + base + " --canary none",
			exitFailure, "--canary: read a snapshot: open none",
		},
		"three files": {
			"--baseline a,b,c --canary " + same,
			exitUsage, `--baseline is "a,b,c"; want FILE, or FIRST,LAST`,
		},
		"no name":   {"--baseline ,b --canary " + same, exitUsage, "want FILE, or FIRST,LAST of one host"},
		"no canary": {"--baseline " + base, exitUsage, "missing flags: --canary=WHICH"},
		"confidence": {
			"--confidence 95 --baseline " + base + " --canary " + same,
			exitUsage, "the confidence 95 is out",
		},
		"no labels": {
			"--prometheus http://a --baseline v --canary w=1",
			exitUsage, `--baseline: "v" is no list of labels`,
		},
		"two label sets": {
			"--prometheus http://a --baseline v=1 --baseline v=2 --canary w=1",
			exitUsage, "want one list of labels",
		},
		"window": {
			"--prometheus http://a --window 1s --baseline v=1 --canary v=2",
			exitUsage, "--window is 1s; want at least",
		},
		"address": {
			"--prometheus a --baseline v=1 --canary v=2",
			exitUsage, `--prometheus: "a" is no address`,
		},
		"no Prometheus": {"--prometheus " + down.URL + " --baseline v=1 --canary v=2", exitFailure, "404 Not Found"},
	} {
		got := try(t, nil, append([]string{"compare"}, strings.Fields(c.args)...)...)
		if got.code != c.code || !strings.Contains(got.out+got.errout, c.want) {
			t.Errorf("%s: got %d\n%s%s; want %d with %q", name, got.code, got.out, got.errout, c.code, c.want)
		}
	}
	got := try(t, nil, "compare", "--json", "--baseline", base, "--canary", worse)
	var report struct {
		Verdict string
		Reasons []string
		Figures []struct {
			Name string
			Low  float64 `json:"ratio_low"`
		}
		LeftOut []string `json:"left_out"`
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || got.code != exitWorse || report.Verdict != "fail" ||
		len(report.Reasons) != 1 || report.Figures[0].Name != "setup" || report.Figures[0].Low < 10 || report.LeftOut == nil {
		t.Errorf("%+v, %v", got, err)
	}
}

package canary

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// host returns a host with sessions, of which some failed at set-up. Each connected session has ten minutes.
func host(name, version string, sessions, failed float64) Host {
	add := func(metric string, value float64, labels ...string) Sample {
		s := Sample{Metric: metric, Labels: map[string]string{}, Value: value}
		for i := 0; i < len(labels); i += 2 {
			s.Labels[labels[i]] = labels[i+1]
		}
		return s
	}
	return Host{Name: name, Version: version, Probe: 1, Increases: []Sample{
		add("wavry_host_handshakes_total", sessions, "result", "success"),
		add("wavry_host_handshakes_total", failed, "result", "dtls_failed"),
		add("wavry_host_handshakes_total", 7, "result", "aborted"),
		add("wavry_host_quality_state_seconds_total", 590*sessions, "state", "good", "cause", "none"),
		add("wavry_host_quality_state_seconds_total", 10*sessions, "state", "stalled", "cause", "path"),
		add("wavry_host_first_frame_seconds_count", sessions, "to", "acked"),
		add("wavry_host_first_frame_seconds_bucket", sessions, "to", "acked", "le", "2.5"),
		add("wavry_host_capture_to_send_seconds_count", 10000*sessions),
		add("wavry_host_capture_to_send_seconds_bucket", 9999*sessions, "le", "0.0333"),
	}}
}

// with returns a host with one more series.
func (h Host) with(metric string, value float64, labels map[string]string) Host {
	h.Increases = append([]Sample{{Metric: metric, Labels: labels, Value: value}}, h.Increases...)
	return h
}

var usual = Limits{Sessions: 50, Ratio: 1.2, Confidence: .95}

func TestCompare(t *testing.T) {
	good := host("a", "1", 1000, 10)
	unproved, crashed := host("b", "2", 200, 2), host("b", "2", 200, 2)
	unproved.Probe, crashed.Crashed = 0, true
	for name, c := range map[string]struct {
		baseline, canary Host
		verdict          Verdict
		reason           string
	}{
		"alike": {good, host("b", "2", 200, 2), Pass, "no figure is more than 1.2 times as bad"},
		"fails often": {
			good, host("b", "2", 200, 20), Fail,
			"set-up failed: 20 of 220 set-ups (9.09 %) at the canary, 10 of 1010",
		},
		"few, but certain": {
			good, host("b", "2", 5, 5), Fail, "set-up failed: 5 of 10 set-ups (50 %) at the canary",
		},
		"few sessions":  {good, host("b", "2", 20, 1), Undecided, "the canary has 21 of the 50 sessions that it takes"},
		"new baseline":  {host("a", "1", 20, 0), host("b", "2", 100, 1), Undecided, "the baseline has 20 of the 50"},
		"chance":        {good, host("b", "2", 200, 4), Pass, ""},
		"self-probe":    {good, unproved, Fail, "self-probe failed: 1 of 1 hosts (100 %) at the canary, 0 of 1"},
		"crash":         {good, crashed, Fail, "daemon crashed: 1 of 1 hosts (100 %) at the canary, 0 of 1"},
		"both probes":   {func() Host { h := good; h.Probe = 0; return h }(), unproved, Pass, ""},
		"no counters":   {good, Host{Name: "b", Probe: -1}, Undecided, "the canary has 0 of the 50"},
		"a better path": {host("a", "1", 1000, 100), host("b", "2", 200, 0), Pass, ""},
		"stalls": {
			good, host("b", "2", 200, 2).with("wavry_host_quality_state_seconds_total", 60000,
				map[string]string{"state": "stalled", "cause": "host"}),
			Fail, "quality was bad because of the host: 60000 of 180000 s (33.3 %)",
		},
		"one long session stalls": {
			good, host("b", "2", 200, 2).with("wavry_host_quality_state_seconds_total", 600,
				map[string]string{"state": "stalled", "cause": "path"}), Pass, "",
		},
		"late pictures": {
			good, host("b", "2", 200, 2).with("wavry_host_first_frame_seconds_count", 50,
				map[string]string{"to": "acked"}),
			Fail, "first picture after 2.5 s: 50 of 250 sessions (20 %)",
		},
		"panics": {
			good, host("b", "2", 200, 2).with("wavry_host_panics_total", 20, map[string]string{"part": "pacer"}),
			Fail, "daemon panicked: 20 of 200 sessions",
		},
		"refused": {
			good, host("b", "2", 200, 2).with("wavry_host_sessions_refused_total", 50,
				map[string]string{"reason": "error"}),
			Fail, "set-up failed: 52 of 252",
		},
		"full is no fault of the version": {
			good, host("b", "2", 200, 2).with("wavry_host_sessions_refused_total", 50,
				map[string]string{"reason": "full"}),
			Pass, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Compare([]Host{c.baseline}, []Host{c.canary}, usual)
			if err != nil {
				t.Fatal(err)
			}
			if reasons := strings.Join(r.Reasons, "\n"); r.Verdict != c.verdict || !strings.Contains(reasons,
				c.reason) {
				t.Errorf("got %s because %s; want %s because %s", r.Verdict, reasons, c.verdict, c.reason)
			}
		})
	}
}

func TestCompareRefuses(t *testing.T) {
	a, b := host("a", "1", 1, 0), host("b", "2", 1, 0)
	for want, compare := range map[string]func() (*Report, error){
		"the canary has no host":   func() (*Report, error) { return Compare([]Host{a}, nil, usual) },
		"the baseline has no host": func() (*Report, error) { return Compare(nil, []Host{a}, usual) },
		"b is in the baseline and": func() (*Report, error) { return Compare([]Host{a, b}, []Host{b}, usual) },
		"0 sessions are too few":   func() (*Report, error) { return Compare([]Host{a}, []Host{b}, Limits{0, 1, .9}) },
		"ratio NaN is out of": func() (*Report, error) {
			return Compare([]Host{a}, []Host{b}, Limits{
				1,
				math.NaN(), .9,
			})
		},
		"confidence 95 is out of": func() (*Report, error) { return Compare([]Host{a}, []Host{b}, Limits{1, 1, 95}) },
	} {
		if _, err := compare(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
	if _, err := Compare(nil, nil, usual); !errors.Is(err, ErrSelection) {
		t.Errorf("got %v; want ErrSelection", err)
	}
}

// With equal exposure the interval is that of Clopper and Pearson: 5 of 10 is between 0.1871 and 0.8129.
func TestRatioInterval(t *testing.T) {
	low, high := ratioInterval(Share{5, 100, 100}, Share{5, 100, 100}, .025)
	if math.Abs(low-.1871/.8129) > 1e-4 || math.Abs(high-.8129/.1871) > 2e-3 {
		t.Errorf("got %g to %g", low, high)
	}
	// None of 10: the upper limit is 1 - alpha^(1/10).
	_, high = ratioInterval(Share{0, 100, 100}, Share{10, 100, 100}, .025)
	if p := 1 - math.Pow(.025, .1); math.Abs(high-p/(1-p)) > 1e-6 {
		t.Errorf("got %g for none of ten", high)
	}
	if low, high := ratioInterval(Share{3, 10, 10}, Share{0, 10, 10}, .025); low <= 0 || !math.IsInf(high, 1) {
		t.Errorf("got %g to %g with no fault at the baseline", low, high)
	}
}

// A canary that is as good as the baseline seldom fails, and a canary three times as bad is found. Sessions are bad
// for their whole time or for parts of it.
func TestErrorsAreAsRareAsPromised(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // no secret
	group := func(sessions int, share, part float64) Share {
		s := Share{All: float64(sessions), Observations: float64(sessions)}
		for range sessions {
			if random.Float64() < share/part {
				s.Bad += part
			}
		}
		return s
	}
	const alpha, rounds = .05, 2000
	for _, part := range []float64{1, .3} {
		alarms, found := 0, 0
		for range rounds {
			baseline := group(1000, .03, part)
			if low, _ := ratioInterval(group(200, .03, part), baseline, alpha); low > 1 {
				alarms++
			}
			if low, _ := ratioInterval(group(200, .09, part), baseline, alpha); low > 1 {
				found++
			}
		}
		t.Logf("parts of %g: %d false alarms and %d found in %d", part, alarms, found, rounds)
		if float64(alarms) > alpha*rounds || found < rounds*9/10 {
			t.Errorf("parts of %g: %d false alarms, and %d of %d found", part, alarms, found, rounds)
		}
	}
}

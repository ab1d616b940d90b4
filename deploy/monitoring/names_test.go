package monitoring

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// metric is a metric as docs/operate/metrics.md describes it: a test compares that page with the daemon's registry.
type metric struct {
	kind string
	// idle is the number of series on an idle host.
	idle int
	// labels has the closed set of values of each label, nil where the set is open.
	labels map[string][]string
}

func documented(t *testing.T) map[string]metric {
	t.Helper()
	page, err := os.ReadFile("../../docs/operate/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]metric)
	for line := range strings.SplitSeq(string(page), "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) < 5 || !strings.HasPrefix(line, "| `wavry_host_") {
			continue
		}
		m := metric{kind: cells[1], labels: make(map[string][]string)}
		var err error
		if m.idle, err = strconv.Atoi(cells[3]); err != nil {
			t.Fatalf("%s: the column idle: %v", cells[0], err)
		}
		for label := range strings.SplitSeq(cells[2], "; ") {
			name, values, closed := strings.Cut(label, ": ")
			name = strings.Trim(name, " `")
			if name == "" {
				continue
			}
			m.labels[name] = nil
			if closed {
				m.labels[name] = strings.Split(values, ", ")
			}
		}
		all[strings.Trim(cells[0], "| `")] = m
	}
	if len(all) < 50 {
		t.Fatalf("docs/operate/metrics.md has %d metrics; its form is not understood", len(all))
	}
	return all
}

// Labels that the scrape and service discovery add.
var targetLabels = []string{"pool", "region", "instance", "job", "le"}

var matcher = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)

// expressions returns all expressions by where they are.
func expressions() map[string]string {
	all := make(map[string]string)
	for _, o := range Objectives() {
		all["objective "+o.Name+", bad"], all["objective "+o.Name+", all"] = o.Bad, o.All
	}
	for _, a := range Alerts() {
		all["alert "+a.Name] = a.Expr
	}
	for _, d := range Dashboards() {
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				for _, q := range p.Queries {
					all["dashboard "+d.Name+", "+r.Title+", "+p.Title+", "+q.Legend] = q.Expr
				}
			}
		}
	}
	for _, a := range annotations {
		all["annotation "+a.name] = a.expr
	}
	return all
}

// Rules and dashboards name only metrics that the daemon exports, labels that those have, and values that occur: a
// rule for anything else never fires.
func TestQueriesNameWhatTheDaemonExports(t *testing.T) {
	known := documented(t)
	recorded, err := RecordingRules()
	if err != nil {
		t.Fatal(err)
	}
	for place, expr := range expressions() {
		for _, fault := range faults(known, string(recorded), expr) {
			t.Errorf("%s: %s", place, fault)
		}
	}
}

// appearing are counters in rules that appear with their first event. The rules allow for that: by happened, or
// because they ask for many events.
var appearing = []string{
	"wavry_host_encoder_fallbacks_total", "wavry_host_feedback_faults_total", "wavry_host_api_authentications_total",
}

// Counters in rules exist from the start: increase does not count the event with which a series appears.
func TestCountersOfRulesExistFromTheStart(t *testing.T) {
	known := documented(t)
	counter := regexp.MustCompile(`(wavry_host_[a-z_]+?)(_bucket|_count|_sum)?(\{[^}]*\})?\[`)
	found := 0
	for place, expr := range expressions() {
		if strings.HasPrefix(place, "dashboard") || strings.HasPrefix(place, "annotation") {
			continue
		}
		for _, m := range counter.FindAllStringSubmatch(expr, -1) {
			found++
			if known[m[1]].idle == 0 && !slices.Contains(appearing, m[1]) {
				t.Errorf("%s: %s appears with its first event; make it exist from the start", place, m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("found %d counters in rules; the pattern does not fit", found)
	}
}

func TestFaultsOfQueriesAreFound(t *testing.T) {
	known := documented(t)
	for expr, want := range map[string]string{
		`rate(wavry_host_handshake_total[5m])`:                        "wavry_host_handshake_total is no metric",
		`wavry_host_handshakes_total{outcome="success"}`:              "has no label outcome",
		`wavry_host_handshakes_total{result="succeeded"}`:             "no value of result matches",
		`wavry_host_handshakes_total{result=~"dtls_.*|tls_.*"}`:       "matches nothing",
		`rate(wavry_host_sessions[5m])`:                               "wavry_host_sessions is a gauge",
		`wavry_host_rtt_seconds`:                                      "is a histogram",
		`pool:wavry_host_something:rate5m`:                            "is not recorded",
		`sum by (stage) (rate(wavry_host_handshakes_total[5m]))`:      "",
		`wavry_host_capture_to_send_seconds_bucket{le="2"}`:           "whole number",
		`wavry_host_capture_to_send_seconds_bucket{le=~"2(\\.0)?"}`:   "",
		`wavry_host_handshakes_total{result=~"dtls_.*",pool="$pool"}`: "",
	} {
		got := strings.Join(faults(known, "", expr), "; ")
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: the faults are %q; want %q", expr, got, want)
		}
	}
}

// faults returns what is wrong with an expression.
func faults(known map[string]metric, recorded, expr string) []string {
	var list []string
	for _, m := range selector.FindAllStringSubmatchIndex(expr, -1) {
		name := expr[m[2]:m[3]]
		if strings.HasPrefix(name, "pool:") {
			if !strings.Contains(recorded, "record: "+name+"\n") {
				list = append(list, name+" is not recorded")
			}
			continue
		}
		if !strings.HasPrefix(name, "wavry_host_") {
			continue
		}
		of, suffix := known[name], ""
		for _, s := range []string{"_bucket", "_count", "_sum"} {
			if base, ok := strings.CutSuffix(name, s); ok && known[base].kind == "histogram" {
				of, suffix = known[base], s
			}
		}
		ranged := strings.HasPrefix(expr[m[1]:], "[")
		switch {
		case of.kind == "":
			list = append(list, name+" is no metric in docs/operate/metrics.md; if it is new, run "+
				"scripts/go test ./cmd/wavry-host -run TestMetricsAreDocumented -update")
			continue
		case of.kind == "histogram" && suffix == "":
			list = append(list, name+" is a histogram")
		case of.kind == "gauge" && ranged:
			list = append(list, name+" is a gauge, of which a rate says nothing")
		}
		if m[4] < 0 {
			continue
		}
		for _, l := range matcher.FindAllStringSubmatch(expr[m[4]:m[5]], -1) {
			list = append(list, labelFaults(name, of, l[1], l[2], l[3])...)
		}
	}
	return list
}

func labelFaults(name string, of metric, label, operator, value string) []string {
	if label == "le" && regexp.MustCompile(`^[0-9]+$`).MatchString(value) {
		return []string{name + ": le=\"" + value + "\" is a whole number, which Prometheus 3 stores as " + value + ".0"}
	}
	values, has := of.labels[label]
	if !has && !slices.Contains(targetLabels, label) {
		return []string{name + " has no label " + label}
	}
	if len(values) == 0 || strings.HasPrefix(value, "$") {
		return nil
	}
	var alternatives []string
	if strings.HasSuffix(operator, "~") {
		alternatives = strings.Split(value, "|")
	} else {
		alternatives = []string{regexp.QuoteMeta(value)}
	}
	var list []string
	for _, a := range alternatives {
		re, err := regexp.Compile("^(?:" + a + ")$")
		switch {
		case err != nil:
			list = append(list, err.Error())
		case !slices.ContainsFunc(values, re.MatchString) && len(alternatives) > 1:
			list = append(list, name+": "+a+" of "+label+" matches nothing")
		case !slices.ContainsFunc(values, re.MatchString):
			list = append(list, name+": no value of "+label+" matches "+a)
		}
	}
	return list
}

// Each alert has a page that says what to do.
func TestAlertsHaveRunbooks(t *testing.T) {
	for _, a := range Alerts() {
		page, err := os.ReadFile("../../docs/operate/runbooks/" + a.Runbook + ".md")
		if err != nil {
			t.Errorf("%s: %v", a.Name, err)
		} else if !strings.Contains(string(page), "`"+a.Name+"`") {
			t.Errorf("docs/operate/runbooks/%s.md does not name the alert %s", a.Runbook, a.Name)
		}
		if a.Severity == 0 || a.Summary == "" {
			t.Errorf("%s has no severity or summary", a.Name)
		}
	}
}

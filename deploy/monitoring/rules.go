package monitoring

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The files of Prometheus rules. A rule has either Record or Alert.
type ruleFile struct {
	Groups []ruleGroup `yaml:"groups"`
}

type ruleGroup struct {
	Name     string `yaml:"name"`
	Interval string `yaml:"interval,omitempty"`
	Rules    []rule `yaml:"rules"`
}

type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// selector matches a selector of series, and the words of PromQL.
var selector = regexp.MustCompile(`([a-z_:]+[a-z0-9_:]*)(\{[^}]*\})?`)

// Selectors returns the selectors in an expression, such as wavry_host_sessions{state="connected"}. A condition on
// them finds only what Prometheus has of them.
func Selectors(expr string) []string {
	var list []string
	for _, s := range selector.FindAllString(expr, -1) {
		name, _, _ := strings.Cut(s, "{")
		if name == "up" || strings.HasPrefix(name, "wavry_host_") || strings.HasPrefix(name, "pool:") {
			list = append(list, s)
		}
	}
	return list
}

const generated = "# Generated from the tables in deploy/monitoring; change those and run: make generate\n"

// RecordingRules returns deploy/prometheus/recording.yml: for each objective the rates of bad and of all events, and
// the share of bad events over each window.
func RecordingRules() ([]byte, error) { return marshal(recordings()) }

func recordings() []ruleGroup {
	var groups []ruleGroup
	for _, o := range Objectives() {
		g := ruleGroup{Name: "wavry-" + strings.ReplaceAll(o.Name, "_", "-"), Interval: fmt.Sprintf("%ds", evaluation)}
		g.Rules = append(g.Rules, rule{Record: o.bad(), Expr: o.Bad}, rule{Record: o.all(), Expr: o.All})
		for _, w := range windows {
			g.Rules = append(g.Rules, rule{
				Record: o.ratio(w),
				Expr:   fmt.Sprintf("sum_over_time(%s[%s]) / (sum_over_time(%s[%s]) > 0)", o.bad(), w, o.all(), w),
			})
		}
		groups = append(groups, g)
	}
	return append(groups, ruleGroup{Name: "wavry-pool", Interval: fmt.Sprintf("%ds", evaluation), Rules: []rule{{
		Record: "pool:wavry_host_relay_share:ratio_rate30m",
		Expr: "sum by (" + by + `) (rate(wavry_host_session_path_seconds_total{path="relay"}[30m]))` + "\n" +
			"/ (sum by (" + by + ") (rate(wavry_host_session_path_seconds_total[30m])) > 0)",
	}}})
}

// AlertRules returns deploy/prometheus/alerts.yml.
func AlertRules() ([]byte, error) {
	return marshal([]ruleGroup{
		{Name: "wavry-objectives", Rules: rules(objectiveAlerts())},
		{Name: "wavry-pools", Rules: rules(poolAlerts)},
		{Name: "wavry-hosts", Rules: rules(hostAlerts)},
	})
}

func rules(alerts []Alert) []rule {
	var list []rule
	for _, a := range alerts {
		list = append(list, a.rule())
	}
	return list
}

func (a Alert) rule() rule {
	action := "ticket"
	if a.Page {
		action = "page"
	}
	if a.Name == DeadMan {
		action = "none"
	}
	r := rule{
		Alert: a.Name, Expr: a.Expr, For: a.For,
		Labels:      map[string]string{"severity": action, "sev": fmt.Sprint(a.Severity)},
		Annotations: map[string]string{"summary": a.Summary, "runbook": "docs/operate/runbooks/" + a.Runbook + ".md"},
	}
	if a.Description != "" {
		r.Annotations["description"] = a.Description
	}
	return r
}

func marshal(groups []ruleGroup) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(generated)
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(ruleFile{Groups: groups}); err != nil {
		return nil, fmt.Errorf("encode rules: %w", err)
	}
	return b.Bytes(), nil
}

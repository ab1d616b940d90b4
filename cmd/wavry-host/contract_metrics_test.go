package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// metricsContract has what dashboards and alerts rely on: metrics with their types, labels and values of labels.
const metricsContract = "../../testdata/contracts/metrics.json"

// contractMetric is a metric as queries rely on it.
type contractMetric struct {
	Type string `json:"type"`
	// Labels are the labels with their values, where these are a closed set.
	Labels map[string][]string `json:"labels,omitempty"`
}

func metricsNow(t *testing.T) map[string]contractMetric {
	t.Helper()
	now := make(map[string]contractMetric)
	for _, d := range metricsOfTheCode(t) {
		m := contractMetric{Type: d.kind}
		for _, l := range d.labels {
			if m.Labels == nil {
				m.Labels = make(map[string][]string)
			}
			m.Labels[l] = slices.Sorted(slices.Values(d.values[l]))
		}
		now[d.name] = m
	}
	return now
}

// TestMetricsContract compares the metrics with the recorded ones. What was added is recorded by make generate.
func TestMetricsContract(t *testing.T) {
	now := metricsNow(t)
	recorded := make(map[string]contractMetric)
	text, err := os.ReadFile(metricsContract)
	if err == nil {
		err = json.Unmarshal(text, &recorded)
	}
	if err != nil && !*accept {
		t.Fatal(err)
	}
	found := metricsBreaks(recorded, now)
	switch {
	case len(found) > 0 && !*accept:
		t.Fatalf("%s\n%s",
			strings.Join(found, "\n"), strings.NewReplacer("scripts rely", "dashboards rely", "cli:", "metrics:",
				"TestCommandLineContract", "TestMetricsContract").Replace(howToAccept))
	case *accept || *update:
		text, err := json.MarshalIndent(now, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(metricsContract, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		var plain map[string]contractMetric // as it reads from a file
		text, err := json.Marshal(now)
		if err == nil {
			err = json.Unmarshal(text, &plain)
		}
		if err != nil || !reflect.DeepEqual(recorded, plain) {
			t.Errorf("there are metrics that %s lacks (%v): run make generate", metricsContract, err)
		}
	}
}

// metricsBreaks returns what queries cannot rely on any more. A further label breaks them, too: series that were one
// become several.
func metricsBreaks(before, now map[string]contractMetric) []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for name, old := range before {
		m, ok := now[name]
		if !ok {
			add("%s is gone, or has another name", name)
			continue
		}
		if m.Type != old.Type {
			add("%s is a %s, not a %s", name, m.Type, old.Type)
		}
		labels, oldLabels := slices.Sorted(maps.Keys(m.Labels)), slices.Sorted(maps.Keys(old.Labels))
		if !slices.Equal(labels, oldLabels) {
			add("%s has the labels %v, not %v", name, labels, oldLabels)
			continue
		}
		for label, words := range old.Labels {
			for _, w := range words {
				if !slices.Contains(m.Labels[label], w) {
					add("%s has no %s=%q any more", name, label, w)
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

// The comparison finds every kind of change that breaks queries, and lets additions pass.
func TestMetricsContractBreaks(t *testing.T) {
	const name = "wavry_host_webhook_deliveries_total"
	for want, change := range map[string]func(map[string]contractMetric){
		name + " is gone, or has another name": func(m map[string]contractMetric) {
			m[name+"_more"] = m[name]
			delete(m, name)
		},
		name + " is a gauge, not a counter": func(m map[string]contractMetric) {
			m[name] = contractMetric{"gauge", m[name].Labels}
		},
		name + " has the labels [], not [result]": func(m map[string]contractMetric) {
			m[name] = contractMetric{"counter", nil}
		},
		name + " has the labels [host result], not [result]": func(m map[string]contractMetric) {
			m[name].Labels["host"] = nil
		},
		name + ` has no result="refused" any more`: func(m map[string]contractMetric) {
			m[name].Labels["result"] = []string{"delivered", "failed", "redirected", "secret", "timeout"}
		},
		"": func(m map[string]contractMetric) {
			m[name].Labels["result"] = append(m[name].Labels["result"], "more")
			m[name+"_more"] = contractMetric{Type: "counter"}
		},
	} {
		before, now := metricsNow(t), metricsNow(t)
		change(now)
		got := metricsBreaks(before, now)
		if want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{want}) {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}

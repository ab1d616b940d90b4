package monitoring

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

var update = flag.Bool("update", false, "rewrite the generated files")

// files returns the generated files by their paths.
func files(t *testing.T) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	add := func(path string, text []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all[path] = text
	}
	text, err := RecordingRules()
	add("../prometheus/recording.yml", text, err)
	text, err = AlertRules()
	add("../prometheus/alerts.yml", text, err)
	for _, d := range Dashboards() {
		text, err = d.JSON()
		add("../grafana/"+d.Name+".json", text, err)
	}
	return all
}

func TestGeneratedFiles(t *testing.T) {
	all := files(t)
	for path, text := range all {
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, text) {
			t.Errorf("deploy/%s differs from the tables in deploy/monitoring (%v); run: make generate",
				strings.TrimPrefix(path, "../"), err)
		}
	}
	committed, err := filepath.Glob("../grafana/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range committed {
		if all[path] == nil {
			t.Errorf("%s has no table; remove it", path)
		}
	}
}

// Grafana's own types find unknown fields and values that are not allowed.
func TestDashboardsAreValid(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	for _, d := range Dashboards() {
		text, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var parsed dashboard.Dashboard //nolint:staticcheck // see JSON
		// The method returns an empty list of errors, which is not nil, when there is none.
		if err := parsed.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
			t.Errorf("%s: %v", d.Name, err)
		}
		if err := parsed.Validate(); err != nil && err.Error() != "" {
			t.Errorf("%s: %v", d.Name, err)
		}
		broken := bytes.Replace(text, []byte(`"refresh"`), []byte(`"refrehs"`), 1)
		if err := parsed.UnmarshalJSONStrict(broken); err == nil || err.Error() == "" {
			t.Errorf("%s: an unknown field was accepted", d.Name)
		}
	}
}

// Rows and panels have names, and each page fits on the grid.
func TestPanelsAreNamed(t *testing.T) {
	for _, d := range Dashboards() {
		var titles []string
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				if p.Title == "" || p.Unit == "" || len(p.Queries) == 0 {
					t.Errorf("%s, %s: panel %+v has no title, unit or query", d.Name, r.Title, p)
				}
				if most := 112 / r.columns(); len(p.Title) > most {
					t.Errorf("%s, %s: the title %q has more than %d characters; Grafana cuts it", d.Name, r.Title, p.Title, most)
				}
				if title := r.Title + "/" + p.Title; slices.Contains(titles, title) {
					t.Errorf("%s has two panels %s", d.Name, title)
				} else {
					titles = append(titles, title)
				}
			}
		}
	}
}

//go:build integration

package endtoend

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wavryhost/deploy/monitoring"
)

// scraper is a Prometheus that scrapes a daemon each second, with the rules of deploy/prometheus.
type scraper struct{ url string }

func startPrometheus(t *testing.T, h *host) *scraper {
	t.Helper()
	need(t, "prometheus")
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"recording.yml", "alerts.yml"} {
		rules, err := os.ReadFile("../../../deploy/prometheus/" + name)
		if err != nil {
			t.Fatal(err)
		}
		write(name, strings.ReplaceAll(string(rules), "interval: 60s", "interval: 1s"))
	}
	write("token", h.token)
	write("prometheus.yml", fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [recording.yml, alerts.yml]
scrape_configs:
  - job_name: %s
    authorization: {credentials_file: token}
    static_configs: [{targets: [%q], labels: {pool: test, region: here}}]
`, monitoring.Job, strings.TrimPrefix(h.url, "http://")))
	_, address := ownAddress(9090)
	start(t, exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn"))
	return &scraper{url: "http://" + address}
}

// query returns the number of series that an expression has now.
func (p *scraper) query(expr string) (series int, err error) {
	resp, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		return 0, errors.New(answer.Error)
	}
	return len(answer.Data.Result), nil
}

// Every query of every dashboard returns data from a live daemon with a viewer, and every rule is evaluated.
func TestDashboardsHaveData(t *testing.T) {
	t.Parallel()
	h := startHost(t, hostOptions{args: []string{"--display", "synthetic", "--virtual-size", "320x240"}})
	p := startPrometheus(t, h)
	has := func(what, expr string) {
		t.Helper()
		eventually(t, patience, what+" has data", func() error {
			series, err := p.query(expr)
			if err == nil && series == 0 {
				err = fmt.Errorf("no data for %s", expr)
			}
			return err
		})
	}
	has("the first scrape", "up == 1") // counters that grow later have a rate
	a, _ := join(t, h)
	a.waitMedia(t)
	if status, _, err := h.request(http.MethodGet, "/v1/sessions/none"); status != http.StatusNotFound {
		t.Fatalf("GET of a session that does not exist: status %d, %v", status, err)
	}
	choose := strings.NewReplacer("$pool", ".*", "$region", ".*", "$instance", ".*", "$__rate_interval", "30s")
	for _, d := range monitoring.Dashboards() {
		for _, r := range d.Rows {
			for _, panel := range r.Panels {
				for _, q := range panel.Queries {
					has(d.Name+", "+r.Title+", "+panel.Title, choose.Replace(q.Expr))
				}
			}
		}
	}
	has("the alert that always fires", `ALERTS{alertname="`+monitoring.DeadMan+`",alertstate="firing"}`)
	// A host that works, with a viewer whose path works, fires nothing else.
	others := `ALERTS{alertstate="firing",alertname!="` + monitoring.DeadMan + `"}`
	if series, err := p.query(others); err != nil || series != 0 {
		t.Errorf("%d other alerts fire, %v", series, err)
	}
	a.leave(t, h)
}

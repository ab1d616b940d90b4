//go:build integration

package endtoend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"wavryhost/deploy/monitoring"
)

// scraper is a Prometheus that scrapes daemons each second, with the rules of deploy/prometheus.
type scraper struct {
	url    string
	client *http.Client
}

// scrapers counts the programs that startPrometheus has started.
var scrapers atomic.Int32

// startPrometheus scrapes hosts, which get the names host1, host2 and so on. All run in one network namespace.
func startPrometheus(t *testing.T, namespace string, hosts ...*host) *scraper {
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
	config := `global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [recording.yml, alerts.yml]
scrape_configs:
`
	for i, h := range hosts {
		name := fmt.Sprintf("host%d", i+1)
		write(name, h.token)
		scheme, address, _ := strings.Cut(h.url, "://")
		config += fmt.Sprintf(`  - job_name: %[1]s-%[2]s
    scheme: %[3]s
    tls_config: {insecure_skip_verify: true}
    authorization: {credentials_file: %[2]s}
    static_configs:
      - {targets: [%[4]q], labels: {job: %[1]s, instance: "%[2]s:8470", pool: desktops, region: eu-west}}
`, monitoring.Job, name, scheme, address)
	}
	write("prometheus.yml", config)
	_, address := ownAddress(9090 + int(scrapers.Add(1))) // tests that run side by side have one each
	command := []string{
		"prometheus", "--config.file=" + filepath.Join(dir, "prometheus.yml"), "--log.level=warn",
		"--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address,
	}
	transport := &http.Transport{}
	if namespace != "" {
		command = append([]string{"ip", "netns", "exec", namespace}, command...)
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialWithin(ctx, namespace, network, address)
		}
	}
	start(t, exec.Command(command[0], command[1:]...))
	t.Cleanup(transport.CloseIdleConnections)
	return &scraper{url: "http://" + address, client: &http.Client{Transport: transport, Timeout: patience}}
}

// result is a series of an answer of Prometheus. A sample is a time and a number as text.
type result struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

// get asks Prometheus for series.
func (p *scraper) get(path string, query url.Values) ([]result, error) {
	resp, err := p.client.Get(p.url + path + "?" + query.Encode())
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []result }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return answer.Data.Result, nil
}

// query returns the number of series that an expression has now.
func (p *scraper) query(expr string) (series int, err error) {
	list, err := p.get("/api/v1/query", url.Values{"query": {expr}})
	return len(list), err
}

// has waits until an expression has data.
func (p *scraper) has(t *testing.T, what, expr string) {
	t.Helper()
	eventually(t, patience, what+" has data", func() error {
		series, err := p.query(expr)
		if err == nil && series == 0 {
			err = fmt.Errorf("no data for %s", expr)
		}
		return err
	})
}

// unseen are metrics in rules that the daemon of the test does not export.
var unseen = []string{
	"wavry_host_encoder_fallbacks_total", "wavry_host_feedback_faults_total", // with the first fault
	"wavry_host_loop_stalled_seconds", // while a loop stalls
	"wavry_host_fleet_state", "wavry_host_fleet_oldest_event_timestamp_seconds", "wavry_host_gateway_state",
	"wavry_host_grant_keys_last_success_timestamp_seconds", "wavry_host_ice_server_up", // with their settings
}

// silent returns the selectors in an expression that have no series, as with a misspelled metric. A rule with such a
// selector is broken, and never fires.
func (p *scraper) silent(expr string) (list []string, err error) {
	for _, s := range monitoring.Selectors(expr) {
		name, _, _ := strings.Cut(s, "{")
		if slices.Contains(unseen, name) {
			continue
		}
		if series, err := p.query(s); err != nil {
			return nil, err
		} else if series == 0 {
			list = append(list, s)
		}
	}
	return list, nil
}

// Every query of every dashboard returns data from a live daemon with viewers, and so does every selector of every
// rule.
func TestDashboardsHaveData(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, "127.0.0.1")
	h := startHost(t, hostOptions{secure: true, args: []string{
		"--display", "synthetic", "--virtual-size", "320x240", "--tls-cert", cert, "--tls-key", key,
		"host.probe_interval=2s",
	}})
	p := startPrometheus(t, "", h)
	p.has(t, "the first scrape", "up == 1") // counters that grow later have a rate
	a, _ := join(t, h)
	a.waitMedia(t)
	p.has(t, "the first session", `wavry_host_setup_stage_seconds_count{stage="ack"}`)
	b, _ := join(t, h) // the times of stages appear with the first session, so they have rates from the second one on
	if status, _, err := h.request(http.MethodGet, "/v1/sessions/none"); status != http.StatusNotFound {
		t.Fatalf("GET of a session that does not exist: status %d, %v", status, err)
	}
	stranger := *h
	stranger.token = "wrong"
	if status, _, err := stranger.request(http.MethodGet, "/v1/host"); status != http.StatusUnauthorized {
		t.Fatalf("a request with a wrong token: status %d, %v", status, err)
	}
	choose := strings.NewReplacer("$pool", ".*", "$region", ".*", "$instance", ".*", "$__rate_interval", "30s")
	for _, d := range monitoring.Dashboards() {
		for _, r := range d.Rows {
			for _, panel := range r.Panels {
				for _, q := range panel.Queries {
					p.has(t, d.Name+", "+r.Title+", "+panel.Title, choose.Replace(q.Expr))
				}
			}
		}
	}
	rules := make(map[string]string)
	for _, o := range monitoring.Objectives() {
		rules["bad "+o.Name], rules["all "+o.Name] = o.Bad, o.All
	}
	for _, a := range monitoring.Alerts() {
		rules[a.Name] = a.Expr
	}
	for name, expr := range rules {
		eventually(t, patience, "each selector of the rule "+name+" has series", func() error {
			list, err := p.silent(expr)
			if err == nil && len(list) != 0 {
				err = fmt.Errorf("none for %q", list)
			}
			return err
		})
	}
	wrong := `increase(wavry_host_handshake_total{result="success"}[5m]) > wavry_host_sessions{state="linked"}`
	if list, err := p.silent(wrong); err != nil || len(list) != 2 {
		t.Errorf("a rule with a wrong metric and a wrong value: found %q, %v", list, err)
	}
	p.has(t, "the alert that always fires", `ALERTS{alertname="`+monitoring.DeadMan+`",alertstate="firing"}`)
	// A host that works, with a viewer whose path works, fires nothing else.
	others := `ALERTS{alertstate="firing",alertname!="` + monitoring.DeadMan + `"}`
	if list, err := p.get("/api/v1/query", url.Values{"query": {others}}); err != nil || len(list) != 0 {
		t.Errorf("other alerts fire: %v, %v", list, err)
	}
	a.leave(t, h)
	b.leave(t, h)
}

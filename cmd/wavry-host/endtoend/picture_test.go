//go:build integration

package endtoend

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"wavryhost/deploy/monitoring"
)

// pictures is the folder into which TestDrawDashboards draws; empty for none.
var pictures = os.Getenv("WAVRY_DASHBOARDS")

const pictureStep = 2 * time.Second

// series returns what a query of a dashboard had from a time on.
func (p *scraper) series(t *testing.T, q monitoring.Query, expr string, from, to time.Time) []monitoring.Series {
	t.Helper()
	list, err := p.get("/api/v1/query_range", url.Values{
		"query": {expr}, "step": {fmt.Sprint(pictureStep.Seconds())},
		"start": {from.Format(time.RFC3339)}, "end": {to.Format(time.RFC3339)},
	})
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	var all []monitoring.Series
	for _, r := range list {
		s := monitoring.Series{Legend: q.Legend, Values: make([]float64, to.Sub(from)/pictureStep+1)}
		for label, value := range r.Metric {
			s.Legend = strings.ReplaceAll(s.Legend, "{{"+label+"}}", value)
		}
		if s.Legend = strings.TrimSpace(s.Legend); strings.HasPrefix(s.Legend, "{{") {
			s.Legend = ""
		}
		for i := range s.Values {
			s.Values[i] = math.NaN()
		}
		for _, v := range r.Values {
			at, text := v[0].(float64), v[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatalf("%s: %v", expr, err)
			}
			s.Values[int(at-float64(from.Unix()))/int(pictureStep.Seconds())] = value
		}
		all = append(all, s)
	}
	return all
}

// buildVersion builds the daemon with a version of its own.
func buildVersion(t *testing.T, version string) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "wavry-host")
	build := exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", binary, "wavryhost/cmd/wavry-host")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the daemon: %v\n%s", err, out)
	}
	return binary
}

// It draws what the dashboards show of two hosts in five minutes in which something happens, for the documents:
// make dashboards.
func TestDrawDashboards(t *testing.T) {
	if pictures == "" {
		t.Skip("WAVRY_DASHBOARDS names no folder for the pictures")
	}
	links := newLinks(t, 3)
	var hosts []*host
	for i, version := range []string{"1.4.0", "1.5.0"} {
		const token = "for-these-pictures-and-no-others"
		address := links[i].hostIP
		cert, key := certificate(t, address)
		hosts = append(hosts, startHost(t, hostOptions{
			program: buildVersion(t, version), namespace: links[0].host, listen: address + ":8470", secure: true, token: token,
			args: []string{
				"--display", "synthetic", "--virtual-size", "640x480", "--tls-cert", cert, "--tls-key", key,
				"displays.bitrate.min=100k", "host.probe_interval=20s",
			},
			env: []string{"WAVRY_HOST_AUTH__TOKEN=" + token},
		}))
	}
	p := startPrometheus(t, links[0].host, hosts...)
	eventually(t, patience, "both hosts are scraped", func() error {
		if n, err := p.query("up == 1"); err != nil || n != len(hosts) {
			return fmt.Errorf("%d are, %w", n, err)
		}
		return nil
	})
	began := time.Now()
	var marks []monitoring.Mark
	// at waits until so much time has passed since the beginning, and marks what happens then.
	at := func(passed time.Duration, what string) {
		<-time.After(time.Until(began.Add(passed)))
		marks = append(marks, monitoring.Mark{At: passed, Text: what})
		t.Log(passed, what)
	}
	watch := func(h *host, l *link) *audience {
		a, _ := joinBy(t, h, listenWithin(t, l.viewer, l.viewerIP), nil)
		a.waitMedia(t)
		return a
	}
	call := func(want int, method, path, body string) {
		t.Helper()
		if status, answer, err := hosts[0].send(method, path, body); err != nil || status != want {
			t.Errorf("%s %s: status %d, %v: %s", method, path, status, err, answer)
		}
	}

	at(15*time.Second, "a viewer joins each host")
	first, other := watch(hosts[0], links[0]), watch(hosts[1], links[2])
	at(35*time.Second, "a second viewer joins host1; a third one fails to connect, since its packets are lost")
	second := watch(hosts[0], links[1])
	third := prepared(t, listenWithin(t, links[2].viewer, links[2].viewerIP), nil)
	third.socket.cut.Store(true)
	third.join(t, hosts[0], "default")
	at(75*time.Second, "the second viewer's path is limited to 150 kbit/s")
	links[1].limit(t, "150kbit")
	at(120*time.Second, "that path fails for 5 s")
	links[1].cut(t, true)
	<-time.After(5 * time.Second)
	links[1].cut(t, false)
	at(140*time.Second, "the limit ends, and 5 % of packets are lost")
	links[1].limit(t, "")
	links[1].lose(t, 5)
	at(180*time.Second, "the loss ends; an operator asks for a keyframe")
	links[1].lose(t, 0)
	call(http.StatusAccepted, http.MethodPost, "/v1/sessions/"+second.id()+"/keyframe", "")
	at(200*time.Second, "host1 is cordoned, and refuses two offers and a wrong token")
	call(http.StatusOK, http.MethodPut, "/v1/cordon", `{"note": "new fan"}`)
	offer := third.pc.LocalDescription().SDP
	hosts[0].refuses(t, hosts[0].token, offer)
	hosts[0].refuses(t, hosts[0].token, offer)
	hosts[0].refuses(t, "wrong", offer)
	at(230*time.Second, "the cordon ends; host1 refuses a malformed offer")
	call(http.StatusOK, http.MethodDelete, "/v1/cordon", "")
	hosts[0].refuses(t, hosts[0].token, "no description")
	at(245*time.Second, "the first viewer leaves, the second one's process is killed")
	first.leave(t, hosts[0])
	second.kill(t)
	at(270*time.Second, "a viewer joins host1")
	last := watch(hosts[0], links[0])
	<-time.After(time.Until(began.Add(5 * time.Minute)))

	draw(t, p, began, marks)
	last.leave(t, hosts[0])
	other.leave(t, hosts[1])
}

// refuses makes an offer, which must be refused.
func (h *host) refuses(t *testing.T, token, offer string) {
	t.Helper()
	response := h.whep(t, token, offer)
	defer response.Body.Close()
	if response.StatusCode < http.StatusBadRequest {
		t.Errorf("an offer was accepted: status %d", response.StatusCode)
	}
}

// draw writes a picture of each dashboard.
func draw(t *testing.T, p *scraper, began time.Time, marks []monitoring.Mark) {
	t.Helper()
	began = began.Truncate(time.Second)
	ended := time.Now().Truncate(time.Second)
	output := func(command string, args ...string) string {
		out, err := exec.Command(command, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", command, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	prometheus, _, _ := strings.Cut(strings.Fields(output("prometheus", "--version"))[2], "+")
	made := fmt.Sprintf("Made by make dashboards on %s: two hosts with test patterns at commit %s, Prometheus %s, "+
		"a scrape each second, rates over 15 s (30 min: 2 min).", ended.UTC().Format(time.DateOnly),
		output("git", "rev-parse", "--short", "HEAD"), prometheus)
	for _, d := range monitoring.Dashboards() {
		instance := ".*"
		if d.Name == "host" {
			instance = "host1:8470"
		}
		choose := strings.NewReplacer("$pool", ".*", "$region", ".*", "$instance", instance, "$__rate_interval", "15s",
			"[30m]", "[2m]")
		picture := monitoring.Picture{
			Dashboard: d, Made: made, Marks: marks, Data: make(map[monitoring.Query][]monitoring.Series),
			Every: pictureStep, Length: ended.Sub(began).Truncate(pictureStep),
		}
		for _, r := range d.Rows {
			for _, panel := range r.Panels {
				for _, q := range panel.Queries {
					picture.Data[q] = p.series(t, q, choose.Replace(q.Expr), began, ended)
					if len(picture.Data[q]) == 0 {
						t.Errorf("%s, %s, %s: no data for %s", d.Name, r.Title, panel.Title, q.Expr)
					}
				}
			}
		}
		f, err := os.Create(filepath.Join(pictures, d.Name+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		if err := picture.WriteSVG(f); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

//go:build integration

package canary

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The queries are right for a real Prometheus: a day of two hosts is written into its database, and compared.
func TestGroupsFromARealPrometheus(t *testing.T) {
	for _, program := range []string{"prometheus", "promtool"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("skipped until %s is installed", program)
		}
	}
	dir := t.TempDir()
	end := time.Now().Truncate(time.Minute)
	var text bytes.Buffer
	series := func(kind, name, labels string, value func(minute int) float64) {
		fmt.Fprintf(&text, "# TYPE %s %s\n", strings.TrimSuffix(name, "_total"), kind)
		for _, h := range []struct {
			name, version string
			failures      float64
		}{{"a", "1", .01}, {"b", "2", .5}} {
			for m := range 24 * 60 {
				factor := 1.
				if strings.Contains(labels, "dtls_failed") {
					factor = h.failures
				}
				all := fmt.Sprintf(`job="w",instance=%q,%s`, h.name, labels)
				if name == buildInfo {
					all += fmt.Sprintf(`version=%q`, h.version)
				}
				fmt.Fprintf(&text, "%s{%s} %g %d\n", name, strings.TrimSuffix(all, ","), factor*value(m),
					end.Add(time.Duration(m-24*60)*time.Minute).Unix())
			}
		}
	}
	series("gauge", buildInfo, "", func(int) float64 { return 1 })
	series("counter", "wavry_host_handshakes_total", `result="success"`, func(m int) float64 { return float64(m) })
	text.WriteString("# EOF\n")
	// One family must be in one piece, so the failures are another file.
	first := text.String()
	text.Reset()
	series("counter", "wavry_host_handshakes_total", `result="dtls_failed"`, func(m int) float64 { return float64(m) })
	text.WriteString("# EOF\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, content := range []string{first, text.String()} {
		file := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		backfill := exec.CommandContext(ctx, "promtool", "tsdb", "create-blocks-from", "openmetrics", file,
			filepath.Join(dir, "data"))
		if out, err := backfill.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte("global: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	server := exec.CommandContext(ctx, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=error")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	s, err := NewServer("http://"+address, end)
	if err != nil {
		t.Fatal(err)
	}
	var base, other []Host
	for {
		base, other, _, err = s.Groups(ctx, Selector{"version": "1"}, Selector{"version": "2"}, 12*time.Hour)
		if err == nil {
			break
		}
		select { // until it serves
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
	r, err := Compare(base, other, usual)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != Fail || len(r.Canary.Hosts) != 1 || r.Canary.Sessions < 700 || r.Canary.Sessions > 730 ||
		!strings.Contains(strings.Join(r.Reasons, ""), "set-up failed: ") {
		t.Errorf("%+v", r)
	}
}

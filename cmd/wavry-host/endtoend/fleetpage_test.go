//go:build integration

package endtoend

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"

	"github.com/nats-io/nats-server/v2/server"
)

// poolOf runs hosts for tests in a fleet, until the test ends.
func poolOf(t *testing.T, s *server.Server, n int) (hosts []*fleettest.Host) {
	t.Helper()
	for i := range n {
		h := fleettest.NewHost(fmt.Sprintf("rack-%02d", i+1), fmt.Sprint("boot", i), map[string]string{
			"pool": []string{"cad", "cad", "web"}[i%3], "region": []string{"eu-west", "us-east"}[i%2],
		})
		h.Change(func(d *bus.Description) {
			d.Version, d.Sessions = "1.4.0", i%7
			d.Capacity[0].More = 8 - i%7
			if i%7 > 0 {
				d.Quality = map[string]int{"good": i%7 - i%2, "degraded": i % 2}
			}
		})
		a, err := fleet.New(fleet.Config{
			Bus: bus.Config{URL: s.ClientURL(), Identity: fleettest.Identity(t), Insecure: true}, Serve: h.Serve,
		}, h, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = a.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		hosts = append(hosts, h)
	}
	return hosts
}

// The page of a fleet shows hosts, sessions, quality, room, cordons and versions, and follows changes.
func TestFleetPage(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	hosts := poolOf(t, s, 12)
	p := start(t, exec.Command(hostBinary, "fleet", "serve", "--servers", s.ClientURL(), "--insecure", "--as", "ann",
		"--listen", "127.0.0.1:0"))
	eventually(t, patience, "the page is served", func() error {
		if !strings.HasPrefix(p.out.String(), "http://") {
			return errNotYet
		}
		return nil
	})
	b := openBrowser(t, "", strings.TrimSpace(p.out.String()))
	text := func(selector string) (got string) {
		if err := b.eval(fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	shows := func(selector string, want ...string) {
		t.Helper()
		eventually(t, patience, "the page shows "+strings.Join(want, ", "), func() error {
			got := text(selector)
			for _, w := range want {
				if !strings.Contains(got, w) {
					return fmt.Errorf("%s has %q", selector, got)
				}
			}
			return nil
		})
	}
	shows("#shown", "Hosts: 12")
	shows("#figures", "12\nhosts present", "31 / 96\nsessions", "5\nsessions not good")
	shows("#regions", "eu-west", "us-east")
	shows("#versions", "1.4.0")
	shows("#profiles", "1920x1080@60", "65")
	shows("#hosts", "rack-12", "active", "3 of 8")
	hosts[0].Change(func(d *bus.Description) {
		d.State, d.Reason, d.Since, d.Version = "cordoned", "requested", time.Now(), "1.5.0"
	})
	shows("#figures", "1\ncordoned or draining")
	shows("#hosts tr[data-state=cordoned]", "rack-01", "requested", "1.5.0")
	shows("#versions", "1.5.0")
	var bars int
	if err := b.eval("document.querySelectorAll('#hosts .quality').length", &bars); err != nil || bars != 10 {
		t.Errorf("%d hosts show quality, %v; want the 10 with sessions", bars, err)
	}
	if path := os.Getenv("WAVRY_SCREENSHOT"); path != "" {
		b.screenshot(t, path)
	}
	choose := func(id, value string) {
		t.Helper()
		script := fmt.Sprintf(`(() => { const e = document.getElementById(%q); e.value = %q;
			e.dispatchEvent(new Event(e.type === "search" ? "input" : "change")); return e.value; })()`, id, value)
		var got string
		if err := b.eval(script, &got); err != nil || got != value {
			t.Fatalf("choose %s: %q, %v", value, got, err)
		}
	}
	choose("pool", "web")
	shows("#shown", "Hosts: 4")
	choose("find", "RACK-12")
	shows("#shown", "Hosts: 1")
	fleettest.Stop(s)
	shows("#status", "NATS is not reached")
	p.stop(t)
	shows("#status", "connection lost")
}

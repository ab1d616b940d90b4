package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats-server/v2/server"
)

// fleetOf runs hosts of a fleet until the test ends, and returns its servers.
func fleetOf(t *testing.T, hosts ...*fleettest.Host) (url string) {
	t.Helper()
	s := fleettest.Server(t, func(o *server.Options) { o.JetStream, o.StoreDir = true, t.TempDir() })
	for _, h := range hosts {
		ctx, cancel := context.WithCancel(context.Background())
		a, err := fleet.New(fleet.Config{
			Bus: bus.Config{URL: s.ClientURL(), Identity: fleettest.Identity(t), Insecure: true}, Serve: h.Serve,
		}, h, slog.New(slog.DiscardHandler))
		if err != nil {
			cancel()
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); _ = a.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		fleettest.Eventually(t, 5*time.Second, "connected", func() bool {
			return a.Status().State == fleet.StateConnected.String()
		})
	}
	return s.ClientURL()
}

// fleetCommand runs a command of a fleet, and returns what it prints.
func fleetCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, append([]string{"fleet"}, args...), []string{"HOME=" + t.TempDir()}, &out, &errs)
	if code != 0 {
		return out.String() + errs.String(), codeError(code)
	}
	return out.String(), nil
}

type codeError int

func (e codeError) Error() string { return "exit code " + string(rune('0'+int(e)%10)) }

func TestCommandsOfTheFleet(t *testing.T) {
	eu := fleettest.NewHost("rack-7", "b1", map[string]string{"pool": "cad", "region": "eu"})
	us := fleettest.NewHost("rack-8", "b2", map[string]string{"pool": "cad", "region": "us"})
	eu.Change(func(d *bus.Description) { d.Address, d.Scheme = "rack-7:8470", "https" })
	url := fleetOf(t, eu, us)
	on := []string{"--servers", url, "--insecure", "--as", "ann"}
	cmd := func(args ...string) (string, error) { return fleetCommand(t, append(args, on...)...) }

	out, err := cmd("hosts", "--select", "region=eu", "--wait", "500ms")
	if err != nil || !strings.Contains(out, "rack-7") || strings.Contains(out, "rack-8") ||
		!strings.Contains(out, "present") {
		t.Errorf("hosts: %v\n%s", err, out)
	}
	if out, err = cmd("find", "--pool", "cad", "--codec", "H264"); err != nil || strings.Count(out, "1.00") != 2 {
		t.Errorf("find: %v\n%s", err, out)
	}
	if out, err = cmd("cordon"); err == nil || !strings.Contains(out, "--select") {
		t.Errorf("a cordon of nothing: %v\n%s", err, out)
	}
	if out, err = cmd("cordon", "--select", "region=eu", "--note", "repair"); err != nil || !strings.Contains(out, "200") {
		t.Errorf("cordon: %v\n%s", err, out)
	}
	if eu.Describe().State != "cordoned" || us.Describe().State != "active" {
		t.Errorf("the hosts are %s and %s", eu.Describe().State, us.Describe().State)
	}
	out, err = cmd("exec", "GET", "/v1/host", "--all", "--json")
	var answers struct{ Answers []struct{ Status int } }
	if bad := json.Unmarshal([]byte(out), &answers); err != nil || bad != nil || len(answers.Answers) != 2 {
		t.Errorf("exec: %v, %v\n%s", err, bad, out)
	}
	if out, err = cmd("exec", "GET", "/v1/nothing", "--all"); err == nil || !strings.Contains(out, "2 hosts refused") {
		t.Errorf("a path that hosts refuse: %v\n%s", err, out)
	}
	out, err = cmd("targets", "--wait", "500ms")
	var groups []targetGroup
	if bad := json.Unmarshal([]byte(out), &groups); err != nil || bad != nil || len(groups) != 1 ||
		groups[0].Targets[0] != "rack-7:8470" || groups[0].Labels["region"] != "eu" {
		t.Errorf("targets: %v, %v\n%s", err, bad, out)
	}
	if out, err = fleetCommand(t, "hosts", "--servers", "nats://127.0.0.1:1"); err == nil {
		t.Errorf("no server: %s", out)
	}
}

// The file changes while "targets" runs, and readers never see a part of it.
func TestTargetsFollowTheFleet(t *testing.T) {
	h := fleettest.NewHost("rack-7", "b1", nil)
	h.Change(func(d *bus.Description) { d.Address, d.Scheme = "rack-7:8470", "http" })
	url := fleetOf(t, h)
	path := filepath.Join(t.TempDir(), "hosts.json")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		var out bytes.Buffer
		done <- run(ctx, []string{"fleet", "targets", "--servers", url, "--insecure", "--wait", "100ms", "--out", path},
			[]string{"HOME=" + path}, &out, &out)
	}()
	has := func(want string) func() bool {
		return func() bool {
			text, err := os.ReadFile(path)
			return err == nil && json.Valid(text) && strings.Contains(string(text), want)
		}
	}
	fleettest.Eventually(t, 5*time.Second, "the host is a target", has(`"rack-7:8470"`))
	h.Change(func(d *bus.Description) { d.Version = "1.5.0" })
	fleettest.Eventually(t, 5*time.Second, "its new version is there", has(`"version":"1.5.0"`))
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTargetsOfHostsThatAreAway(t *testing.T) {
	now := time.Now()
	host := func(presence string, seen time.Duration) pool.Host {
		return pool.Host{
			Record:   bus.Record{Description: bus.Description{Address: "a:1", Labels: map[string]string{"rack/row": "7"}}},
			Presence: presence, Seen: now.Add(-seen),
		}
	}
	got := targetsOf([]pool.Host{
		host(pool.Present, 0), host(pool.Gone, time.Minute), host(pool.Gone, 2*time.Hour),
		host(pool.Stopped, time.Minute),
		{},
	}, now, time.Hour)
	if len(got) != 2 || got[0].Labels["rack_row"] != "7" {
		t.Errorf("got %+v", got)
	}
}

// Standing orders and streams, by commands.
func TestStandingOrdersByCommand(t *testing.T) {
	h := fleettest.NewHost("rack-7", "b1", map[string]string{"region": "eu"})
	url := fleetOf(t, h)
	on := []string{"--servers", url, "--insecure", "--as", "ann"}
	cmd := func(args ...string) (string, error) { return fleetCommand(t, append(args, on...)...) }

	cordon := []string{"cordon", "--select", "region=eu", "--absent", "72h"}
	if out, err := cmd(cordon...); err == nil || !strings.Contains(out, "fleet setup") {
		t.Errorf("an order without a stream: %v\n%s", err, out)
	}
	if out, err := cmd("watch", "--events"); err == nil || !strings.Contains(out, "fleet setup") {
		t.Errorf("events without a stream: %v\n%s", err, out)
	}
	if out, err := cmd("setup", "--replicas", "9"); err == nil || !strings.Contains(out, "--replicas") {
		t.Errorf("too many replicas: %v\n%s", err, out)
	}
	for range 2 {
		if out, err := cmd("setup"); err != nil || !strings.Contains(out, "WAVRY_ORDERS") {
			t.Errorf("setup: %v\n%s", err, out)
		}
	}
	if out, err := cmd(cordon...); err != nil || !strings.Contains(out, "rack-7") || !strings.Contains(out, "200") {
		t.Errorf("cordon: %v\n%s", err, out)
	}
	if h.Describe().State != "cordoned" {
		t.Errorf("the host is %s", h.Describe().State)
	}
	if out, err := cmd("cordon", "--select", "region=us", "--absent", "1h"); err != nil {
		t.Errorf("an order for nobody who is present: %v\n%s", err, out)
	}
	out, err := cmd("orders", "--json")
	var list struct{ Orders []shownOrder }
	if bad := json.Unmarshal([]byte(out), &list); err != nil || bad != nil || len(list.Orders) != 2 ||
		list.Orders[0].By != "ann" || len(list.Orders[0].Results) != 1 || list.Orders[0].Select != "region=eu" {
		t.Fatalf("orders: %v, %v\n%s", err, bad, out)
	}
	if out, err := cmd("orders", "--cancel", list.Orders[1].ID); err != nil {
		t.Errorf("cancel: %v\n%s", err, out)
	}
	if out, err := cmd("orders"); err != nil || strings.Contains(out, "region=us") ||
		!strings.Contains(out, "PUT /v1/cordon") {
		t.Errorf("orders: %v\n%s", err, out)
	}
	if out, err := cmd("watch", "--kind", "drained"); err == nil || !strings.Contains(out, "--events") {
		t.Errorf("a kind of no events: %v\n%s", err, out)
	}
}

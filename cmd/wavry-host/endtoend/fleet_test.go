//go:build integration

package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	api "wavryhost/session/api/client"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats-server/v2/server"
)

// A NATS that is lost changes nothing for a session, and the host returns to its fleet when NATS does.
func TestSessionOutlivesNATS(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	h := startHost(t, hostOptions{args: []string{
		"--display", "synthetic", "--virtual-size", "640x360", "--fps", "30",
		"host.labels=[pool=cad,region=eu]", "fleet.url=" + s.ClientURL(), "fleet.insecure=true",
	}})
	is := func(want string) func() error {
		return func() error {
			_, body, err := h.request("GET", "/v1/host")
			if err != nil {
				return err
			}
			var v struct {
				Fleet struct{ ID, State, Reason string }
			}
			if err := json.Unmarshal(body, &v); err != nil {
				return err
			}
			if v.Fleet.State != want || len(v.Fleet.ID) != 16 {
				return fmt.Errorf("the fleet is %+v", v.Fleet)
			}
			return nil
		}
	}
	seen := func(s *server.Server) func() error {
		v := pool.NewView(fleettest.Connect(t, s), pool.Options{})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = v.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
		return func() error {
			list := v.Hosts()
			if len(list) != 1 || list[0].Labels["pool"] != "cad" || list[0].Presence != pool.Present ||
				len(list[0].Capacity) == 0 || list[0].Boot == "" {
				return fmt.Errorf("the hosts are %+v", list)
			}
			return nil
		}
	}
	eventually(t, patience, "the host is in the fleet", is("connected"))
	eventually(t, patience, "the fleet sees the host", seen(s))

	b := openBrowser(t, "", h.page(""))
	b.waitFrames(t, 30, patience)
	before := h.session(t).ID
	addr := s.Addr().String()
	fleettest.Stop(s)
	eventually(t, patience, "the host notices", is("disconnected"))
	b.waitFrames(t, 60, patience)
	if one := h.session(t); one.ID != before || one.State != "connected" {
		t.Errorf("the session is %s %s; it was %s", one.ID, one.State, before)
	}
	if v := h.metric(t, `wavry_host_fleet_state{state="connected"}`); v != 0 {
		t.Errorf("the metric of state connected is %v; want 0", v)
	}

	again := fleettest.Server(t, func(o *server.Options) {
		if _, err := fmt.Sscanf(addr, "127.0.0.1:%d", &o.Port); err != nil {
			t.Fatal(err)
		}
	})
	eventually(t, 2*patience, "the host returns", is("connected"))
	eventually(t, patience, "the fleet sees it again", seen(again))
	if s := h.session(t); s.ID != before {
		t.Error("the session is another one")
	}
}

// What a fleet asks gets the answers of the HTTP API, by the role in the subject and with the caller in the audit log.
func TestFleetServesTheControlAPI(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	audit := filepath.Join(t.TempDir(), "audit.jsonl")
	h := startHost(t, hostOptions{args: []string{
		"--display", "synthetic", "--virtual-size", "640x360", "--fps", "30", "api.audit_file=" + audit,
		"host.labels=[pool=cad]", "fleet.url=" + s.ClientURL(), "fleet.insecure=true",
	}})
	nc := fleettest.Connect(t, s)
	as := func(role, name string) *pool.Client {
		c, err := pool.NewClient(nc, bus.Caller{Role: role, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	gw := as("operator", "gw1")
	var p pool.Place
	eventually(t, patience, "a place in the pool", func() (err error) {
		p, err = gw.Place(context.Background(), pool.Wish{ID: "order-17", Pool: "cad", Codec: "H264", Display: "synthetic"})
		return err
	})
	again, err := gw.Place(context.Background(), pool.Wish{ID: "order-17", Pool: "cad", Again: true})
	if err != nil || again.ID != p.ID {
		t.Errorf("the same placement again: %+v, %v; want %s", again, err, p.ID)
	}
	if _, body, err := h.request("GET", "/v1/reservations"); err != nil || strings.Count(string(body), `"expires"`) != 1 {
		t.Errorf("the reservations are %s, %v", body, err)
	}
	client, err := as("viewer", "page").Host(p.Host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Host.Cordon(context.Background(), api.CordonRequest{}); api.CodeOf(err) != api.CodeForbidden {
		t.Errorf("a viewer cordons: %v", err)
	}
	if client, err = gw.Host(p.Host); err != nil {
		t.Fatal(err)
	}
	if got, err := client.Host.Cordon(context.Background(), api.CordonRequest{Note: "repair"}); err != nil ||
		got.State != "cordoned" {
		t.Errorf("an operator cordons: %+v, %v", got.State, err)
	}
	if _, err := gw.Find(context.Background(), pool.Wish{Pool: "cad"}); err == nil {
		t.Error("a cordoned host bids")
	}
	text, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"credential":"fleet","who":"gw1","role":"operator"`, `"credential":"fleet","who":"page","role":"viewer"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the audit log has no %s:\n%s", want, text)
		}
	}
}

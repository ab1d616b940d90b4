//go:build integration

package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

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

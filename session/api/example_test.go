package api_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"wavryhost/session/api/client"
)

// gateway places viewers on the hosts of a pool, and accounts for what they watched.
type gateway struct {
	hosts map[string]*client.Client // by name
	// seconds are how long each job was watched. A real gateway stores them, and the number of the last event.
	seconds map[string]float64
	last    map[string]uint64
}

// ticket is what a viewer needs: it sends its offer to the URL, with the token.
type ticket struct{ host, path, token string }

// place reserves a place for a viewer on the host with the most room. The job is the gateway's own ID of the request:
// a request that is repeated returns the same ticket.
func (g *gateway) place(ctx context.Context, job, viewer, pool string) (ticket, error) {
	var failed []error
	for _, name := range g.byRoom(ctx, pool) {
		r, err := g.hosts[name].Reservations.Create(ctx, job, client.ReservationRequest{
			Subject: viewer, Role: client.ViewerRoleController, HoldSeconds: 60,
			ExternalID: job, Labels: map[string]string{"pool": pool},
		})
		if err == nil {
			return ticket{name, r.Path, r.ViewerToken}, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", name, err))
		switch client.CodeOf(err) {
		case client.CodeFull, client.CodeDraining, client.CodeNoNetwork, "": // another host may have room
		default:
			return ticket{}, errors.Join(failed...)
		}
	}
	return ticket{}, errors.Join(append(failed, fmt.Errorf("no host of pool %s has room", pool))...)
}

// byRoom returns the hosts of a pool that take sessions, the one with the most room first.
func (g *gateway) byRoom(ctx context.Context, pool string) []string {
	room := map[string]int{}
	for name, host := range g.hosts {
		h, err := host.Host.Get(ctx)
		if err != nil || h.Labels["pool"] != pool || h.State == client.HostStateDraining ||
			h.State == client.HostStateCordoned {
			continue
		}
		for _, c := range h.Capacity {
			room[name] = max(room[name], c.More)
		}
	}
	names := slices.Sorted(maps.Keys(room))
	slices.SortStableFunc(names, func(a, b string) int { return room[b] - room[a] })
	return names
}

// account sums up what was watched on a host, until ctx ends. After a gap it would compare its sessions with the list
// of the host.
func (g *gateway) account(ctx context.Context, name string) error {
	return g.hosts[name].Events.Follow(ctx, g.last[name], func(e client.Event) error {
		if e.Kind == client.EventKindGap {
			fmt.Printf("%s: events after %d are lost\n", name, e.After)
		}
		if e.Totals != nil { // of session_ended
			g.seconds[e.ExternalID] += e.Totals.ConnectedSeconds
		}
		g.last[name] = max(g.last[name], e.ID)
		return nil
	})
}

// empty takes a host out of service: its sessions may go on for a while, and it gets no others.
func (g *gateway) empty(ctx context.Context, name, why string) error {
	_, err := g.hosts[name].Host.Drain(ctx, client.DrainRequest{
		Policy: client.DrainPolicyMove, DeadlineSeconds: time.Hour.Seconds(), Note: why,
	})
	return err
}

// Example is a gateway with one host. The host is played by a few fixed answers.
func Example() {
	host := httptest.NewServer(answers{
		"GET /v1/host":          `{"state": "active", "labels": {"pool": "cad"}, "capacity": [{"more": 3}]}`,
		"POST /v1/reservations": `{"id": "r1", "path": "/whep/x11:0", "viewer_token": "of-ann"}`,
		"PUT /v1/drain":         `{"state": "draining"}`,
		"GET /v1/events": "id: 7\nevent: session_ended\ndata: " +
			`{"id": 7, "kind": "session_ended", "external_id": "job-1", "totals": {"connected_seconds": 61.5}}` + "\n\n",
	})
	defer host.Close()
	c, err := client.New(client.Config{URL: host.URL, Token: "0123456789abcdef"})
	if err != nil {
		panic(err)
	}
	g := &gateway{map[string]*client.Client{"host7": c}, map[string]float64{}, map[string]uint64{"host7": 6}}
	ctx := context.Background()
	fmt.Println(g.place(ctx, "job-1", "ann", "cad"))
	_, err = g.place(ctx, "job-2", "bob", "games")
	fmt.Println(err)
	fmt.Println(g.empty(ctx, "host7", "new memory"))
	err = g.account(ctx, "host7") // it ends when the gateway's token is taken away
	fmt.Println(client.CodeOf(err), g.seconds["job-1"], g.last["host7"])
	// Output:
	// {host7 /whep/x11:0 of-ann} <nil>
	// no host of pool games has room
	// <nil>
	// unauthorized 61.5 7
}

// answers has the answers of a host, by operation.
type answers map[string]string

func (a answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, ok := a[r.Method+" "+r.URL.Path]
	if !ok || r.Header.Get("Last-Event-ID") == "7" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		text = `{"code": "unauthorized"}`
	}
	_, _ = w.Write([]byte(text))
}

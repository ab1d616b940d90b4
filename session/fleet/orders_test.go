package fleet_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// standing gives a standing order, and returns its ID.
func standing(t *testing.T, c *pool.Client, method, path string, s bus.Selector, lasts time.Duration) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://any"+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.Give(t.Context(), r, s, time.Now().Add(lasts))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// results returns the statuses that hosts have answered to an order, by their names.
func results(t *testing.T, nc *nats.Conn, id string) map[string]int {
	t.Helper()
	list, err := pool.Orders(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	of := make(map[string]int)
	for _, o := range list {
		for _, r := range o.Results {
			if o.ID == id {
				of[r.Name] = r.Status
			}
		}
	}
	return of
}

// Each look at the orders is a reader at the server, which must not stay.
func TestOrdersLeaveNoReader(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, storing(t.TempDir()))
	nc, gw := fleettest.Connect(t, s), ask(t, s)
	setup(t, nc)
	id := standing(t, gw, http.MethodGet, "/v1/host", nil, time.Hour)
	for range 5 {
		if of := results(t, nc, id); len(of) != 0 {
			t.Errorf("results without a host: %v", of)
		}
	}
	j, err := s.Jsz(&server.JSzOptions{})
	if err != nil || j.Consumers != 0 {
		t.Errorf("%d readers are left, %v", j.Consumers, err)
	}
}

// A standing order reaches present hosts and later ones, once each, in order, and until it expires or is canceled.
func TestStandingOrdersReachHostsThatWereOff(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, storing(t.TempDir()))
	nc, gw := fleettest.Connect(t, s), ask(t, s)
	setup(t, nc)
	id, file := fleettest.Identity(t), filepath.Join(t.TempDir(), "orders.json")
	start := func(h *fleettest.Host) *member {
		m := joinWith(t, fleet.Config{
			Bus: bus.Config{URL: s.ClientURL(), Identity: id, Insecure: true}, Beat: testBeat, Gone: testGone, Serve: h.Serve,
			OrdersFile: file,
		}, h)
		ready(t, m)
		return m
	}
	there := join(t, s.ClientURL(), fleettest.Identity(t),
		fleettest.NewHost("there", "b1", map[string]string{"region": "eu"}))
	ready(t, there)
	eu := bus.Selector{"region": "eu"}
	first := standing(t, gw, http.MethodPut, "/v1/cordon", eu, time.Hour)
	fleettest.Eventually(t, 5*time.Second, "the present host has the order", func() bool {
		return results(t, nc, first)["there"] == http.StatusOK
	})
	standing(t, gw, http.MethodGet, "/v1/large", bus.Selector{"region": "us"}, time.Hour)
	canceled := standing(t, gw, http.MethodGet, "/v1/canceled", eu, time.Hour)
	if err := pool.Cancel(t.Context(), nc, canceled); err != nil {
		t.Errorf("cancel: %v", err)
	}
	brief := standing(t, gw, http.MethodGet, "/v1/brief", eu, 50*time.Millisecond)
	unknown := standing(t, gw, http.MethodPost, "/v1/unknown", eu, time.Hour)
	<-time.After(60 * time.Millisecond)

	h := fleettest.NewHost("late", "b2", map[string]string{"region": "eu"})
	m := start(h)
	fleettest.Eventually(t, 5*time.Second, "the late host has the last order", func() bool {
		return results(t, nc, unknown)["late"] == http.StatusNotFound
	})
	want := []string{"PUT /v1/cordon operator gw1", "POST /v1/unknown operator gw1"}
	if got := h.Calls(); !slices.Equal(got, want) {
		t.Errorf("the late host got %v; want %v", got, want)
	}
	m.stop()
	again := fleettest.NewHost("late", "b3", map[string]string{"region": "eu"})
	start(again)
	last := standing(t, gw, http.MethodGet, "/v1/host", eu, time.Hour)
	fleettest.Eventually(t, 5*time.Second, "the restarted host has a new order", func() bool {
		return results(t, nc, last)["late"] == http.StatusOK
	})
	if got := again.Calls(); !slices.Equal(got, []string{"GET /v1/host operator gw1"}) {
		t.Errorf("the restarted host got %v", got)
	}
	if of := results(t, nc, brief); of["late"] != 0 {
		t.Errorf("an order that had expired: %v", of)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of answered orders: %v, %v", info, err)
	}
}

// An order that fails on the host is tried again, and then refused; the next one is carried out.
func TestStandingOrderThatFails(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, storing(t.TempDir()))
	nc, gw := fleettest.Connect(t, s), ask(t, s)
	setup(t, nc)
	h := fleettest.NewHost("a", "b1", nil)
	bad := standing(t, gw, http.MethodGet, "/v1/panic", nil, time.Hour)
	good := standing(t, gw, http.MethodGet, "/v1/host", nil, time.Hour)
	ready(t, join(t, s.ClientURL(), fleettest.Identity(t), h))
	fleettest.Eventually(t, 10*time.Second, "the order after it is carried out", func() bool {
		return results(t, nc, good)["a"] == http.StatusOK
	})
	if of := results(t, nc, bad); of["a"] != http.StatusInternalServerError {
		t.Errorf("the order that panics: %v", of)
	}
	if n := len(h.Calls()); n != 4 {
		t.Errorf("%d requests: %v; want three attempts and one", n, h.Calls())
	}
}

func TestStandingOrdersAreBounded(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, storing(t.TempDir()))
	gw := ask(t, s)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://any/v1/cordon", http.NoBody)
	if _, err := gw.Give(t.Context(), r, nil, time.Now().Add(time.Hour)); err == nil ||
		!strings.Contains(err.Error(), "fleet setup") {
		t.Errorf("without a stream: %v", err)
	}
	for _, lasts := range []time.Duration{-time.Second, 31 * 24 * time.Hour} {
		if _, err := gw.Give(t.Context(), r, nil, time.Now().Add(lasts)); err == nil ||
			!strings.Contains(err.Error(), "lasts up to") {
			t.Errorf("an order of %v: %v", lasts, err)
		}
	}
}

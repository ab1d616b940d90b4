package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/session/api/client"
	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// ask returns a client of a gateway at a server.
func ask(t *testing.T, s *server.Server) *pool.Client {
	t.Helper()
	c, err := pool.NewClient(fleettest.Connect(t, s), bus.Caller{Role: "operator", Name: "gw1"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ready waits until members are in the fleet.
func ready(t *testing.T, members ...*member) {
	t.Helper()
	for _, m := range members {
		fleettest.Eventually(t, 5*time.Second, "connected", func() bool {
			return m.Status().State == fleet.StateConnected.String()
		})
	}
}

func TestSessionGoesWhereTheMostRoomIs(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	host := func(name, pool string) *member {
		h := fleettest.NewHost(name, name, map[string]string{"pool": pool})
		return join(t, s.ClientURL(), fleettest.Identity(t), h)
	}
	busy := host("busy", "cad")
	busy.host.SetPlaces(1)
	idle, other := host("idle", "cad"), host("other", "web")
	ready(t, busy, idle, other)
	gw := ask(t, s)
	// The busy host has a session, and then no room at all.
	if _, err := gw.Place(t.Context(), pool.Wish{Pool: "cad", Select: "name=busy"}); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		p, err := gw.Place(t.Context(), pool.Wish{Pool: "cad", Codec: "H264", Display: "x11", Profile: "1280x720@30"})
		if err != nil || p.Host != idle.Status().ID || p.ID == "" || p.Display != "x11:0" {
			t.Fatalf("placement %d: %+v, %v", i, p, err)
		}
	}
	var full *pool.FullError
	if _, err := gw.Place(t.Context(), pool.Wish{Pool: "cad"}); !errors.As(err, &full) ||
		full.Retry < 2*time.Second || full.Retry > 10*time.Second {
		t.Errorf("a full pool: %v, %+v", err, full)
	}
	if _, err := gw.Place(t.Context(), pool.Wish{Pool: "cad", Codec: "AV1"}); !errors.As(err, &full) {
		t.Errorf("a codec that no host has: %v", err)
	}
	if _, err := gw.Place(t.Context(), pool.Wish{Pool: "nowhere"}); !errors.Is(err, pool.ErrNoHost) {
		t.Errorf("a pool without hosts: %v", err)
	}
	if n := len(other.host.Placed()); n != 0 {
		t.Errorf("%d sessions are in the wrong pool", n)
	}
}

func TestPlacementIsIdempotent(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	var all []*member
	for i := range 3 {
		all = append(all, join(t, s.ClientURL(), fleettest.Identity(t), fleettest.NewHost(fmt.Sprint(i), fmt.Sprint(i), nil)))
	}
	ready(t, all...)
	// Another gateway asks again.
	first, err := ask(t, s).Place(t.Context(), pool.Wish{ID: "order-17"})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		again, err := ask(t, s).Place(t.Context(), pool.Wish{ID: "order-17", Again: true})
		if err != nil || again.Host != first.Host || again.ID != first.ID {
			t.Fatalf("got %+v, %v; want %+v", again, err, first)
		}
	}
	n := 0
	for _, m := range all {
		n += len(m.host.Placed())
	}
	if n != 1 {
		t.Errorf("%d places are reserved; want 1", n)
	}
}

// The answer of a host is lost, and the gateway gives up. When it asks once more, the same host gets the request,
// although it makes no bid by then and another host has room.
func TestUnansweredPlacementIsResumed(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	nc, id := fleettest.Connect(t, s), fleettest.Identity(t).ID()
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	keys := make(chan string, 2)
	heard := func(subject string, f func(*nats.Msg)) *nats.Subscription {
		sub, err := nc.Subscribe(subject, f)
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	bids := heard(bus.SubjectAsk(bus.Any, bus.Any, bus.ShardAll), func(m *nats.Msg) {
		_ = m.Respond(bus.Encode(bus.Bid{Host: id, Boot: "b", Score: 1, Display: "x11:0"}))
	})
	heard(bus.SubjectsServed(id)[0], func(m *nats.Msg) {
		keys <- m.Header.Get("Idempotency-Key")
		if ctx.Err() == nil {
			giveUp()
			return
		}
		for _, part := range bus.Answers(m.Reply, id, http.StatusCreated, http.Header{"Content-Type": {"application/json"}},
			[]byte(`{"id":"place","display":"x11:0"}`)) {
			_ = nc.PublishMsg(part)
		}
	})
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	gw := ask(t, s)
	if p, err := gw.Place(ctx, pool.Wish{ID: "order-17"}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %+v, %v", p, err)
	}
	if err := bids.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	other := join(t, s.ClientURL(), fleettest.Identity(t), fleettest.NewHost("other", "b1", nil))
	ready(t, other)
	p, err := gw.Place(t.Context(), pool.Wish{ID: "order-17", Again: true})
	if err != nil || p.Host != id || <-keys != "order-17" || <-keys != "order-17" {
		t.Errorf("got %+v, %v; want the host %s", p, err, id)
	}
	if list := other.host.Placed(); len(list) > 0 {
		t.Errorf("it is placed twice: %v", list)
	}
}

// Many gateways want more places than there are. Who is refused comes back while there is room: on a busy machine hosts
// may answer too late.
func TestRushPlacesExactlyWhatFits(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	const hosts, places, wishes = 10, 4, 60
	var all []*member
	for i := range hosts {
		m := join(t, s.ClientURL(), fleettest.Identity(t), fleettest.NewHost(fmt.Sprint(i), fmt.Sprint(i), nil))
		m.host.SetPlaces(places)
		all = append(all, m)
	}
	ready(t, all...)
	gw := ask(t, s)
	var (
		mu             sync.Mutex
		placed, refuse int
		wg             sync.WaitGroup
	)
	room := func() bool {
		taken := 0
		for _, m := range all {
			taken += len(m.host.Placed())
		}
		return taken < hosts*places
	}
	for range wishes {
		wg.Go(func() {
			var err error
			for again := true; again; {
				here := room()
				_, err = gw.Place(t.Context(), pool.Wish{})
				_, refused := errors.AsType[*pool.FullError](err)
				again = refused && here && t.Context().Err() == nil
			}
			mu.Lock()
			defer mu.Unlock()
			var full *pool.FullError
			switch {
			case err == nil:
				placed++
			case errors.As(err, &full) && full.Retry > 0:
				refuse++
			default:
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if placed != hosts*places || refuse != wishes-hosts*places {
		t.Errorf("%d placed and %d refused; want %d and %d", placed, refuse, hosts*places, wishes-hosts*places)
	}
}

// length returns the length of an answer of a host.
func length(t *testing.T, c *pool.Client, id, path string) (int64, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://any"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.HTTP(id).Do(r)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	return resp.ContentLength, nil
}

func TestControlAPIOverNATS(t *testing.T) {
	t.Parallel()
	s := fleettest.Server(t, nil)
	a := join(t, s.ClientURL(), fleettest.Identity(t), fleettest.NewHost("a", "b1", map[string]string{"region": "eu"}))
	b := join(t, s.ClientURL(), fleettest.Identity(t), fleettest.NewHost("b", "b2", map[string]string{"region": "us"}))
	ready(t, a, b)
	gw := ask(t, s)
	h, err := gw.Host(a.Status().ID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Host.Get(t.Context())
	if err != nil || got.Name != "a" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := h.Sessions.Get(t.Context(), "x"); client.CodeOf(err) != client.CodeNotFound {
		t.Errorf("an error of the host: %v", err)
	}
	if n, err := length(t, gw, a.Status().ID, "/v1/large"); err != nil || n != 1<<20 {
		t.Errorf("an answer of several parts: %d bytes, %v", n, err)
	}
	if _, err := length(t, gw, "aaaaaaaaaaaaaaaa", "/v1/host"); !errors.Is(err, pool.ErrNoHost) {
		t.Errorf("a host that is not there: %v", err)
	}
	// One panic is one request.
	nc := fleettest.Connect(t, s)
	subject := bus.SubjectAPI(a.Status().ID, bus.Caller{Role: "operator", Name: "gw1"})
	if _, err := nc.RequestMsg(order(t, "GET", "/v1/panic", subject), 300*time.Millisecond); err == nil {
		t.Error("a panic has an answer")
	}
	// An order to a region.
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://any/v1/cordon", strings.NewReader(`{}`))
	list, err := gw.All(t.Context(), r, bus.Selector{"region": "eu"}, []string{a.Status().ID})
	if err != nil || len(list) != 1 || list[0].Host != a.Status().ID || list[0].Status != http.StatusOK {
		t.Errorf("got %+v, %v", list, err)
	}
	if d := a.host.Describe(); d.State != "cordoned" {
		t.Errorf("the host is %s", d.State)
	}
	if calls := b.host.Calls(); len(calls) != 0 {
		t.Errorf("a host of another region got %v", calls)
	}
	if calls := a.host.Calls(); !slices.Contains(calls, "PUT /v1/cordon operator gw1") {
		t.Errorf("the caller is not known: %v", calls)
	}
}

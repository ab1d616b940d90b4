// Package fleettest has a NATS server and a host for tests of fleets.
package fleettest

import (
	"crypto/rand"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Server starts a NATS server on loopback that ends with the test. change may set its options; it may be nil.
func Server(t testing.TB, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true}
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { Stop(s) })
	if !s.ReadyForConnections(5 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

// Stop ends a server, and waits for its end.
func Stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// Connect returns a connection to a server that ends with the test.
func Connect(t testing.TB, s *server.Server, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Identity returns a new identity.
func Identity(t testing.TB) *bus.Identity {
	t.Helper()
	i, _, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// Host is a host for tests: it has a number of places, and the requests of the control API that fleets use.
type Host struct {
	mu          sync.Mutex
	description bus.Description
	places      int
	keys        map[string][]byte // answers of reservations by their key
	calls       []string
}

var _ fleet.Host = (*Host)(nil)

// NewHost returns an active host with 8 places and labels.
func NewHost(name, boot string, labels map[string]string) *Host {
	now := time.Now()
	return &Host{places: 8, keys: make(map[string][]byte), description: bus.Description{
		Name: name, Boot: boot, Labels: labels, State: "active", Reason: "started", Since: now, Started: now,
		APIVersion: "1.0.0", Version: "test", Limit: 8,
		Capacity: []bus.Capacity{{Profile: "1920x1080@60", More: 8}},
	}}
}

// Describe returns the host as others see it.
func (h *Host) Describe() bus.Description {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.description
}

// Change changes the host.
func (h *Host) Change(f func(*bus.Description)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.description)
}

// SetPlaces sets the number of places.
func (h *Host) SetPlaces(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.places = n
}

// Placed returns the keys of the reservations.
func (h *Host) Placed() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.keys))
}

// Calls returns the requests so far: method, path, role and name.
func (h *Host) Calls() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// Room returns the room for a session.
func (h *Host) Room(q bus.Ask) fleet.Room {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := fleet.Room{More: h.places - len(h.keys), Sessions: len(h.keys), Display: "x11:0", Retry: 5 * time.Second}
	switch {
	case h.description.State == "degraded":
		r.Weak = true
	case h.description.State != "active":
		r.Refusal = h.description.State
	case q.Codec != "" && q.Codec != "H264":
		r.Refusal = "no_codec"
	case q.Display != "" && q.Display != "x11":
		r.Refusal = "no_display"
	case r.More < 1:
		r.Refusal = "full"
	}
	return r
}

// Serve answers requests of the control API.
func (h *Host) Serve(w http.ResponseWriter, r *http.Request, c bus.Caller) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, r.Method+" "+r.URL.Path+" "+c.Role+" "+c.Name)
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/reservations":
		h.reserve(w, r)
	case "PUT /v1/cordon":
		h.description.State, h.description.Reason = "cordoned", "requested"
		answer(w, http.StatusOK, bus.Encode(h.description))
	case "PUT /v1/drain":
		h.description.State, h.description.Reason = "draining", "requested"
		answer(w, http.StatusOK, bus.Encode(h.description))
	case "GET /v1/host":
		answer(w, http.StatusOK, bus.Encode(h.description))
	case "GET /v1/large":
		answer(w, http.StatusOK, make([]byte, 1<<20))
	case "GET /v1/panic":
		panic("the barometer fell")
	default:
		problem(w, http.StatusNotFound, "not_found")
	}
}

// reserve answers POST /v1/reservations. The caller holds mu.
func (h *Host) reserve(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	switch before, again := h.keys[key]; {
	case again:
		answer(w, http.StatusCreated, before)
	case h.description.State != "active" && h.description.State != "degraded":
		problem(w, http.StatusServiceUnavailable, "draining")
	case len(h.keys) >= h.places:
		problem(w, http.StatusServiceUnavailable, "full")
	default:
		h.keys[key] = bus.Encode(map[string]any{"id": rand.Text(), "display": "x11:0", "path": "/whep/x11:0"})
		answer(w, http.StatusCreated, h.keys[key])
	}
}

func answer(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", "5")
	w.WriteHeader(status)
	_, _ = w.Write(bus.Encode(map[string]any{"status": status, "code": code, "detail": code}))
}

// Eventually waits until a condition holds.
func Eventually(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %v: %s", limit, what)
		case <-tick.C:
		}
	}
}

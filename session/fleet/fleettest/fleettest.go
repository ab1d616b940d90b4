// Package fleettest has a NATS server and a host for tests of fleets.
package fleettest

import (
	"sync"
	"testing"
	"time"

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

// Host is a host for tests.
type Host struct {
	mu          sync.Mutex
	description bus.Description
}

// NewHost returns an active host with labels.
func NewHost(name, boot string, labels map[string]string) *Host {
	now := time.Now()
	return &Host{description: bus.Description{
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

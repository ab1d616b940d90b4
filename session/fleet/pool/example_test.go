package pool_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// gateway gives users places on the hosts of a pool, and accounts for what they used.
type gateway struct {
	nc    *nats.Conn
	fleet *pool.Client
	// last is the sequence of the last event that is accounted for. A real gateway stores it with its accounts.
	last uint64
}

// connect connects a gateway with the name that its permissions at the NATS servers have.
func connect(servers, name string, options ...nats.Option) (*gateway, error) {
	nc, err := nats.Connect(servers, append(options, nats.CustomInboxPrefix("_INBOX_"+name), nats.MaxReconnects(-1),
		nats.PingInterval(5*time.Second))...) // a silent server is left after 15 s
	if err != nil {
		return nil, err
	}
	c, err := pool.NewClient(nc, bus.Caller{Role: "operator", Name: name})
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &gateway{nc: nc, fleet: c}, nil
}

// place gives a user a place. The order is the gateway's own ID of the request: a repeated order, also at another
// gateway, gets the same place. If the pool is full, retry says when to ask again.
func (g *gateway) place(ctx context.Context, order, user string) (p pool.Place, retry time.Duration, err error) {
	w := pool.Wish{ID: order, Pool: "cad", Codec: "H264", Again: true}
	w.Reservation.Subject, w.Reservation.ExternalID = user, order
	p, err = g.fleet.Place(ctx, w)
	if full, ok := errors.AsType[*pool.FullError](err); ok {
		return p, full.Retry, nil
	}
	return p, 0, err
}

// account follows the events of all hosts from where it was, until ctx ends. f has an event for the accounts.
func (g *gateway) account(ctx context.Context, f func(host, kind string, data json.RawMessage)) error {
	return pool.Events(ctx, g.nc, pool.EventOptions{After: g.last, Since: time.Unix(1, 0)}, func(e pool.Event) error {
		f(e.Host, e.Kind, e.Data)
		g.last = e.Sequence
		return nil
	})
}

// A gateway of a pool of hosts.
func Example_gateway() {
	servers, host, end := exampleFleet()
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	g, err := connect(servers, "gw1") // with nats.UserCredentials("/etc/gateway/gw1.creds")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.nc.Close()
	first, _, err := g.place(ctx, "order-1", "ann")
	fmt.Println("ann:", first.Path, err)
	again, _, err := g.place(ctx, "order-1", "ann")
	fmt.Println("ann again:", again.ID == first.ID, err)
	_, retry, err := g.place(ctx, "order-2", "ben")
	fmt.Println("ben is told when to come back:", retry > 0, err)

	ended := bus.Event{
		Name: host.Status().ID + ".1", Kind: "session_ended", At: time.Now(),
		Data: []byte(`{"id":1,"external_id":"order-1"}`),
	}
	if err := host.Publish(ctx, ended); err != nil { // the host does this
		fmt.Println(err)
	}
	err = g.account(ctx, func(_, kind string, data json.RawMessage) {
		fmt.Println(kind, string(data))
		cancel()
	})
	fmt.Println("last:", g.last, err)
	// Output:
	// ann: /whep/x11:0 <nil>
	// ann again: true <nil>
	// ben is told when to come back: true <nil>
	// session_ended {"id":1,"external_id":"order-1"}
	// last: 1 <nil>
}

// exampleFleet runs a NATS server and a host with one place.
func exampleFleet() (servers string, host *fleet.Agent, end func()) {
	fail := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	folder, err := os.MkdirTemp("", "fleet")
	fail(err)
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: folder,
	})
	fail(err)
	s.Start()
	nc, err := nats.Connect(s.ClientURL())
	fail(err)
	fail(pool.Setup(context.Background(), nc, pool.Streams{}))
	identity, _, err := bus.NewIdentity()
	fail(err)
	h := fleettest.NewHost("rack-7", "boot", map[string]string{"pool": "cad"})
	h.SetPlaces(1)
	host, err = fleet.New(fleet.Config{
		Bus: bus.Config{URL: s.ClientURL(), Identity: identity, Insecure: true}, Serve: h.Serve,
	}, h, slog.New(slog.DiscardHandler))
	fail(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = host.Run(ctx) }()
	for host.Status().State != fleet.StateConnected.String() {
		<-time.After(time.Millisecond)
	}
	return s.ClientURL(), host, func() {
		cancel()
		<-done
		nc.Close()
		fleettest.Stop(s)
		_ = os.RemoveAll(folder)
	}
}

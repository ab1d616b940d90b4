package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The errors of Publish.
var (
	// ErrNoStream means that no stream stores events: nobody has made it, or its servers have no leader.
	ErrNoStream = errors.New("fleet: no stream stores events; \"wavry-host fleet setup\" makes it")
	// ErrDuplicate means that an older host has the same identity.
	ErrDuplicate = errors.New("fleet: another host has the identity of this one")
	// ErrOffline means that the Agent has ended.
	ErrOffline = errors.New("fleet: there is no connection")
)

// storeTimeout bounds the wait until an event is stored.
const storeTimeout = 5 * time.Second

// Publish stores an event in the stream of events. It waits for a connection until ctx ends, and then until the event
// is stored. After an error the event may be stored or not. The stream recognizes a repetition.
func (a *Agent) Publish(ctx context.Context, e bus.Event) error {
	m, err := e.Message(a.cfg.Bus.Identity)
	if err != nil {
		return err
	}
	nc, err := a.online(ctx)
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	_, err = js.PublishMsg(ctx, m, jetstream.WithExpectStream(bus.StreamEvents), jetstream.WithRetryAttempts(0))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return ErrNoStream
	default:
		return fmt.Errorf("fleet: store an event: %w", err)
	}
}

// online returns the connection. It waits for one until ctx ends.
func (a *Agent) online(ctx context.Context) (*nats.Conn, error) {
	for {
		a.mu.Lock()
		nc, ended, news := a.nc, a.ended, a.news
		a.mu.Unlock()
		switch {
		case nc != nil && nc.IsConnected() && a.rivals.silent(time.Now()):
			return nil, ErrDuplicate
		case nc != nil && nc.IsConnected():
			return nc, nil
		case nc == nil && ended:
			return nil, ErrOffline
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// use makes a connection that of the Agent; nil for none.
func (a *Agent) use(nc *nats.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nc = nc
	a.tell()
}

// tell wakes the calls that wait for the connection. The caller holds mu.
func (a *Agent) tell() {
	close(a.news)
	a.news = make(chan struct{})
}

// Reconnect connects once more after the end of Run, so that the last events can be published. It returns after the
// connection was made, or with the error of ctx. The caller calls end.
func (a *Agent) Reconnect(ctx context.Context) (end func(), err error) {
	ready := make(chan struct{}, 1)
	nc, err := a.cfg.Bus.Connect(nats.ConnectHandler(func(*nats.Conn) { ready <- struct{}{} }))
	if err != nil {
		return nil, err
	}
	select {
	case <-ready:
	case <-ctx.Done():
		nc.Close()
		return nil, ctx.Err()
	}
	a.use(nc)
	return func() {
		a.use(nil)
		nc.Close()
	}, nil
}

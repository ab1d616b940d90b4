package pool

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Order is a standing order, with what hosts have answered.
type Order struct {
	bus.Order
	Results []bus.Result
}

// Give makes a request a standing order to all hosts that a selector matches: to the present ones, and to all that come
// until a time. It returns the ID of the order. Orders has the answers.
func (c *Client) Give(ctx context.Context, r *http.Request, s bus.Selector, until time.Time) (id string, err error) {
	body, err := read(r)
	if err != nil {
		return "", err
	}
	m, err := bus.NewOrder(r, body, s, c.caller, until)
	if err != nil {
		return "", err
	}
	js, err := jetstream.New(c.nc)
	if err != nil {
		return "", fmt.Errorf("fleet: %w", err)
	}
	// Hosts listen to the subject, too, so that the publishing alone would not find out.
	if _, err := js.Stream(ctx, bus.StreamOrders); err != nil {
		return "", noStream(bus.StreamOrders, err)
	}
	if _, err := js.PublishMsg(ctx, m, jetstream.WithExpectStream(bus.StreamOrders)); err != nil {
		return "", noStream(bus.StreamOrders, err)
	}
	return m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], nil
}

// noStream explains an error of a stream that does not exist.
func noStream(name string, err error) error {
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrStreamNotFound) ||
		errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("fleet: there is no stream %s; \"wavry-host fleet setup\" makes it: %w", name, err)
	}
	return fmt.Errorf("fleet: stream %s: %w", name, err)
}

// readerLife is how long a server keeps a reader of a stream that reads nothing.
const readerLife = 30 * time.Second

// Orders returns the standing orders that are kept, oldest first. Orders that have expired are among them for a while.
func Orders(ctx context.Context, nc *nats.Conn) ([]Order, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	s, err := js.Stream(ctx, bus.StreamOrders)
	if err != nil {
		return nil, noStream(bus.StreamOrders, err)
	}
	state := s.CachedInfo().State
	if state.Msgs == 0 {
		return nil, nil
	}
	c, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: readerLife, MemoryStorage: true,
	})
	if err != nil {
		return nil, noStream(bus.StreamOrders, err)
	}
	defer func() { _ = s.DeleteConsumer(ctx, c.CachedInfo().Name) }() // else the server does it a little later
	messages, err := c.Messages()
	if err != nil {
		return nil, noStream(bus.StreamOrders, err)
	}
	defer messages.Stop()
	var list []Order
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return list, noStream(bus.StreamOrders, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return list, fmt.Errorf("fleet: %w", err)
		}
		if o, err := bus.ParseOrder(&nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()}); err == nil {
			list = append(list, Order{Order: o})
		} else if r, err := bus.ParseResult(m.Subject(), m.Headers(), m.Data()); err == nil {
			if i := slices.IndexFunc(list, func(o Order) bool { return o.ID == r.Order }); i >= 0 {
				list[i].Results = append(list[i].Results, r)
			}
		}
		if meta.NumPending == 0 {
			return list, nil
		}
	}
}

// Cancel removes a standing order. Hosts that have carried it out keep its effect.
func Cancel(ctx context.Context, nc *nats.Conn, id string) error {
	list, err := Orders(ctx, nc)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(o Order) bool { return o.ID == id })
	if i < 0 {
		return fmt.Errorf("fleet: there is no order %.80q", id)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	s, err := js.Stream(ctx, bus.StreamOrders)
	if err != nil {
		return noStream(bus.StreamOrders, err)
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSubject(bus.SubjectOrder(list[i].Caller, id))); err != nil {
		return noStream(bus.StreamOrders, err)
	}
	return nil
}

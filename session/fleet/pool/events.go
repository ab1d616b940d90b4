package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Event is an event of a host, as the stream has stored it.
type Event struct {
	// Sequence is the number of the event in the stream.
	Sequence uint64 `json:"sequence"`
	bus.Event
}

// EventOptions say which events are followed. The zero options mean all new events of all hosts.
type EventOptions struct {
	// Host is the ID of a host; empty for all. Kind is a kind of events; empty for all.
	Host, Kind string
	// After is the sequence of the last known event: the next one comes first. Since is a time; both are zero for now.
	After uint64
	Since time.Time
}

// retryEvents is the pause after an interruption.
const retryEvents = time.Second

// errInterrupted means that the following ended without fault of the caller.
var errInterrupted = errors.New("fleet: the stream is interrupted")

// Events calls f with the events of hosts, in the order of the stream, until ctx ends or f returns an error. It waits
// for servers that are away, and then continues with the next event. The stream has each event at least once: a known
// Name is a repetition. An event without a valid signature is left out.
func Events(ctx context.Context, nc *nats.Conn, o EventOptions, f func(Event) error) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	s, err := js.Stream(ctx, bus.StreamEvents)
	if err != nil {
		return noStream(bus.StreamEvents, err)
	}
	if o.After == 0 && o.Since.IsZero() {
		o.After = s.CachedInfo().State.LastSeq
	}
	for {
		err := follow(ctx, js, &o, f)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the caller has ended it
		case !errors.Is(err, errInterrupted):
			return err
		}
		pause(ctx, retryEvents)
	}
}

// follow calls f with events until something ends it. It notes in o how far it is.
func follow(ctx context.Context, js jetstream.JetStream, o *EventOptions, f func(Event) error) error {
	cfg := jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{bus.SubjectEvent(cmp.Or(o.Host, "*"), cmp.Or(o.Kind, "*"))},
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy, OptStartSeq: o.After + 1, InactiveThreshold: readerLife,
	}
	if o.After == 0 && !o.Since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartTimePolicy, 0
		cfg.OptStartTime = &o.Since
	}
	c, err := js.OrderedConsumer(ctx, bus.StreamEvents, cfg)
	if err != nil {
		return fmt.Errorf("%w: %w", errInterrupted, err)
	}
	messages, err := c.Messages()
	if err != nil {
		return fmt.Errorf("%w: %w", errInterrupted, err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("%w: %w", errInterrupted, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("fleet: %w", err)
		}
		o.After = meta.Sequence.Stream
		e, err := bus.ParseEvent(m.Subject(), m.Headers(), m.Data())
		if err != nil {
			continue
		}
		if err := f(Event{o.After, e}); err != nil {
			return err
		}
	}
}

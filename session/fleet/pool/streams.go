package pool

import (
	"context"
	"fmt"
	"time"

	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Streams says how the streams of a fleet are stored. Zero fields take their defaults.
type Streams struct {
	// Replicas is the number of servers that store each message. It defaults to 1; a cluster of three takes 3.
	Replicas int
	// EventsAge and EventsBytes bound the stored events: the oldest are removed. They default to 7 days and 1 GiB.
	EventsAge   time.Duration
	EventsBytes int64
}

// duplicates is how long the stream recognizes a repeated event. A host repeats an event as long as it gets no answer,
// and so rarely later.
const duplicates = 10 * time.Minute

// ordersBytes bounds the standing orders with their answers. A full stream refuses orders, and forgets none.
const ordersBytes = 256 << 20

// Setup makes the streams of a fleet, or changes them.
func Setup(ctx context.Context, nc *nats.Conn, s Streams) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	if s.Replicas == 0 {
		s.Replicas = 1
	}
	if s.EventsAge == 0 {
		s.EventsAge = 7 * 24 * time.Hour
	}
	if s.EventsBytes == 0 {
		s.EventsBytes = 1 << 30
	}
	if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: bus.StreamEvents, Description: "Events of all hosts.", Subjects: []string{bus.SubjectEvents},
		Replicas: s.Replicas, MaxAge: s.EventsAge, MaxBytes: s.EventsBytes,
		Duplicates: min(duplicates, s.EventsAge), Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
	}); err != nil {
		return fmt.Errorf("fleet: make the stream %s: %w", bus.StreamEvents, err)
	}
	if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: bus.StreamOrders, Description: "Standing orders, and what hosts have answered.",
		Subjects: []string{bus.SubjectOrders, bus.SubjectResults}, MaxMsgsPerSubject: 1, Replicas: s.Replicas,
		MaxAge: bus.MaxOrderAge, MaxBytes: ordersBytes, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
	}); err != nil {
		return fmt.Errorf("fleet: make the stream %s: %w", bus.StreamOrders, err)
	}
	return nil
}

package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/outbox"
)

// fleetOutboxFile is the file, in the state folder, of events that wait for the fleet.
const fleetOutboxFile = "fleet.jsonl"

// keptEvents returns which events are kept for the fleet of a configuration.
func (f *fleetLink) keptEvents(c *config.Config) outbox.Config {
	if c.Fleet.URL == "" || !c.Fleet.Events {
		return outbox.Config{}
	}
	path := cmp.Or(c.Fleet.OutboxFile, inState(fleetOutboxFile, f.env))
	if c.Fleet.OutboxFile == "" {
		_ = os.MkdirAll(filepath.Dir(path), 0o700) // without it the outbox reports the error
	}
	return outbox.Config{Path: path}
}

// longestEventPause bounds the pauses after failures: a server that lost its leader returns within seconds.
const longestEventPause = 10 * time.Second

// unregister removes the metrics of the outbox.
func (f *fleetLink) unregister() {
	for _, one := range f.met.Collectors() {
		f.reg.Unregister(one)
	}
}

// The results of storing an event.
const (
	eventStored    = "stored"
	eventNoStream  = "no_stream"
	eventDuplicate = "duplicate"
	eventFailed    = "failed"
)

// event counts an attempt to store an event.
func (c *fleetCounters) event(err error) {
	result := eventFailed
	switch {
	case err == nil:
		result = eventStored
	case errors.Is(err, fleet.ErrNoStream):
		result = eventNoStream
	case errors.Is(err, fleet.ErrDuplicate):
		result = eventDuplicate
	}
	c.events.WithLabelValues(result).Inc()
}

// newCourier returns what carries the manager's events to the fleet.
func (f *fleetLink) newCourier(c *config.Config) *outbox.Courier {
	return outbox.New(outbox.Setup{
		Receiver: "fleet", Runbook: "docs/operate/runbooks/fleet.md", From: f.mgr.Journal(), Deliver: f.deliver,
		LongestPause: longestEventPause, Guard: f.mgr.Guard(), Metrics: f.met, Log: f.log,
	}, f.keptEvents(c))
}

// deliver stores an event in the fleet's stream.
func (f *fleetLink) deliver(ctx context.Context, one outbox.Item) error {
	f.mu.Lock()
	agent, counters := f.agent, f.counters
	f.mu.Unlock()
	if agent == nil {
		return fleet.ErrOffline
	}
	err := agent.Publish(ctx, bus.Event{
		Name: one.Name(agent.Status().ID), Kind: one.Kind, At: one.At, Data: one.Data,
	})
	if err == nil || ctx.Err() == nil {
		counters.event(err)
	}
	return err
}

// flush stores the last events, or keeps them for the next daemon. It is called when the other parts have ended.
func (f *fleetLink) flush(ctx context.Context) {
	f.mu.Lock()
	agent := f.agent
	f.mu.Unlock()
	if agent != nil && f.courier.Waiting() > 0 {
		if end, err := agent.Reconnect(ctx); err == nil {
			defer end()
		}
	}
	f.courier.Flush(ctx)
}

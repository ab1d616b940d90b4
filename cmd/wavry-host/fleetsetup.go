package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/pool"
)

// fleetSetupCmd is "wavry-host fleet setup".
type fleetSetupCmd struct {
	Fleet       fleetFlags    `embed:""`
	Replicas    int           `default:"1" placeholder:"N" help:"Servers that store it all, 1 to 5. Default: ${default}."`
	EventsAge   time.Duration `default:"168h" placeholder:"DURATION" help:"How long events are kept. Default: ${default}."`
	EventsBytes int64         `default:"1073741824" placeholder:"BYTES" help:"Most bytes of events. Default: ${default}."`
}

// Run is called by kong.
func (c *fleetSetupCmd) Run(ctx context.Context, a *app) error {
	if c.Replicas < 1 || c.Replicas > 5 || c.EventsAge <= 0 || c.EventsBytes <= 0 {
		return &coded{exitUsage, errors.New("--replicas is 1 to 5, and the bounds of events are above zero")}
	}
	nc, err := c.Fleet.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if err := pool.Setup(ctx, nc, pool.Streams{
		Replicas: c.Replicas, EventsAge: c.EventsAge, EventsBytes: c.EventsBytes,
	}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s has the events of the last %v, and %s the standing orders\n", bus.StreamEvents,
		c.EventsAge, bus.StreamOrders)
	return err
}

// setupTimeout bounds the making of the streams, and the reading of the orders.
const setupTimeout = 20 * time.Second

package kms

import (
	"context"
	"slices"
	"time"
)

// watchInterval is the interval for asking for the outputs. The kernel notices plugs without being asked.
const watchInterval = 2 * time.Second

// Outputs lists the outputs of the helper of a socket.
func Outputs(ctx context.Context, socket string) ([]Output, error) {
	c, err := Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Outputs(ctx)
}

// Watch calls changed with the outputs at once, and after each change, until ctx ends or the helper is lost. It returns
// why.
func Watch(ctx context.Context, socket string, changed func([]Output)) error {
	c, err := Dial(ctx, socket)
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	var last []Output
	for first := true; ; first = false {
		now, err := c.Outputs(ctx)
		if err != nil {
			return err
		}
		if first || !slices.Equal(now, last) {
			last = now
			changed(now)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

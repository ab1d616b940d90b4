package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// drainLook is how often the progress of a drain is looked at.
const drainLook = time.Second

// untilDrained waits until no session is left. It returns an error if the drain is ended before. call sends a request
// to the daemon.
func untilDrained(
	ctx context.Context, call func(ctx context.Context, method, path string, in, out any, text io.Writer) error,
) error {
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for {
		var d struct {
			SessionsLeft int `json:"sessions_left"`
		}
		if err := call(ctx, "GET", "/v1/drain", nil, &d, nil); err != nil {
			return fmt.Errorf("wait for the end of the sessions: %w", err)
		}
		if d.SessionsLeft == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

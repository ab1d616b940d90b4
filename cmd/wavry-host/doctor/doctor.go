// Package doctor checks a host: each check has a finding with evidence and with the command that repairs it.
//
// It knows the machine: limits, memory, clock, control groups, disks, devices, names and addresses. What requires the
// daemon's own parts, such as encoders, is checked by the command.
package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Status is the result of a check.
type Status string

// The results, from good to bad. Skipped checks do not apply to this host.
const (
	OK      Status = "ok"
	Skipped Status = "skipped"
	Warning Status = "warning"
	Failed  Status = "failed"
)

// Finding is what a check found.
type Finding struct {
	Status Status `json:"status"`
	// Evidence says what was seen.
	Evidence string `json:"evidence"`
	// Fix is the command or the change that repairs it. Warnings and failures have one.
	Fix string `json:"fix,omitempty"`
}

// Fine returns the finding that all is well.
func Fine(format string, args ...any) Finding {
	return Finding{Status: OK, Evidence: fmt.Sprintf(format, args...)}
}

// Skip returns the finding that a check does not apply.
func Skip(format string, args ...any) Finding {
	return Finding{Status: Skipped, Evidence: fmt.Sprintf(format, args...)}
}

// Warn returns the finding that something works, but badly or not for long.
func Warn(fix, format string, args ...any) Finding {
	return Finding{Status: Warning, Evidence: fmt.Sprintf(format, args...), Fix: fix}
}

// Fail returns the finding that something does not work.
func Fail(fix, format string, args ...any) Finding {
	return Finding{Status: Failed, Evidence: fmt.Sprintf(format, args...), Fix: fix}
}

// Check is one check. Its ID is stable.
type Check struct {
	ID, Title string
	// Look makes the check. It runs at the same time as the other checks.
	Look func(ctx context.Context) Finding
}

// Result is the finding of a check.
type Result struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Finding
	Seconds float64 `json:"seconds"`
}

// Run makes all checks at the same time, and returns their results in order. A check without a result within the time
// has a warning as its result: its context ends then, and what it says afterwards does not count.
func Run(ctx context.Context, checks []Check, within time.Duration) []Result {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	began := time.Now()
	var mu sync.Mutex // guards results and closed
	closed := false
	results := make([]Result, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		results[i] = Result{
			ID: c.ID, Title: c.Title, Seconds: within.Seconds(),
			Finding: Warn("run it again; if it stays slow, look at the load of the machine: uptime",
				"no result within %v", within),
		}
		all.Go(func() {
			f := look(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			if !closed && ctx.Err() == nil {
				results[i].Finding, results[i].Seconds = f, time.Since(began).Seconds()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	mu.Lock()
	defer mu.Unlock()
	closed = true
	return results
}

// look makes a check. A check that panics has failed; the others go on.
func look(ctx context.Context, c Check) (f Finding) {
	defer func() {
		if p := recover(); p != nil {
			f = Fail("report this as an error of wavry-host", "the check itself panicked: %v", p)
		}
	}()
	return c.Look(ctx)
}

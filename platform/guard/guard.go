// Package guard keeps a panic in one part of the daemon from ending all of it. Every goroutine of a session or a
// display runs under a Guard, and so does every callback from foreign code into a session. A panic there is logged with
// its stack, counted, and becomes an error of that session or display.
//
// A panic leaves locks behind that are not unlocked by a deferred call. Code that can panic while it holds one (calls
// of controllers, encoders, sources, injectors and hooks) unlocks it by defer, therefore.
package guard

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// PanicError is a caught panic.
type PanicError struct {
	// Part names the part in which it was caught.
	Part string
	// Value is the argument of panic.
	Value any
}

func (p *PanicError) Error() string { return fmt.Sprintf("panic in %s: %v", p.Part, p.Value) }

// Guard catches panics. A nil Guard lets them pass.
type Guard struct {
	log    *slog.Logger
	count  func(part string)
	failed func(error)
}

// New returns a Guard. It calls count for each panic, and then failed with a *PanicError; either may be nil.
func New(log *slog.Logger, count func(part string), failed func(error)) *Guard {
	return &Guard{log: log, count: count, failed: failed}
}

// Run calls f and returns a *PanicError if f panics. It does not call failed.
func (g *Guard) Run(part string, f func()) (err error) {
	defer g.Catch(part, &err)
	f()
	return nil
}

// Catch must be deferred: it sets err if the function panics.
func (g *Guard) Catch(part string, err *error) {
	if g == nil {
		return
	}
	if v := recover(); v != nil {
		*err = g.caught(part, v)
	}
}

// Recover must be deferred where no error can be returned: it calls failed.
func (g *Guard) Recover(part string) {
	if g == nil {
		return
	}
	if v := recover(); v != nil {
		err := g.caught(part, v)
		if g.failed != nil {
			g.failed(err)
		}
	}
}

func (g *Guard) caught(part string, v any) error {
	if g.count != nil {
		g.count(part)
	}
	g.log.Error("panic; what it happened in ends", "part", part, "err", fmt.Sprint(v), "stack", string(debug.Stack()))
	return &PanicError{Part: part, Value: v}
}

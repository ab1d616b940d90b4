// Package guard keeps a panic in one part of the daemon from ending all of it. Every goroutine that belongs to a session or a display, and every
// callback in which foreign code calls a session, runs under a Guard: a panic there is logged with its stack, counted, and becomes an error of
// that session or display.
//
// A panic leaves locks behind that are not unlocked by a deferred call. Code that can panic while it holds one (calls of controllers, encoders,
// sources, injectors and hooks) unlocks it by defer, therefore.
package guard

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// PanicError is a panic that was caught.
type PanicError struct {
	// Part names where it was caught.
	Part string
	// Value is what the panic was called with.
	Value any
}

func (p *PanicError) Error() string { return fmt.Sprintf("panic in %s: %v", p.Part, p.Value) }

// Guard catches panics. A nil Guard lets them pass.
type Guard struct {
	log    *slog.Logger
	count  func(part string)
	failed func(error)
}

// New returns a Guard. count is called for each panic, and failed after that with a *PanicError; either may be nil.
func New(log *slog.Logger, count func(part string), failed func(error)) *Guard {
	return &Guard{log: log, count: count, failed: failed}
}

// Run calls f and returns a *PanicError when that panics. Nobody else is told.
func (g *Guard) Run(part string, f func()) (err error) {
	defer g.Catch(part, &err)
	f()
	return nil
}

// Catch is to be deferred: it sets err when the function panics.
func (g *Guard) Catch(part string, err *error) {
	if g == nil {
		return
	}
	if v := recover(); v != nil {
		*err = g.caught(part, v)
	}
}

// Recover is to be deferred where no error can be returned: whoever made the Guard is told.
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

// Package floortest has an injector for tests.
package floortest

import (
	"context"
	"fmt"
	"sync"
)

// Keyboard is an Injector that records what it is given.
type Keyboard struct {
	mu   sync.Mutex
	did  []string
	held map[string]bool

	// Opened and Closed count how often it was opened, and closed. Lost is what Losses returns. Full is nil while there is
	// room, or is closed once there is. Set sets them.
	Opened, Closed int
	Lost           uint64
	Full           chan struct{}
}

// Wait implements floor.Injector.
func (k *Keyboard) Wait(ctx context.Context) error {
	k.mu.Lock()
	full := k.Full
	k.mu.Unlock()
	if full == nil {
		return nil
	}
	select {
	case <-full:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Losses implements floor.Injector.
func (k *Keyboard) Losses() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.Lost
}

// Set calls change while nothing else uses k.
func (k *Keyboard) Set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func (k *Keyboard) note(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.did = append(k.did, what)
}

func (k *Keyboard) press(what string, pressed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if pressed {
		k.held[what] = true
		k.did = append(k.did, what+" down")
	} else {
		delete(k.held, what)
		k.did = append(k.did, what+" up")
	}
}

// Move implements floor.Injector.
func (k *Keyboard) Move(x, y float64) { k.note(fmt.Sprintf("move %v %v", x, y)) }

// MoveBy implements floor.Injector.
func (k *Keyboard) MoveBy(dx, dy float64) { k.note(fmt.Sprintf("move by %v %v", dx, dy)) }

// Button implements floor.Injector.
func (k *Keyboard) Button(n uint32, down bool) { k.press(fmt.Sprintf("button %d", n), down) }

// Key implements floor.Injector.
func (k *Keyboard) Key(code uint32, down bool, letter rune, locks uint8) {
	what := fmt.Sprintf("key %d", code)
	if down && (letter != 0 || locks != 0) {
		k.note(fmt.Sprintf("%s is %q, locks %d", what, letter, locks))
	}
	k.press(what, down)
}

// Text implements floor.Injector.
func (k *Keyboard) Text(text string) { k.note("text " + text) }

// Scroll implements floor.Injector.
func (k *Keyboard) Scroll(dx, dy float64) { k.note(fmt.Sprintf("scroll %v %v", dx, dy)) }

// Run implements floor.Injector.
func (k *Keyboard) Run(ctx context.Context) error {
	<-ctx.Done()
	k.Release()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Closed++
	return nil
}

// Release implements floor.Injector.
func (k *Keyboard) Release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.held) > 0 {
		k.did = append(k.did, "release")
	}
	clear(k.held)
}

// Holding implements floor.Injector.
func (k *Keyboard) Holding() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.held) > 0
}

// Err implements floor.Injector.
func (k *Keyboard) Err() error { return nil }

// Got returns what was done since the last time.
func (k *Keyboard) Got() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	did := k.did
	k.did = nil
	return did
}

// Open makes it ready for input, with nothing held.
func (k *Keyboard) Open() *Keyboard {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Opened++
	k.held = map[string]bool{}
	return k
}

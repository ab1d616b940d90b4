package auth

import (
	"sync"
	"time"
)

// Pass is what the token of a viewer allows: one session, which an operator has reserved or opened for that viewer.
// Its methods may be called from several goroutines.
type Pass struct {
	// Display is the display of the session. Reservation is the ID of its reservation; empty if the operator opened the
	// session.
	Display, Reservation string

	by Principal // the operator
	// until is the end of a probe's pass. It is zero for viewers.
	until time.Time

	mu      sync.Mutex // guards all following fields
	spent   bool
	session string
}

// Spend begins to use the pass, and reports whether it was unused.
func (p *Pass) Spend() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.spent
	p.spent = true
	return !was
}

// Return makes the pass unused again: its session was not opened.
func (p *Pass) Return() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent = false
}

// Keep notes the session that the pass was used for.
func (p *Pass) Keep(session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent, p.session = true, session
}

// Opening reports whether the session of the pass is being opened.
func (p *Pass) Opening() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spent && p.session == ""
}

// Session returns the ID of the session that the pass was used for; empty before.
func (p *Pass) Session() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session
}

// Waiting reports whether a probe may still use the pass.
func (p *Pass) Waiting(now time.Time) bool { return now.Before(p.until) }

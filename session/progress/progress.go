// Package progress knows whether the loops of the daemon finish what they begin. A loop reports the begin and the end
// of each step of its work. A loop without work waits outside a step, so waiting is not a fault.
package progress

import (
	"sync"
	"sync/atomic"
	"time"
)

// Limit is the time after which a step counts as stalled. The longest regular step opens an encoder: 5 s.
const Limit = 8 * time.Second

// The kinds of loops.
const (
	API      = "api"      // answers requests
	Capture  = "capture"  // hands captured pictures to the encodings
	Encode   = "encode"   // encodes pictures
	Gateway  = "gateway"  // handles messages of the gateway
	Send     = "send"     // sends packets
	Sessions = "sessions" // looks after sessions and their deadlines
)

// Kinds lists the kinds of loops.
func Kinds() []string { return []string{API, Capture, Encode, Gateway, Send, Sessions} }

// Board has the loops that run. A nil Board has none, and its loops report to nobody.
type Board struct {
	mu    sync.Mutex // guards loops
	loops map[*Loop]struct{}
}

// New returns a Board without loops.
func New() *Board { return &Board{loops: make(map[*Loop]struct{})} }

// Loop is one loop. Its methods do not block.
type Loop struct {
	board *Board
	kind  string
	of    string
	since atomic.Int64 // the begin of the step, in nanoseconds of Unix time; 0 between steps
}

// Loop adds a loop of one of Kinds. of is the ID of the session or display that it works for, empty for neither. The
// caller must Close it when the loop ends.
func (b *Board) Loop(kind, of string) *Loop {
	l := &Loop{board: b, kind: kind, of: of}
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.loops[l] = struct{}{}
	}
	return l
}

// Step runs a step of the loop.
func (l *Loop) Step(f func()) {
	l.since.Store(time.Now().UnixNano())
	defer l.since.Store(0)
	f()
}

// Close removes the loop.
func (l *Loop) Close() {
	if l.board == nil {
		return
	}
	l.board.mu.Lock()
	defer l.board.mu.Unlock()
	delete(l.board.loops, l)
}

// Stall is a step that takes longer than Limit.
type Stall struct {
	Kind string // of the loop
	Of   string // the ID of its session or display, empty for neither
	Took time.Duration
}

// Stalls returns the steps under way that take longer than Limit.
func (b *Board) Stalls(now time.Time) (list []Stall) {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.loops {
		if since := l.since.Load(); since != 0 {
			if took := now.Sub(time.Unix(0, since)); took > Limit {
				list = append(list, Stall{Kind: l.kind, Of: l.of, Took: took})
			}
		}
	}
	return list
}

// Longest returns the time since the begin of the longest step under way, by kind. Kinds without one are absent.
func (b *Board) Longest(now time.Time) map[string]time.Duration {
	longest := make(map[string]time.Duration)
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.loops {
		if since := l.since.Load(); since != 0 {
			longest[l.kind] = max(longest[l.kind], now.Sub(time.Unix(0, since)))
		}
	}
	return longest
}

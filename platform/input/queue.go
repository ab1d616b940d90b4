package input

import (
	"sync"
	"time"
)

const (
	// queueLength is the number of commands that may wait. A working display takes them within a millisecond. Callers
	// with more input wait for room.
	queueLength = 256
	// maxNotches bounds the waiting turns of the wheel.
	maxNotches = 100
	// maxMotion bounds a motion, in pixels. Requests of X have 16 bits for it, with a sign.
	maxMotion = 32000
)

// kind is the kind of a command.
type kind uint8

const (
	move kind = iota
	motion
	button
	key
	scroll
	typing
	release
)

// command is one input command.
type command struct {
	kind    kind
	code    uint32 // of a button, or the Linux code of a key
	pressed bool
	letter  rune   // that a key types, or 0
	locks   uint8  // see LocksKnown
	text    string // to type
	x, y    float64
	at      time.Time
}

// queue holds the commands that the display must still execute. A position replaces a position at the end. Motions, and
// turns of the wheel in one direction, add up there. Buttons and keys keep their order and are never left out. Callers
// wait for room. If one does not, and there is no room, all waiting commands are dropped and everything is released, so
// that no key can stay down.
type queue struct {
	mu     sync.Mutex
	list   []command
	spare  []command
	down   map[press]struct{} // what is pressed at the end of the list
	closed bool               // the display is out of reach
	lost   uint64             // how often the waiting commands were dropped
	more   chan struct{}      // closed when there is room; nil while no caller waits
}

type press struct {
	kind kind
	code uint32
}

func newQueue() queue { return queue{down: make(map[press]struct{})} }

// put adds a command. It returns the number of dropped commands, and why.
func (q *queue) put(c command) (lost int, why string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := press{c.kind, c.code}
	_, down := q.down[p]
	switch {
	case c.kind == release:
		clear(q.down)
		if q.closed {
			return 0, ""
		}
	case q.closed:
		return 1, lostUnavailable
	case c.kind == button, c.kind == key:
		if c.pressed == down {
			return 0, ""
		}
	case c.kind == scroll:
		c.x, c.y = within(maxNotches, c.x), within(maxNotches, c.y)
	case c.kind == motion:
		c.x, c.y = within(maxMotion, c.x), within(maxMotion, c.y)
	}
	if n := len(q.list); n > 0 && q.list[n-1].kind == c.kind {
		last := &q.list[n-1]
		switch c.kind {
		case move:
			last.x, last.y = c.x, c.y // it keeps its time, since when input has waited
			return 0, ""
		case scroll:
			if last.x*c.x >= 0 && last.y*c.y >= 0 {
				last.x, last.y = within(maxNotches, last.x+c.x), within(maxNotches, last.y+c.y)
				return 0, ""
			} // else another command: a turn back drops the part of a notch that is left
		case motion:
			if x, y := last.x+c.x, last.y+c.y; x == within(maxMotion, x) && y == within(maxMotion, y) {
				last.x, last.y = x, y
				return 0, ""
			} // else another command, so that nothing is lost
		case release:
			return 0, ""
		default: // each press counts
		}
	}
	if len(q.list) >= queueLength && c.kind != release { // a release finds room: at most one is between two others
		lost = len(q.list) + 1
		q.lost++
		q.list = append(q.list[:0], command{kind: release, at: c.at})
		clear(q.down)
		return lost, lostOverflow
	}
	switch {
	case c.kind != button && c.kind != key:
	case c.pressed:
		q.down[p] = struct{}{}
	default:
		delete(q.down, p)
	}
	q.list = append(q.list, c)
	return 0, ""
}

// within returns the number nearest to f between -limit and limit.
func within(limit, f float64) float64 { return max(-limit, min(limit, f)) }

// take returns the waiting commands. They are valid until the next call.
func (q *queue) take() []command {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list, q.spare = q.spare[:0], list
	q.freed()
	return list
}

// freed tells waiting callers that there is room. The caller holds mu.
func (q *queue) freed() {
	if q.more != nil {
		close(q.more)
		q.more = nil
	}
}

// room returns nil if there is room for a command, else a channel that is closed when there is.
func (q *queue) room() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.list) < queueLength {
		return nil
	}
	if q.more == nil {
		q.more = make(chan struct{})
	}
	return q.more
}

// losses counts how often the waiting commands were dropped.
func (q *queue) losses() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

// stop makes the queue refuse everything, and returns the number of lost commands.
func (q *queue) stop() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.list)
	q.closed, q.list = true, q.list[:0]
	q.lost++
	clear(q.down)
	q.freed()
	return n
}

func (q *queue) start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = false
}

func (q *queue) holding() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.down) > 0
}

package input

import (
	"math"
	"sync"
	"time"
)

const (
	// queueLength is how many commands may wait. A display that works takes them within a millisecond; whoever has more to give waits for room.
	queueLength = 256
	// maxNotches is how far the wheel may be turned by what waits.
	maxNotches = 100
	// roundOff is what three thirds of a notch may lack of a whole one.
	roundOff = 1e-3
)

// kind is what a command is about.
type kind uint8

const (
	move kind = iota
	button
	key
	scroll
	release
)

// command is one thing to do.
type command struct {
	kind    kind
	code    byte // the server's number of a button or key
	pressed bool
	x, y    float64
	at      time.Time
}

// queue holds what the display has still to do. A position replaces the one that waits at its end, and turns of the wheel add up there;
// buttons and keys keep their order and are never left out. Whoever puts something in waits for room before; when one does not, and there is
// none, all that waits is dropped and everything is released, so that no key can stay down.
type queue struct {
	mu     sync.Mutex
	list   []command
	spare  []command
	down   map[press]struct{} // what is pressed once the list is done
	x, y   float64            // parts of a notch that are left
	closed bool               // the display is out of reach
	lost   uint64             // how often what waited was given up
	more   chan struct{}      // closed when there is room; nil while nobody waits for it
}

type press struct {
	kind kind
	code byte
}

func newQueue() queue { return queue{down: make(map[press]struct{})} }

// put adds a command and returns how many are lost for it, and why.
func (q *queue) put(c command) (lost int, why string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := press{c.kind, c.code}
	_, down := q.down[p]
	switch {
	case c.kind == release:
		clear(q.down)
		q.x, q.y = 0, 0
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
		if c.x, c.y = q.notches(c.x, c.y); c.x == 0 && c.y == 0 {
			return 0, ""
		}
	}
	if n := len(q.list); n > 0 && q.list[n-1].kind == c.kind {
		last := &q.list[n-1]
		switch c.kind {
		case move:
			last.x, last.y = c.x, c.y // it keeps its time: somebody waits since then
			return 0, ""
		case scroll:
			last.x = max(-maxNotches, min(maxNotches, last.x+c.x))
			last.y = max(-maxNotches, min(maxNotches, last.y+c.y))
			return 0, ""
		case release:
			return 0, ""
		default: // each press counts
		}
	}
	if len(q.list) >= queueLength && c.kind != release { // a release finds room: there is one at most between two others
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

// notches adds up parts of notches and returns whole ones. Who turns the wheel back does not have to undo the rest first.
func (q *queue) notches(dx, dy float64) (x, y float64) {
	one := func(rest *float64, d float64) float64 {
		if *rest*d < 0 {
			*rest = 0
		}
		sum := max(-maxNotches, min(maxNotches, *rest+d))
		whole := math.Trunc(sum + math.Copysign(roundOff, sum))
		*rest = sum - whole
		return whole
	}
	return one(&q.x, dx), one(&q.y, dy)
}

// take returns what waits. It is valid until the next call.
func (q *queue) take() []command {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list, q.spare = q.spare[:0], list
	q.freed()
	return list
}

// freed tells those who wait that there is room. The caller holds mu.
func (q *queue) freed() {
	if q.more != nil {
		close(q.more)
		q.more = nil
	}
}

// room returns nil when there is room for a command, else what is closed once there is.
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

// losses returns how often what waited was given up.
func (q *queue) losses() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

// stop makes the queue refuse everything, and returns how many commands are lost.
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

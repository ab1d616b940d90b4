package simulate

import (
	"math/rand/v2"
	"time"
)

// epoch is when simulations begin, by the sender's clock.
var epoch = time.Unix(1_700_000_000, 0)

// actor is whom events happen to.
type actor interface {
	fire(what int, p *packet)
}

type event struct {
	at   time.Duration
	seq  uint64 // events of one moment happen in the order they were made
	who  actor
	what int
	p    *packet
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// events is a heap, the next event first.
type events []event

func (e *events) push(one event) {
	h := append(*e, one)
	*e = h
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (e *events) pop() event {
	h := *e
	top, n := h[0], len(h)-1
	h[0] = h[n]
	h[n] = event{}
	h = h[:n]
	*e = h
	for i := 0; ; {
		next := 2*i + 1
		if next+1 < n && h[next+1].before(&h[next]) {
			next++
		}
		if next >= n || !h[next].before(&h[i]) {
			return top
		}
		h[i], h[next] = h[next], h[i]
		i = next
	}
}

// newRandom returns the random numbers of a seed.
func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5eed)) }

// world is one simulation under way.
type world struct {
	now    time.Duration
	events events
	seq    uint64
	random *rand.Rand
	seed   uint64
	// inStep is for controllers that read the machine's clock: nothing happens before its time.
	inStep bool
}

// after makes something happen to who in d from now.
func (w *world) after(d time.Duration, who actor, what int, p *packet) {
	w.seq++
	w.events.push(event{at: w.now + max(d, 0), seq: w.seq, who: who, what: what, p: p})
}

// run lets everything happen until the end.
func (w *world) run(until time.Duration) {
	begun := time.Now() //nolint:forbidigo // to keep step with controllers that read the clock themselves
	for len(w.events) > 0 {
		e := w.events.pop()
		if e.at > until {
			return
		}
		if w.inStep {
			time.Sleep(e.at - time.Since(begun)) //nolint:forbidigo // as above
		}
		w.now = e.at
		e.who.fire(e.what, e.p)
	}
}

// clock returns the time now, by the sender's clock.
func (w *world) clock() time.Time { return epoch.Add(w.now) }

// packet is one packet on its way over the links of a route.
type packet struct {
	size     int
	flow     int // whose it is, for queues that tell them apart
	route    []*link
	hop      int
	to       actor
	what     int // told to the receiver with it
	queue    time.Duration
	queuedAt time.Duration // on the link that it is at

	id      uint64 // of media: as the controller counts it
	sent    time.Duration
	padding bool
	probe   int
	frame   int  // of media: the frame it belongs to, from 0
	key     bool // of media: a keyframe begins with it
	again   bool
	number  int64 // of media: in its stream; of TCP: the segment, or what is acknowledged
	report  *report
	asks    []int64 // numbers of media
	spans   []span  // of TCP: received out of order
}

// send puts a packet on the first link of its route.
func (w *world) send(p *packet) {
	p.hop, p.queue = 0, 0
	w.forward(p)
}

func (w *world) forward(p *packet) {
	if p.hop == len(p.route) {
		w.after(0, p.to, p.what, p)
		return
	}
	p.route[p.hop].carry(p)
}

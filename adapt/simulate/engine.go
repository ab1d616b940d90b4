package simulate

import (
	"container/heap"
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

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
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
	heap.Push(&w.events, event{at: w.now + max(d, 0), seq: w.seq, who: who, what: what, p: p})
}

// run lets everything happen until the end.
func (w *world) run(until time.Duration) {
	begun := time.Now() //nolint:forbidigo // to keep step with controllers that read the clock themselves
	for len(w.events) > 0 {
		e := heap.Pop(&w.events).(event)
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
	size  int
	route []*link
	hop   int
	to    actor
	what  int // told to the receiver with it
	queue time.Duration

	id      uint64 // of media: as the controller counts it
	sent    time.Duration
	padding bool
	probe   int
	frame   int // of media: the frame it belongs to, from 0
	again   bool
	number  int64 // of media: in its stream; of TCP: the segment, or what is acknowledged
	report  *report
	asks    []int64 // numbers of media
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

package simulate

import (
	"math"
	"sort"
	"time"
)

// Step is a capacity from a moment on.
type Step struct {
	At            time.Duration
	BitsPerSecond float64
}

// Capacity is what a link carries over time: steps in the order of time, the first of which also holds before it. A
// capacity of 0 carries nothing until the next step.
type Capacity []Step

// Constant is a capacity that does not change.
func Constant(bitsPerSecond float64) Capacity { return Capacity{{0, bitsPerSecond}} }

// Scaled returns the capacities ref times each ratio, as RFC 8867 writes them.
func Scaled(ref float64, steps ...Step) Capacity {
	c := make(Capacity, len(steps))
	for i, s := range steps {
		c[i] = Step{s.At, ref * s.BitsPerSecond}
	}
	return c
}

// at returns the index of the step that holds at a moment.
func (c Capacity) at(t time.Duration) int {
	return max(0, sort.Search(len(c), func(i int) bool { return c[i].At > t })-1)
}

// Rate returns the bits per second at a moment.
func (c Capacity) Rate(t time.Duration) float64 { return c[c.at(t)].BitsPerSecond }

// Bits returns how many bits are carried between two moments, none beyond most per second counted.
func (c Capacity) Bits(from, to time.Duration, most float64) float64 {
	bits := 0.0
	for i := c.at(from); i < len(c) && from < to; i++ {
		end := to
		if i+1 < len(c) {
			end = min(end, c[i+1].At)
		}
		bits += min(c[i].BitsPerSecond, most) * (end - from).Seconds()
		from = end
	}
	return bits
}

// never is when a link without capacity ends carrying.
const never = time.Duration(math.MaxInt64 / 4)

// finish returns when bits are carried that begin at a moment.
func (c Capacity) finish(from time.Duration, bits float64) time.Duration {
	for i := c.at(from); ; i++ {
		rate := c[i].BitsPerSecond
		if i+1 == len(c) {
			if rate <= 0 {
				return never
			}
			return from + time.Duration(bits/rate*float64(time.Second))
		}
		could := rate * (c[i+1].At - from).Seconds()
		if could >= bits && rate > 0 {
			return from + time.Duration(bits/rate*float64(time.Second))
		}
		bits -= could
		from = c[i+1].At
	}
}

// Link is one way of a bottleneck.
type Link struct {
	Capacity Capacity
	// Queue is how much the queue holds, as time at the highest capacity: a buffer has bytes, and where the capacity
	// falls they take longer. QueueBytes, when not 0, is the same in bytes.
	Queue      time.Duration
	QueueBytes int
	AQM        AQM
	Delay      time.Duration // of propagation
	// Jitter is the standard deviation of the delay added to a packet, normal, positive, cut at three of them, and
	// without reordering (RFC 8868, section 4.2.1).
	Jitter time.Duration
	// Bunch, when not 0, lets packets out together, at random from the first to the second time apart, as the
	// aggregation of Wi-Fi does.
	Bunch [2]time.Duration
	// Loss is the fraction lost at random. With Burst above 1, losses come in bursts of that mean length (Gilbert).
	Loss, Burst float64
	// Reorder is the fraction held back by ReorderBy, and overtaken.
	Reorder   float64
	ReorderBy time.Duration
	// Police, when not 0, drops what exceeds this rate in bits per second and a bucket of PoliceBurst bytes, or of
	// PoliceFor at that rate.
	Police      float64
	PoliceBurst int
	PoliceFor   time.Duration
}

// Room returns how many bytes the queue holds, two packets at least: one too short for that carries nothing.
func (l Link) Room() int {
	if l.QueueBytes > 0 {
		return l.QueueBytes
	}
	highest := 0.0
	for _, s := range l.Capacity {
		highest = max(highest, s.BitsPerSecond)
	}
	return max(int(l.Queue.Seconds()*highest/8), 2*1500)
}

// bucket returns how many bytes the policer lets through at once, a packet at least.
func (l Link) bucket() float64 {
	return max(float64(l.PoliceBurst), l.Police/8*l.PoliceFor.Seconds(), 1500)
}

// link is a Link at work.
type link struct {
	Link
	w        *world
	room     int
	busy     bool
	queued   int // bytes
	fifo     lane
	fair     fair
	pie      pie
	newest   time.Duration // the latest arrival so far
	released time.Duration // when the newest bunch leaves
	bad      bool          // in a burst of losses
	tokens   float64
	tokensAt time.Duration
}

const (
	linkSent = iota
	linkArrives
	linkTimer
)

func newLink(l Link, w *world) *link {
	k := &link{Link: l, w: w, room: l.Room(), tokens: l.bucket()}
	k.fair.flows = map[int]*lane{}
	if l.AQM == PIE {
		k.pie.allowance = pieBurst
		w.after(pieEvery, k, linkTimer, nil)
	}
	return k
}

// carry takes a packet in, or drops it.
func (l *link) carry(p *packet) {
	p.queuedAt = l.w.now
	full := l.queued > 0 && l.queued+p.size > l.room
	switch {
	case l.Police > 0 && !l.conforms(p.size), l.lost(), full && l.AQM != FQCoDel,
		l.AQM == PIE && l.pie.drops(l.queued, l.w.random.Float64()):
		l.drop(p)
		return
	}
	l.queued += p.size
	if l.AQM == FQCoDel {
		l.fair.push(p)
	} else {
		l.fifo.push(p)
	}
	if full {
		l.discard(l.fair.longest())
	}
	if !l.busy {
		l.serve()
	}
}

// serve begins to send the next packet.
func (l *link) serve() {
	var p *packet
	switch l.AQM {
	case CoDel:
		p = l.fifo.codel(l.w.now, l.discard)
	case FQCoDel:
		p = l.fair.pop(l.w.now, l.discard)
	default:
		p = l.fifo.pop()
	}
	if l.busy = p != nil; l.busy {
		p.queue += l.w.now - p.queuedAt
		l.w.after(l.Capacity.finish(l.w.now, float64(p.size)*8)-l.w.now, l, linkSent, p)
	}
}

func (l *link) fire(what int, p *packet) {
	switch what {
	case linkSent:
		l.queued -= p.size
		l.propagate(p)
		l.serve()
	case linkArrives:
		p.hop++
		l.w.forward(p)
	case linkTimer:
		l.pie.update(l.delay())
		l.w.after(pieEvery, l, linkTimer, nil)
	}
}

// delay is how long the queue takes to be sent.
func (l *link) delay() time.Duration {
	if rate := l.Capacity.Rate(l.w.now); rate > 0 {
		return time.Duration(float64(l.queued) * 8 / rate * float64(time.Second))
	}
	return l.pie.delay + pieEvery // it stands
}

// propagate lets a packet that was sent arrive.
func (l *link) propagate(p *packet) {
	now := l.w.now
	left := now
	if l.Bunch[1] > 0 {
		for l.released < now {
			least := max(l.released, now-l.Bunch[1]) + l.Bunch[0]
			l.released = least + time.Duration(l.w.random.Float64()*float64(l.Bunch[1]-l.Bunch[0]))
		}
		left = l.released
		p.queue += left - now
	}
	arrival := left + l.Delay
	if l.Jitter > 0 {
		arrival += time.Duration(min(math.Abs(l.w.random.NormFloat64()), 3) * float64(l.Jitter))
	}
	if l.Reorder > 0 && l.w.random.Float64() < l.Reorder {
		arrival += l.ReorderBy
	} else {
		arrival = max(arrival, l.newest)
		l.newest = arrival
	}
	l.w.after(arrival-now, l, linkArrives, p)
}

// discard drops a packet that was queued.
func (l *link) discard(p *packet) {
	l.queued -= p.size
	l.drop(p)
}

func (l *link) drop(p *packet) {
	switch to := p.to.(type) {
	case *media:
		if p.what == mediaArrive {
			to.result.Packets[p.id-1].Lost = true
		}
	case *parcel:
		to.live.dropped++
	}
}

func (l *link) lost() bool {
	if l.Loss <= 0 {
		return false
	}
	if l.Burst <= 1 {
		return l.w.random.Float64() < l.Loss
	}
	// Of two states the bad one loses all: it is left with 1/Burst, and entered so often that Loss is lost in the
	// mean.
	leaveBad := 1 / l.Burst
	enterBad := leaveBad * l.Loss / (1 - l.Loss)
	if l.bad {
		l.bad = l.w.random.Float64() >= leaveBad
	} else {
		l.bad = l.w.random.Float64() < enterBad
	}
	return l.bad
}

func (l *link) conforms(size int) bool {
	now := l.w.now
	l.tokens = min(l.bucket(), l.tokens+l.Police/8*(now-l.tokensAt).Seconds())
	l.tokensAt = now
	if l.tokens < float64(size) {
		return false
	}
	l.tokens -= float64(size)
	return true
}

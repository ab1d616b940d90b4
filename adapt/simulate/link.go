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

// Capacity is what a link carries over time: steps in the order of time, the first of which also holds before it. A capacity
// of 0 carries nothing until the next step.
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
	// Queue is how much the queue holds, as time at the capacity of the moment; QueueBytes, when not 0, in bytes instead.
	Queue      time.Duration
	QueueBytes int
	Delay      time.Duration // of propagation
	// Jitter is the standard deviation of the delay added to a packet, normal, positive, cut at three of them, and without
	// reordering (RFC 8868, section 4.2.1).
	Jitter time.Duration
	// Loss is the fraction lost at random. With Burst above 1, losses come in bursts of that mean length (Gilbert).
	Loss, Burst float64
	// Reorder is the fraction held back by ReorderBy, and overtaken.
	Reorder   float64
	ReorderBy time.Duration
	// Police, when not 0, drops what exceeds this rate in bits per second and a bucket of PoliceBurst bytes.
	Police      float64
	PoliceBurst int
}

// link is a Link at work.
type link struct {
	Link
	w        *world
	free     time.Duration // when all that is queued has left
	leaves   []leave       // of the packets in the queue
	queued   int           // bytes
	newest   time.Duration // the latest arrival so far
	nominal  float64       // the capacity that the queue is measured by
	bad      bool          // in a burst of losses
	tokens   float64
	tokensAt time.Duration
}

type leave struct {
	at   time.Duration
	size int
}

// carry takes a packet in, or drops it.
func (l *link) carry(p *packet) {
	now := l.w.now
	if l.Police > 0 && !l.conforms(p.size) || l.lost() {
		l.drop(p)
		return
	}
	i := 0
	for i < len(l.leaves) && l.leaves[i].at <= now {
		l.queued -= l.leaves[i].size
		i++
	}
	l.leaves = l.leaves[i:]
	wait := max(0, l.free-now)
	room := l.QueueBytes
	if room == 0 {
		if rate := l.Capacity.Rate(now); rate > 0 { // a link that is down keeps its queue
			l.nominal = rate
		}
		room = int(l.Queue.Seconds() * l.nominal / 8)
		room = max(room, 2*1500) // a queue too short for two packets carries nothing
	}
	if l.queued > 0 && l.queued+p.size > room {
		l.drop(p)
		return
	}
	start := max(now, l.free)
	l.free = l.Capacity.finish(start, float64(p.size)*8)
	l.queued += p.size
	l.leaves = append(l.leaves, leave{l.free, p.size})
	p.queue += wait
	arrival := l.free + l.Delay
	if l.Jitter > 0 {
		arrival += time.Duration(min(math.Abs(l.w.random.NormFloat64()), 3) * float64(l.Jitter))
	}
	if l.Reorder > 0 && l.w.random.Float64() < l.Reorder {
		arrival += l.ReorderBy
	} else {
		arrival = max(arrival, l.newest)
		l.newest = arrival
	}
	l.w.after(arrival-now, l, 0, p)
}

// fire lets a packet arrive at the end of the link.
func (l *link) fire(_ int, p *packet) {
	p.hop++
	l.w.forward(p)
}

func (l *link) drop(p *packet) {
	if m, ok := p.to.(*media); ok && p.what == mediaArrive {
		m.result.Packets[p.id-1].Lost = true
	}
}

func (l *link) lost() bool {
	if l.Loss <= 0 {
		return false
	}
	if l.Burst <= 1 {
		return l.w.random.Float64() < l.Loss
	}
	// Of two states the bad one loses all: it is left with 1/Burst, and entered so often that Loss is lost in the mean.
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
	if l.tokensAt == 0 && l.tokens == 0 {
		l.tokens = float64(l.PoliceBurst)
	}
	l.tokens = min(float64(l.PoliceBurst), l.tokens+l.Police/8*(now-l.tokensAt).Seconds())
	l.tokensAt = now
	if l.tokens < float64(size) {
		return false
	}
	l.tokens -= float64(size)
	return true
}

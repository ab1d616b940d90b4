package simulate

import (
	"math"
	"time"
)

// AQM is how a queue is managed.
type AQM uint8

const (
	// DropTail drops what does not fit.
	DropTail AQM = iota
	// CoDel is RFC 8289.
	CoDel
	// FQCoDel is RFC 8290.
	FQCoDel
	// PIE is RFC 8033.
	PIE
)

// The constants of RFC 8289, section 4.4, and of RFC 8290, section 5.2.
const (
	codelTarget   = 5 * time.Millisecond
	codelInterval = 100 * time.Millisecond
	quantum       = 1514 // bytes
)

// lane is a queue of packets, and what CoDel knows of it.
type lane struct {
	packets []*packet
	bytes   int
	// Of fq_codel:
	deficit int
	listed  bool
	// Of CoDel, by the names of RFC 8289, section 5:
	firstAbove, dropNext time.Duration
	dropping             bool
	count, lastCount     int
}

func (q *lane) push(p *packet) {
	q.packets = append(q.packets, p)
	q.bytes += p.size
}

func (q *lane) pop() *packet {
	if len(q.packets) == 0 {
		return nil
	}
	p := q.packets[0]
	q.packets = q.packets[1:]
	q.bytes -= p.size
	return p
}

// above reports whether another packet must be dropped after a packet was taken: packets have waited longer than the
// target for an interval.
func (q *lane) above(p *packet, now time.Duration) bool {
	if p == nil || now-p.queuedAt < codelTarget || q.bytes <= quantum {
		q.firstAbove = 0
		return false
	}
	if q.firstAbove == 0 {
		q.firstAbove = now + codelInterval
		return false
	}
	return now >= q.firstAbove
}

// after is when the next packet is dropped: sooner, the more were (RFC 8289, section 4.2).
func (q *lane) after(at time.Duration) time.Duration {
	return at + time.Duration(float64(codelInterval)/math.Sqrt(float64(q.count)))
}

// codel takes the next packet to send, nil for none.
func (q *lane) codel(now time.Duration, drop func(*packet)) *packet {
	p := q.pop()
	drops := q.above(p, now)
	if !q.dropping {
		if !drops {
			return p
		}
		drop(p)
		p = q.pop()
		q.above(p, now)
		q.dropping = true
		// Where it was dropping a short while ago it continues at the rate that it had.
		delta := q.count - q.lastCount
		q.count = 1
		if delta > 1 && now-q.dropNext < 16*codelInterval {
			q.count = delta
		}
		q.dropNext, q.lastCount = q.after(now), q.count
		return p
	}
	q.dropping = drops
	for q.dropping && now >= q.dropNext {
		drop(p)
		q.count++
		p = q.pop()
		if q.dropping = q.above(p, now); q.dropping {
			q.dropNext = q.after(q.dropNext)
		}
	}
	return p
}

// fair is the flows of fq_codel. Flows have a queue each; there are no collisions of hashes.
type fair struct {
	flows      map[int]*lane
	fresh, old []*lane
}

func (f *fair) push(p *packet) {
	q := f.flows[p.flow]
	if q == nil {
		q = &lane{}
		f.flows[p.flow] = q
	}
	q.push(p)
	if !q.listed {
		q.listed, q.deficit = true, quantum
		f.fresh = append(f.fresh, q)
	}
}

// pop takes the next packet by deficit round robin, flows that just began first (RFC 8290, section 4.2).
func (f *fair) pop(now time.Duration, drop func(*packet)) *packet {
	for {
		list, fresh := &f.fresh, true
		if len(*list) == 0 {
			list, fresh = &f.old, false
		}
		if len(*list) == 0 {
			return nil
		}
		q := (*list)[0]
		if q.deficit <= 0 {
			q.deficit += quantum
			*list = (*list)[1:]
			f.old = append(f.old, q)
			continue
		}
		if p := q.codel(now, drop); p != nil {
			q.deficit -= p.size
			return p
		}
		*list = (*list)[1:]
		if fresh && len(f.old) > 0 {
			f.old = append(f.old, q)
		} else {
			q.listed = false
		}
	}
}

// longest takes the head of the longest queue, which is dropped where there is no room (RFC 8290, section 4.1).
func (f *fair) longest() *packet {
	var long *lane
	for _, list := range [][]*lane{f.fresh, f.old} {
		for _, q := range list {
			if long == nil || q.bytes > long.bytes {
				long = q
			}
		}
	}
	return long.pop()
}

// The constants of RFC 8033, section 4.
const (
	pieTarget = 15 * time.Millisecond
	pieEvery  = 15 * time.Millisecond
	pieBurst  = 150 * time.Millisecond
	pieAlpha  = 0.125
	pieBeta   = 1.25
)

// pie drops at random what comes, more the longer the queue is and the faster it grows.
type pie struct {
	probability float64
	delay       time.Duration // of the queue when it was looked at last
	allowance   time.Duration // of a burst, in which nothing is dropped
	accumulated float64
}

// update is called each pieEvery with the queue's delay (RFC 8033, section 4.2).
func (e *pie) update(delay time.Duration) {
	p := pieAlpha*(delay-pieTarget).Seconds() + pieBeta*(delay-e.delay).Seconds()
	for _, s := range []struct{ under, share float64 }{
		{.000001, 2048},
		{.00001, 512},
		{.0001, 128},
		{.001, 32},
		{.01, 8},
		{.1, 2},
	} {
		if e.probability < s.under {
			p /= s.share
			break
		}
	}
	if e.probability >= .1 {
		p = min(p, .02)
	}
	e.probability += p
	if delay == 0 && e.delay == 0 {
		e.probability *= .98
	}
	e.probability = min(max(e.probability, 0), 1)
	e.allowance = max(e.allowance-pieEvery, 0)
	if e.probability == 0 && delay < pieTarget/2 && e.delay < pieTarget/2 {
		e.allowance = pieBurst
	}
	e.delay = delay
}

// drops decides on a packet that comes while so many bytes wait (RFC 8033, sections 4.1 and 5.1).
func (e *pie) drops(bytes int, random float64) bool {
	if e.probability == 0 {
		e.accumulated = 0
	}
	if e.allowance > 0 || e.delay < pieTarget/2 && e.probability < .2 || bytes <= 2*quantum {
		return false
	}
	e.accumulated += e.probability
	if e.accumulated < .85 || e.accumulated < 8.5 && random >= e.probability {
		return false
	}
	e.accumulated = 0
	return true
}

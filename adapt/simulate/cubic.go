package simulate

import (
	"math"
	"time"
)

// The constants of RFC 9438, sections 4.6 and 5.1, and of RFC 5681.
const (
	cubicBeta = 0.7
	cubicC    = 0.4 // segments per s³
	renoBeta  = 0.5
)

// The constants of RFC 9406, section 4.3.
const (
	leastThreshold, mostThreshold = 4 * time.Millisecond, 16 * time.Millisecond
	roundSamples                  = 8
)

// cubic is CUBIC's window (RFC 9438), or with the reduction of NewReno that one's (RFC 5681).
type cubic struct {
	beta            float64
	size, threshold float64       // segments
	most            float64       // the window before the newest reduction
	epoch           time.Duration // when the growth since began, 0 for not yet
	k               float64       // s from there to the window before
	reno            float64       // what NewReno would have

	roundEnd              int64 // slow start ends when the round trip grows (RFC 9406)
	roundLeast, lastLeast time.Duration
	samples               int
}

func newCubic(beta float64) *cubic {
	return &cubic{beta: beta, size: initialWindow, threshold: math.Inf(1)}
}

func (c *cubic) window() float64 { return c.size }
func (c *cubic) pace() float64   { return 0 }

func (c *cubic) acked(t *tcp, a ack) {
	switch {
	case a.recovery:
	case c.size < c.threshold:
		c.size += float64(a.newly)
		if a.rtt > 0 && c.beta == cubicBeta {
			c.slowStart(t, a.rtt)
		}
	case c.beta == renoBeta:
		c.size += float64(a.newly) / c.size
	default:
		c.grow(t, float64(a.newly))
	}
}

// slowStart ends it where the round trip has grown by an eighth since the round before.
func (c *cubic) slowStart(t *tcp, rtt time.Duration) {
	if t.una >= c.roundEnd {
		c.roundEnd, c.lastLeast, c.roundLeast, c.samples = t.next, c.roundLeast, time.Hour, 0
	}
	c.roundLeast = min(c.roundLeast, rtt)
	c.samples++
	if c.samples >= roundSamples && c.lastLeast > 0 && c.lastLeast < time.Hour &&
		c.roundLeast >= c.lastLeast+min(max(c.lastLeast/8, leastThreshold), mostThreshold) {
		c.threshold = c.size
	}
}

// grow follows the cubic function, or NewReno where that has more (RFC 9438, sections 4.2 and 4.3).
func (c *cubic) grow(t *tcp, newly float64) {
	if c.epoch == 0 {
		c.epoch, c.reno = t.w.now, c.size
		c.most = max(c.most, c.size)
		c.k = math.Cbrt((c.most - c.size) / cubicC)
	}
	off := (t.w.now - c.epoch + t.srtt).Seconds() - c.k
	want := min(max(cubicC*off*off*off+c.most, c.size), 1.5*c.size)
	alpha := 3 * (1 - cubicBeta) / (1 + cubicBeta)
	if c.reno >= c.most {
		alpha = 1
	}
	c.reno += alpha * newly / c.size
	c.size = max(c.size+(want-c.size)*newly/c.size, c.reno)
}

func (c *cubic) lost(*tcp) {
	c.most, c.epoch = c.fast(), 0
	c.size = max(c.size*c.beta, 2)
	c.threshold = c.size
}

// fast releases some of the window when flows have come (RFC 9438, section 4.7).
func (c *cubic) fast() float64 {
	if c.size < c.most {
		return c.size * (1 + c.beta) / 2
	}
	return c.size
}

func (c *cubic) expired(*tcp) {
	c.most, c.epoch = c.fast(), 0
	c.threshold = max(c.size*c.beta, 2)
	c.size = 1
}

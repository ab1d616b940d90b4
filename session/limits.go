package session

import (
	"math"

	"wavryhost/session/lockorder"
	"wavryhost/session/pipeline"
)

// The weights of sessions: who has twice the weight gets twice the uplink where that is short, and who has the least
// is lowered first.
const (
	minWeight, defaultWeight, maxWeight = 1, 100, 1000
)

// limits are what holds a session down beside its controller. The zero value of a field holds nothing down.
type limits struct {
	mu      lockorder.Mutex[limitsLock]
	weight  int
	ceiling int     // bits per second, by the control API or a grant
	display int     // bits per second, by the rules of the display
	share   int     // bits per second, of the host's uplink
	offer   int     // bits per second, by the viewer's offer
	fps     int     // pictures per second, by load shedding
	scale   float64 // of the display's size, by load shedding
}

// bound applies the limits to what a viewer asks for.
func (c *limits) bound(d *pipeline.Demand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, limit := range []int{c.ceiling, c.display, c.share, c.offer} {
		d.BitsPerSecond = min(d.BitsPerSecond, unlimitedIfZero(limit))
	}
	d.FPS = min(d.FPS, unlimitedIfZero(c.fps))
	if c.scale > 0 {
		d.Scale = min(d.Scale, c.scale)
	}
}

// Whose ceiling is the lowest.
const (
	ceilingHost    = "host"
	ceilingSession = "session"
	ceilingDisplay = "display"
	ceilingUplink  = "uplink"
	ceilingOffer   = "offer"
)

var ceilingOwners = []string{ceilingHost, ceilingSession, ceilingDisplay, ceilingUplink, ceilingOffer}

// lowest returns the ceiling that counts, where the host's own is given, and whose it is.
func (c *limits) lowest(host int) (ceiling int, of string) {
	ceiling, of = host, ceilingHost
	for _, one := range []struct {
		bits int
		of   string
	}{{c.ceiling, ceilingSession}, {c.display, ceilingDisplay}, {c.share, ceilingUplink}, {c.offer, ceilingOffer}} {
		if one.bits > 0 && one.bits < ceiling {
			ceiling, of = one.bits, one.of
		}
	}
	return ceiling, of
}

// unlimitedIfZero returns n, or the largest int for 0.
func unlimitedIfZero(n int) int {
	if n == 0 {
		return math.MaxInt
	}
	return n
}

func orNil(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// lowest returns the lower of two limits. 0 means no limit.
func lowest(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

func (c *limits) set(change func(*limits)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// setShare limits the session to a share of the host's uplink, in bits per second; 0 ends that.
func (c *limits) setShare(share int) { c.set(func(c *limits) { c.share = share }) }

// ownCeiling returns the session's own ceiling in bits per second, 0 for none.
func (c *limits) ownCeiling() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ceiling
}

// sessionWeight returns the session's weight.
func (c *limits) sessionWeight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.weight
}

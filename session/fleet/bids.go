package fleet

import (
	"math/rand/v2"
	"time"

	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
)

const (
	// bidSpread is the longest delay of a bid: a host with less room answers later, so that the first bids are the best.
	bidSpread = 20 * time.Millisecond
	// bidJitter keeps equal hosts from answering at the same moment.
	bidJitter = 3 * time.Millisecond
	// refusalDelay is the delay of a refusal, which comes after all bids.
	refusalDelay = bidSpread + bidJitter
)

// delayOf returns the delay of a bid.
func delayOf(score float64) time.Duration {
	return time.Duration((1-score)*float64(bidSpread)) + rand.N(bidJitter)
}

// jittered returns a time of d to 1.5 d.
func jittered(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d + rand.N(d/2+1)
}

// ask answers the question of a gateway.
func (a *Agent) ask(nc *nats.Conn, m *nats.Msg) {
	now := time.Now()
	q, err := bus.ParseAsk(m)
	if err != nil || m.Reply == "" {
		a.cfg.Counters.Dropped(DropMalformed)
		return
	}
	display, held := a.rooms.holds(q.ID, now)
	if !held && !q.Chosen(a.id) || a.rivals.silent(now) {
		return
	}
	own := a.rivals.record()
	own.ID = a.id
	if s, err := bus.ParseSelector(q.Select); err != nil || !s.Matches(own) {
		return
	}
	b := bus.Bid{Host: a.id, Boot: own.Boot, Held: held}
	var delay time.Duration
	if held { // the same request must come again, so it must be for the same display
		b.Score, b.Display = 1, display
	} else {
		room := a.rooms.of(q, now, a.host.Room)
		b.Score, b.Display, b.Refusal = room.score(), room.Display, room.Refusal
		delay = delayOf(b.Score)
		if b.Score == 0 {
			b.RetrySeconds = jittered(room.Retry).Seconds()
			delay += refusalDelay
			if b.Refusal == "" {
				b.Refusal = "full"
			}
		}
	}
	a.cfg.Counters.Bid(b.Refusal == "")
	a.delay(delay, func() { _ = nc.Publish(m.Reply, bus.Encode(b)) })
}

package session

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"wavryhost/platform/guard"
	"wavryhost/session/peer"
	"wavryhost/session/rift"
)

const (
	// inputEvery and inputBurst bound the messages of a session that are taken: a mouse of 1000 Hz, every position of
	// it, and as many keys. What comes faster waits, in the end at the viewer.
	inputEvery = 500 * time.Microsecond
	inputBurst = 200
	// reportEvery and reportBurst bound the reports of what is held; pages send one each 100 ms, and at each change.
	reportEvery = 5 * time.Millisecond
	reportBurst = 100
	// maxChannels is how many data channels a session may open in its life: each costs memory until the session ends,
	// and a page opens one or two.
	maxChannels = 32
)

// inputChannel is where the input of one viewer arrives.
type inputChannel struct {
	session string
	role    Role
	log     *slog.Logger
	guard   *guard.Guard
	viewer  participant
	floor   *floor

	inputs, reportsIn *rate.Limiter
	// busy: a message is being handled, or waits for its turn.
	busy atomic.Bool

	// The floor's mutex guards the rest.
	input       *peer.Channel // nil without one
	messages    uint64        // on it
	lastMessage time.Time     // when it was handled
	reports     *peer.Channel // carries reports of what is held, nil without one
	confirms    bool          // a report has arrived
	confirmed   time.Time     // when the last one did
	lossMuted   bool          // the display has lost some input, and what follows is dropped until there is a pause
	mutedAt     time.Time     // when something was dropped last
	opened      int           // data channels so far
	refusalTold bool          // the event of a refused data channel was emitted
	barred      bool          // an operator has withdrawn control
	over        bool          // the session ends
}

func newInputChannel(
	session string, role Role, viewer participant, f *floor, log *slog.Logger, g *guard.Guard,
) *inputChannel {
	return &inputChannel{
		session: session, role: role, log: log, guard: g, viewer: viewer, floor: f,
		inputs:    rate.NewLimiter(rate.Every(inputEvery), inputBurst),
		reportsIn: rate.NewLimiter(rate.Every(reportEvery), reportBurst),
	}
}

// open takes a data channel of the viewer, which is read until ctx ends, or closes it. It reports whether there have
// been too many.
func (c *inputChannel) open(ctx context.Context, d *peer.Channel) (many bool) {
	why, many := c.floor.accept(c, d)
	if why != "" {
		// An error means that it is closed already.
		_ = d.Close()
		return many
	}
	d.OnClose(func() {
		defer c.guard.Recover(partInput)
		c.floor.channelClosed(c, d)
	})
	c.floor.prepare(c) //nolint:contextcheck // the display's input outlives the session that opens it
	d.OnMessage(func(message []byte) {
		defer c.guard.Recover(partInput)
		if d.Label() == rift.StateLabel {
			c.report(message)
		} else {
			c.receive(ctx, message)
		}
	})
	return many
}

// report takes a message that says what the viewer holds. It waits for nothing: the next one says as much.
func (c *inputChannel) report(b []byte) {
	now := time.Now()
	if !c.reportsIn.AllowN(now, 1) {
		c.drop(inputRate)
		return
	}
	s, fault := rift.DecodeState(b)
	if fault != rift.FaultNone {
		c.drop(fault.String())
		return
	}
	c.floor.confirm(c, s, now)
}

// receive handles a message of input, once it is its turn and the display has room. The goroutine that reads the
// channel calls it: while it waits nothing else is read from that channel, SCTP's window closes, and the viewer waits.
// It drops nothing but what is wrong, and what is under way when ctx ends.
func (c *inputChannel) receive(ctx context.Context, b []byte) {
	c.busy.Store(true)
	defer c.busy.Store(false)
	if c.inputs.Wait(ctx) != nil {
		return
	}
	e, fault := rift.Decode(b)
	if fault != rift.FaultNone {
		c.drop(fault.String())
		c.floor.count(c, time.Now())
		return
	}
	if e.Kind == rift.Gamepad {
		c.drop(inputUnsupported)
		c.floor.count(c, time.Now())
		return
	}
	if c.floor.wait(ctx, c) != nil {
		return
	}
	//nolint:contextcheck // the display's input outlives the session that takes control first
	if why := c.floor.deliver(c, e, time.Now()); why != "" {
		c.drop(why)
		return
	}
	c.floor.met.input.WithLabelValues(e.Kind.String()).Inc()
}

// drop counts a message that is dropped.
func (c *inputChannel) drop(why string) { c.floor.met.inputDropped.WithLabelValues(why).Inc() }

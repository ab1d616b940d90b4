package floor

import (
	"context"
	"time"

	"wavryhost/session/peer"
	"wavryhost/session/rift"
)

// MaxChannels is how many data channels a session may open in its life: each costs memory until the session ends, and a
// page opens one or two.
const MaxChannels = 32

// Open takes a data channel of the viewer, which is read until ctx ends, or closes it. It reports whether there have
// been too many.
func (p *Participant) Open(ctx context.Context, d *peer.Channel) (many bool) {
	why, many := p.control.accept(p, d)
	if why != "" {
		// An error means that it is closed already.
		_ = d.Close()
		return many
	}
	d.OnClose(func() {
		defer p.guard.Recover(Part)
		p.control.channelClosed(p, d)
	})
	p.control.prepare(p) //nolint:contextcheck // the display's input outlives the session that opens it
	d.OnMessage(func(message []byte) {
		defer p.guard.Recover(Part)
		if d.Label() == rift.StateLabel {
			p.report(message)
		} else {
			p.receive(ctx, message)
		}
	})
	return many
}

// accept registers a data channel of p, or returns why it is to be closed. many reports that there have been too many.
func (c *Control) accept(p *Participant, d *peer.Channel) (why string, many bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.opened++
	slot := &p.input
	if d.Label() == rift.StateLabel {
		slot = &p.reports
	}
	display := p.viewer.Display()
	switch {
	case d.Label() != rift.Label && d.Label() != rift.StateLabel:
		why = channelLabel
	case c.policy() == Off:
		why = channelOff
	case !c.policy().Lets(p.role):
		why = channelRole
	case display.Open == nil:
		why = channelDisplay
	case *slot != nil:
		why = channelSecond
	default:
		*slot = d
		if slot == &p.input {
			c.open[p] = true
		}
		return "", p.opened > MaxChannels
	}
	c.met.channelsRefused.WithLabelValues(why).Inc()
	if !p.refusalTold {
		p.refusalTold = true
		event := p.viewer.ChannelRefused(display.ID, why)
		p.log.Info("data channel refused", "event", event, "reason", why, "role", p.role.String())
	}
	return why, p.opened > MaxChannels
}

// channelClosed notes that a data channel of p is closed.
func (c *Control) channelClosed(p *Participant, d *peer.Channel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch d {
	case p.reports:
		p.reports, p.confirms = nil, false
	case p.input:
		p.input = nil
		delete(c.open, p)
		c.release(p, controlClosed)
	}
}

// report takes a message that says what the viewer holds. It waits for nothing: the next one says as much.
func (p *Participant) report(b []byte) {
	now := time.Now()
	if !p.reportsIn.AllowN(now, 1) {
		p.drop(inputRate)
		return
	}
	s, fault := rift.DecodeState(b)
	if fault != rift.FaultNone {
		p.drop(fault.String())
		return
	}
	p.control.confirm(p, s, now)
}

// receive handles a message of input, once it is its turn and the display has room. The goroutine that reads the
// channel calls it: while it waits nothing else is read from that channel, SCTP's window closes, and the viewer waits.
// It drops nothing but what is wrong, and what is under way when ctx ends.
func (p *Participant) receive(ctx context.Context, b []byte) {
	p.busy.Store(true)
	defer p.busy.Store(false)
	if p.inputs.Wait(ctx) != nil {
		return
	}
	e, fault := rift.Decode(b)
	if fault != rift.FaultNone {
		p.drop(fault.String())
		p.control.count(p, time.Now())
		return
	}
	if e.Kind == rift.Gamepad {
		p.drop(inputUnsupported)
		p.control.count(p, time.Now())
		return
	}
	if p.control.wait(ctx, p) != nil {
		return
	}
	//nolint:contextcheck // the display's input outlives the session that takes control first
	if why := p.control.deliver(p, e, time.Now()); why != "" {
		p.drop(why)
		return
	}
	p.control.met.input.WithLabelValues(e.Kind.String()).Inc()
}

// drop counts a message that is dropped.
func (p *Participant) drop(why string) { p.control.met.inputDropped.WithLabelValues(why).Inc() }

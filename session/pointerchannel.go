package session

import (
	"context"
	"sync/atomic"
	"time"

	"wavryhost/session/floor"
	"wavryhost/session/peer"
	"wavryhost/session/pointer"
)

// The ways in which a viewer gets the pointer.
const (
	pointerInPicture = "picture"
	pointerByChannel = "channel"
)

// pointerChannel is the data channel of a viewer that draws the pointer itself.
type pointerChannel struct {
	opens chan *peer.Channel // has room for one
	count atomic.Int32       // channels so far
	moved signal             // the viewer gets its pictures from another feed
}

func newPointerChannel() *pointerChannel {
	return &pointerChannel{opens: make(chan *peer.Channel, 1), moved: newSignal()}
}

// open takes a data channel, which replaces an earlier one. It reports whether there have been too many.
func (c *pointerChannel) open(_ context.Context, d *peer.Channel) (many bool) {
	if c.count.Add(1) > floor.MaxChannels {
		// An error means that it is closed already.
		_ = d.Close()
		return true
	}
	d.OnOpen(func() {
		select {
		case <-c.opens:
		default:
		}
		select {
		case c.opens <- d:
		default: // yet another one was faster
		}
	})
	return false
}

// run sends the pointer of the display that a viewer watches, until ctx ends.
func (c *pointerChannel) run(ctx context.Context, sub *subscription) {
	var to *pointer.Sender
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var changed <-chan struct{}
		if f := sub.feed().pointer; f != nil {
			changed = f.Changed
		}
		select {
		case <-ctx.Done():
			return
		case d := <-c.opens:
			to = pointer.NewSender(d)
		case <-c.moved:
		case <-changed:
		case <-timer.C:
		}
		if to == nil {
			continue
		}
		next, err := to.Send(sub.feed().pointer, time.Now())
		switch {
		case err != nil:
			to = nil // the channel is closed
		case !next.IsZero():
			timer.Reset(time.Until(next))
		}
	}
}

// pointerWay returns how the viewer gets the pointer.
func (f *feed) pointerWay() string {
	if f.pointer != nil {
		return pointerByChannel
	}
	return pointerInPicture
}

package session

import (
	"context"
	"time"

	"wavryhost/adapt"
	"wavryhost/session/floor"
	"wavryhost/session/peer"
	"wavryhost/session/pointer"
	"wavryhost/session/wire"
)

// start runs the viewer's goroutines until cancel.
func (v *viewer) start() {
	// The request that the session was made by is over long before the session.
	ctx, cancel := context.WithCancel(context.Background())
	v.cancel = cancel
	v.peer.OnChange(v.changed.raise)
	v.peer.OnDataChannel(func(c *peer.Channel) { v.offered(ctx, c) })
	v.launch(partPacer, func() { _ = v.sender.Run(ctx) }) // it only ever returns ctx's error
	v.launch(partFeedback, v.listen)
	v.launch(partSession, func() { v.run(ctx) })
	if v.offer.DrawsPointer {
		v.launch(partPointer, func() { v.pointer.run(ctx, &v.sub) })
	}
}

// launch runs f in a goroutine of the viewer's.
func (v *viewer) launch(part string, f func()) {
	v.wg.Go(func() {
		if err := v.guard.Run(part, f); err != nil {
			v.crashed(err)
			v.want(EndError)
		}
	})
}

// offered takes a data channel of the viewer, which is read until ctx ends, or closes it.
func (v *viewer) offered(ctx context.Context, c *peer.Channel) {
	defer v.guard.Recover(floor.Part)
	open := v.input.Open
	if c.Label() == pointer.Label && v.offer.DrawsPointer {
		open = v.pointer.open
	}
	if open(ctx, c) {
		v.log.Warn("session opens data channels without end", "channels", floor.MaxChannels)
		v.want(EndMisbehaved)
	}
}

// stop ends the viewer's goroutines and its peer connection, and waits for them.
func (v *viewer) stop() error {
	v.live.Store(false)
	v.sub.leave()
	v.cancel()
	err := v.peer.Close()
	v.wg.Wait()
	return err
}

// run ticks the controller and watches the transport.
func (v *viewer) run(ctx context.Context) {
	timer := time.NewTimer(tickInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-v.changed:
		}
		if v.crash.Load() != nil {
			v.want(EndError)
			return
		}
		v.watch(time.Now())
		if v.live.Load() {
			if rtt, ok := v.peer.RoundTrip(); ok {
				v.adaptation.echo(rtt)
			}
		}
		if v.live.Load() {
			before := v.adaptation.wantsKey()
			if _, key := v.adaptation.tick(); key && !before {
				v.sub.nudge()
			}
		}
		v.sub.giveUp(time.Now())
		t := v.adaptation.target()
		v.look(time.Now(), due{
			lost: v.sub.feed().frozen(), ready: v.roomFor(t), stalled: t.Quality == adapt.Stalled, crowded: v.crowded,
		})
		v.measure(time.Now())
		timer.Reset(v.cadence.next(v.live.Load()))
	}
}

// listen reads RTCP until the peer connection is closed.
func (v *viewer) listen() {
	for {
		report, err := v.peer.Receive()
		if err != nil {
			return
		}
		v.heard.set(time.Now())
		v.receive(report)
	}
}

// receive handles feedback of the viewer.
func (v *viewer) receive(report wire.Report) {
	lost := v.adaptation.receive(report)
	if len(report.Feedback) > 0 {
		v.cadence.stir()
	}
	now := time.Now()
	if v.arrivedFirst(now, report.Feedback) {
		v.trace.setup(now, v.steps(), "", nil)
	}
	v.trace.reported(now, report.Feedback)
	for _, f := range report.Feedback {
		if took, ok := acknowledged(f); ok {
			v.met.ack.Observe(took.Seconds())
		}
	}
	if report.Smaller {
		v.resized(v.sender.PacketSize())
	}
	if report.PLI || report.FIR || lost || report.Smaller {
		v.sub.nudge()
	}
	if report.Bye {
		v.want(EndViewerGone)
	}
}

// measure counts, once a second, what was sent since the last time.
func (v *viewer) measure(now time.Time) {
	v.mu.Lock()
	took := now.Sub(v.sample.at)
	v.mu.Unlock()
	if took < time.Second {
		return
	}
	// A picture of which all packets wait for the pacer would be in the queue.
	v.flush(now, took, v.sender.Stats(), !v.live.Load() || v.sender.Queue().Packets > 0)
	if !v.live.Load() {
		return
	}
	v.usage.add(took, v.snapshot())
	v.tally.used(took)
	v.deliver(now)
	v.noteRoute(now) // ICE may select a better pair later
	e := v.adaptation.estimate()
	if e.RTT > 0 {
		v.met.rtt.Observe(e.RTT.Seconds())
	}
	v.met.loss.Observe(e.Loss)
	v.met.jitter.Observe(e.Jitter.Seconds())
	v.met.queueDelay.Observe(e.QueueDelay.Seconds())
}

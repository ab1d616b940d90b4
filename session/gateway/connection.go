package gateway

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"wavryhost/session/progress"
)

const (
	// boundTimeout bounds the wait for the acknowledgment of a Bind.
	boundTimeout = 20 * time.Second
	// pingInterval is how often a ping checks that the gateway still answers. Wavry's gateway never pings.
	pingInterval = 25 * time.Second
	pingTimeout  = 10 * time.Second
	// probeInterval is how often a message is sent to the own account. Wavry's gateway forgets the route of an account
	// when an older connection of it ends, which may happen at any time.
	probeInterval = time.Minute
	probeTimeout  = 10 * time.Second
	// probesInVain is how many probes must fail, before the first success, to conclude that this gateway does not
	// return messages to their sender.
	probesInVain = 3
)

// probes is what is known of the gateway's handling of messages to oneself.
type probes struct {
	seen   bool // a probe has come back
	failed int  // failed probes in a row
}

// connection is one bound WebSocket. It has three goroutines: one reads, one writes the outbox, and one checks that the
// gateway answers.
type connection struct {
	*Link
	*socket
	grant grant
	// echo has room for one returned probe.
	echo chan string
}

// bind sends the token and waits until the gateway accepts it.
func (c *connection) bind(ctx context.Context) error {
	dialect := c.cfg.Dialect
	frame, err := dialect.Encode(Message{Kind: KindBind, Token: c.grant.token})
	if err != nil {
		return failed(ClassProtocol, "bind: %w", err)
	}
	if err := c.write(ctx, frame); err != nil {
		return err
	}
	c.cfg.Counters.Sent(KindBind)
	if !dialect.Traits().Acknowledges {
		return nil
	}
	inner, cancel := context.WithTimeout(ctx, boundTimeout)
	defer cancel()
	for {
		frame, text, err := c.read(inner)
		if err != nil && ctx.Err() == nil && inner.Err() != nil {
			return failed(ClassTimeout, "bind: the gateway has not answered within %v", boundTimeout)
		}
		if err != nil {
			return err
		}
		m, ok := c.decode(frame, text)
		if !ok {
			continue
		}
		if m.Kind == KindBound {
			return nil
		}
		if err := c.complaint(m); err != nil {
			return err
		}
	}
}

// decode reads a frame and counts it.
func (c *connection) decode(frame []byte, text bool) (Message, bool) {
	if !text {
		c.cfg.Counters.Dropped(DropBinary)
		return Message{}, false
	}
	m, err := c.cfg.Dialect.Decode(frame)
	if err != nil {
		c.cfg.Counters.Dropped(DropMalformed)
		c.log.Debug("gateway message not understood", "err", err)
		return m, false
	}
	c.cfg.Counters.Received(m.Kind)
	return m, true
}

// complaint returns an error if m ends the connection.
func (c *connection) complaint(m Message) error {
	if m.Kind != KindError {
		return nil
	}
	text := strings.ReplaceAll(m.Text, c.grant.token, hiddenText)
	if class := c.cfg.Dialect.Classify(m.Text); class != ClassNone {
		return failed(class, "the gateway says %q", text)
	}
	c.log.Debug("gateway refused a message", "text", text)
	return nil
}

// serve runs the connection until it ends, and closes it. It returns the most severe of the errors.
func (c *connection) serve(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make(chan error, 3) // one of each
	var wg sync.WaitGroup
	read := make(chan struct{}) // closed when everything was read and the connection has ended
	wg.Go(func() {
		defer close(read)
		ends <- c.cfg.safely(func() error { return c.receive(ctx) })
	})
	wg.Go(func() { ends <- c.cfg.safely(func() error { return c.send(inner) }) })
	wg.Go(func() { ends <- c.cfg.safely(func() error { return c.guard(inner) }) })
	var err error
	select {
	case err = <-ends:
		c.await(ctx, read, err)
	case <-ctx.Done():
		err = ctx.Err()
	}
	cancel()
	c.close()
	wg.Wait()
	for range len(ends) {
		// A writer may notice the end of the connection before the reader has read the reason.
		if other := <-ends; classOf(err) == ClassNetwork && classOf(other) != ClassNetwork {
			err = other
		}
	}
	return err
}

// await gives the reader time to reach the end after a writer found the connection broken. The unread messages may
// contain the reason, and closing would lose them.
func (c *connection) await(ctx context.Context, read <-chan struct{}, err error) {
	if classOf(err) != ClassNetwork {
		return
	}
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-read:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// receive reads until the connection is closed. It does not end with ctx, which would break the connection.
func (c *connection) receive(ctx context.Context) error {
	steps := c.cfg.Progress.Loop(progress.Gateway, "")
	defer steps.Close()
	for {
		frame, text, err := c.read(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		steps.Step(func() { err = c.handle(ctx, frame, text) })
		if err != nil {
			return err
		}
	}
}

// handle handles a message. The error ends the connection.
func (c *connection) handle(ctx context.Context, frame []byte, text bool) error {
	m, ok := c.decode(frame, text)
	if !ok {
		return nil
	}
	if err := c.complaint(m); err != nil {
		return err
	}
	switch {
	case m.Peer == "":
	case c.grant.name != "" && strings.EqualFold(m.Peer, c.grant.name):
		c.returned(m)
	default:
		c.calls.deliver(ctx, m)
	}
	return nil
}

// returned passes a message of this host to the probe that may wait for it. The newest one counts.
func (c *connection) returned(m Message) {
	if m.Kind != KindCandidate {
		return
	}
	select {
	case <-c.echo:
	default:
	}
	c.echo <- m.Candidate // this is the only sender, so there is room
}

// send writes the outbox until ctx ends.
func (c *connection) send(ctx context.Context) error {
	for {
		m, err := c.out.next(ctx)
		if err != nil {
			return err
		}
		frame, err := c.cfg.Dialect.Encode(m)
		if err != nil {
			c.log.Warn("gateway message not sent", "err", err)
			c.cfg.Counters.Dropped(DropMalformed)
			continue
		}
		if err := c.write(ctx, frame); err != nil {
			return err
		}
		c.cfg.Counters.Sent(m.Kind)
	}
}

// guard checks that the gateway answers and that messages arrive.
func (c *connection) guard(ctx context.Context) error {
	if err := c.probe(ctx); err != nil {
		return err
	}
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	probe := time.NewTicker(probeInterval)
	defer probe.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ping.C:
			err = c.ping(ctx, pingTimeout)
		case <-probe.C:
			err = c.probe(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// probe sends a candidate to this host's own account and waits for it.
func (c *connection) probe(ctx context.Context) error {
	p := &c.probes
	if c.grant.name == "" || !p.seen && p.failed >= probesInVain {
		return nil
	}
	text, err := probeOf("wavry-host-" + rand.Text())
	if err != nil {
		return failed(ClassProtocol, "make probe: %w", err)
	}
	frame, err := c.cfg.Dialect.Encode(Message{Kind: KindCandidate, Peer: c.grant.name, Candidate: text})
	if err != nil {
		return failed(ClassProtocol, "make probe: %w", err)
	}
	if err := c.write(ctx, frame); err != nil {
		return err
	}
	c.cfg.Counters.Sent(KindCandidate)
	over := time.NewTimer(probeTimeout)
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case got := <-c.echo:
			if got != text {
				continue // from an earlier connection
			}
			p.seen, p.failed = true, 0
			c.route(routeProven)
			return nil
		case <-over.C:
			return c.unanswered()
		}
	}
}

// unanswered returns the consequence of a probe that has not come back.
func (c *connection) unanswered() error {
	p := &c.probes
	p.failed++
	c.route(routeUnproven)
	if !p.seen && p.failed >= probesInVain {
		c.log.Warn("gateway returns no messages to oneself: whether offers arrive is not known", "username",
			c.grant.name)
		return nil
	}
	return failed(ClassUnrouted, "a message to the own account, %s, has not come back within %v", c.grant.name,
		probeTimeout)
}

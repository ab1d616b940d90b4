package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
)

const (
	// connectWait is the time between attempts that fail before a server is asked, as with a missing file.
	connectWait = 10 * time.Second
	// subscribeWait is how long a server may take to confirm the subscriptions.
	subscribeWait = 5 * time.Second
)

// Run keeps the host in the fleet until ctx ends. Then it says that the host stops, and returns nil. No failure of NATS
// ends Run.
func (a *Agent) Run(ctx context.Context) error {
	defer a.end()
	for ctx.Err() == nil {
		err := a.session(ctx)
		if err == nil {
			break
		}
		a.log.Error("fleet connection cannot be made", "err", err, "next_try_seconds", connectWait.Seconds())
		a.enter(StateDisconnected, func(s *Status) { s.Reason = err.Error() })
		select {
		case <-ctx.Done():
		case <-time.After(connectWait):
		}
	}
	a.enter(StateDisconnected, func(s *Status) { s.Server = "" })
	return nil
}

// end notes that Run has ended.
func (a *Agent) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	a.tell()
}

// session connects, and serves until ctx ends. Lost connections are made again meanwhile.
func (a *Agent) session(ctx context.Context) error {
	closed, subscribed := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(subscribed) })
	connected := a.guarded(func(nc *nats.Conn) {
		<-subscribed
		a.connected(nc)
	})
	nc, err := a.cfg.Bus.Connect(
		nats.ConnectHandler(connected), nats.ReconnectHandler(connected),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { a.disconnected(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { a.unreachable(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) { a.failed(s, err) }),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
	)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	a.accept(true)
	a.use(nc)
	defer func() {
		cancel()
		a.accept(false)
		a.requests.Wait()
		a.use(nil)
		release() // NATS reports the end after what it reported before
		nc.Close()
		<-closed
	}()
	handlers := map[string]func(*nats.Conn, *nats.Msg){
		bus.SubjectWho: presenter{a}.who, bus.SubjectBeat(a.id): presenter{a}.rival,
	}
	for _, subject := range bus.SubjectsAsked(a.id, a.host.Describe().Labels) {
		handlers[subject] = a.ask
	}
	if a.cfg.Serve != nil {
		for _, subject := range bus.SubjectsServed(a.id) {
			handlers[subject] = func(nc *nats.Conn, m *nats.Msg) { server{a}.serve(inner, nc, m) }
		}
	}
	if a.cfg.Serve != nil {
		handlers[bus.SubjectOrders] = func(*nats.Conn, *nats.Msg) { a.announced() }
		a.begin(func() { orderTaker{a}.obey(inner, nc) })
	}
	for subject, handle := range handlers {
		if err := a.subscribe(nc, subject, handle); err != nil {
			return err
		}
	}
	release()
	a.loop(ctx, nc)
	return nil
}

// subscribe makes a subscription whose panics cost a message.
func (a *Agent) subscribe(nc *nats.Conn, subject string, handle func(*nats.Conn, *nats.Msg)) error {
	const messages, bytes = 4096, 4 << 20 // what may wait for the callback
	s, err := nc.Subscribe(subject, func(m *nats.Msg) {
		_ = a.cfg.Guard.Run(part, func() { handle(nc, m) })
	})
	if err != nil {
		return err
	}
	return s.SetPendingLimits(messages, bytes)
}

func (a *Agent) guarded(f func(*nats.Conn)) func(*nats.Conn) {
	return func(nc *nats.Conn) { _ = a.cfg.Guard.Run(part, func() { f(nc) }) }
}

// connected notes that the connection was made. The subscriptions are at the server then, so that a request to a
// connected host finds it.
func (a *Agent) connected(nc *nats.Conn) {
	if _ = nc.FlushTimeout(subscribeWait); !nc.IsConnected() {
		return // it is lost again, and comes back here
	}
	a.log.Info("fleet connected", "server", nc.ConnectedUrlRedacted())
	a.enter(StateConnected, func(s *Status) { s.Server, s.Reason = nc.ConnectedUrlRedacted(), "" })
	a.rivals.announce()
	a.Changed()
	a.joined.Store(true)
	a.announced()
}

// disconnected notes that the connection is lost. err is nil when the Agent ends it.
func (a *Agent) disconnected(err error) {
	if err == nil {
		return
	}
	a.log.Warn("fleet disconnected; sessions go on, and nobody can place new ones here through the fleet", "err", err)
	a.enter(StateDisconnected, func(s *Status) { s.Server, s.Reason = "", err.Error() })
}

// unreachable notes that an attempt failed.
func (a *Agent) unreachable(err error) {
	a.mu.Lock()
	same := a.status.Reason == err.Error()
	a.mu.Unlock()
	if !same {
		a.log.Warn("fleet cannot be reached", "err", err,
			"remedy", "check fleet.url, the credentials and the certificate; docs/operate/runbooks/fleet.md")
	}
	a.enter(StateDisconnected, func(s *Status) { s.Server, s.Reason = "", err.Error() })
}

// failed notes an asynchronous error of NATS.
func (a *Agent) failed(s *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		a.cfg.Counters.Dropped(DropForbidden)
		a.log.Warn("fleet subject is not allowed", "err", err,
			"remedy", "give the host its permissions at the NATS server: docs/operate/fleet.md")
		return
	case errors.Is(err, nats.ErrSlowConsumer):
		a.cfg.Counters.Dropped(DropSlow)
	}
	subject := ""
	if s != nil {
		subject = s.Subject
	}
	a.log.Warn("fleet error", "subject", subject, "err", err)
}

// loop sends what is due until ctx ends.
func (a *Agent) loop(ctx context.Context, nc *nats.Conn) {
	p := newPresence(a, nc)
	beat := time.NewTicker(a.cfg.Beat)
	defer beat.Stop()
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		var step func()
		select {
		case <-ctx.Done():
			_ = a.cfg.Guard.Run(part, p.stop)
			return
		case <-a.changed:
			step = p.look
		case <-look.C:
			step = p.look
		case <-beat.C:
			step = p.beat
		case <-a.later.wake:
		case <-wait.C:
		}
		_ = a.cfg.Guard.Run(part, func() {
			if step != nil {
				step()
			}
		})
		if next := a.runDue(); !next.IsZero() {
			wait.Reset(time.Until(next))
		}
	}
}

// runDue runs the delayed work whose time has come, and returns the time of the next; zero if there is none.
func (a *Agent) runDue() time.Time {
	list, next := a.later.due(time.Now())
	for _, do := range list {
		_ = a.cfg.Guard.Run(part, do)
	}
	return next
}

package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"wavryhost/platform/guard"
	"wavryhost/session"
)

// fileInterval is how often a blocked link checks whether its credentials have changed.
const fileInterval = 15 * time.Second

// Link keeps a host bound to its gateway. Its methods may be called from several goroutines.
type Link struct {
	cfg   Config
	log   *slog.Logger
	pins  map[[32]byte]struct{}
	auth  credentials
	calls *calls
	out   *outbox
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)

	// Run's goroutine owns these; the guard of the connection uses them meanwhile.
	wait   backoff
	probes probes

	mu     sync.Mutex // guards all following fields
	status Status
}

// New returns a Link that passes offers to mgr.
func New(cfg Config, mgr manager, log *slog.Logger) (*Link, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if cfg.Guard == nil {
		cfg.Guard = guard.New(log, nil, nil)
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	l := &Link{cfg: cfg, log: log.With("gateway", u.Host), dial: (&net.Dialer{}).DialContext}
	l.status = Status{
		Gateway: u.Host, Dialect: cfg.Dialect.Traits().Name, State: StateDisconnected.String(),
		Since: time.Now(), Route: routeUnknown,
	}
	if l.pins, err = parsePins(cfg.Pins); err != nil {
		return nil, err
	}
	allow, err := newAllowList(cfg.Allow)
	if err != nil {
		return nil, err
	}
	l.auth = credentials{cfg: cfg, client: func() *http.Client { return l.client(nil) }, login: loginURL(u)}
	l.out = newOutbox(cfg.Counters)
	l.calls = newCalls(cfg, u.Host, allow, mgr, l.out, l.log)
	cfg.Counters.State(StateDisconnected)
	return l, nil
}

// Prepare checks a new list of users who may send offers, and their role. It returns the function that applies both.
// Sessions of users who are not on the list, or have another role, end with reason revoked.
func (l *Link) Prepare(allow []string, role session.Role) (apply func(), err error) {
	list, err := newAllowList(allow)
	if err != nil {
		return nil, err
	}
	return func() { l.calls.change(policy{list, role}) }, nil
}

// loginURL returns the URL for logins at the gateway u.
func loginURL(u *url.URL) string {
	login := *u
	login.Scheme = "http" + strings.TrimPrefix(u.Scheme, "ws")
	login.RawQuery, login.RawPath = "", ""
	login.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/ws") + "/auth/login"
	return login.String()
}

// part names the link in reports of panics.
const part = "gateway"

// safely runs a part of the link. A panic becomes an error of the connection.
func (c *Config) safely(f func() error) (err error) {
	if p := c.Guard.Run(part, func() { err = f() }); p != nil {
		return failed(ClassNetwork, "%v", p) // there is another attempt soon
	}
	return err
}

// Status returns the state of the link.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	if s.State == StateBound.String() && time.Since(s.Since) >= steadyAfter {
		s.Failures = 0
	}
	return s
}

// Run keeps the link up until ctx ends, closes it then, and returns nil. No failure of the gateway ends Run.
func (l *Link) Run(ctx context.Context) error {
	// Callers outlive connections: answers that are ready after the end of one use the next.
	defer l.calls.wg.Wait()
	for ctx.Err() == nil {
		err := l.cfg.safely(func() error { return l.attempt(ctx) })
		if ctx.Err() != nil {
			break
		}
		l.pause(ctx, err)
	}
	l.enter(StateDisconnected, func(s *Status) { s.Route, s.NextTry = routeUnknown, time.Time{} })
	return nil
}

// enter sets a new state, and applies change to the status.
func (l *Link) enter(state State, change func(*Status)) {
	l.mu.Lock()
	l.status.State, l.status.Since = state.String(), time.Now()
	if change != nil {
		change(&l.status)
	}
	l.mu.Unlock()
	l.cfg.Counters.State(state)
}

// route sets what is known of the route to this host's account.
func (l *Link) route(route string) {
	l.mu.Lock()
	l.status.Route = route
	l.mu.Unlock()
}

// pause notes why the link is down, and waits for the next attempt.
func (l *Link) pause(ctx context.Context, err error) {
	class := classOf(err)
	l.cfg.Counters.Failure(class)
	wait, blocked := l.wait.after(class)
	state, level := StateDisconnected, slog.LevelWarn
	if blocked {
		state, level = StateBlocked, slog.LevelError
	}
	l.enter(state, func(s *Status) {
		s.Class, s.Reason, s.Failures = class.String(), err.Error(), l.wait.failures
		s.NextTry, s.Route = time.Now().Add(wait), routeUnknown
	})
	l.log.Log(ctx, level, "gateway link down", "state", state.String(), "class", class.String(), "err", err,
		"next_try_seconds", wait.Seconds(), "failures", l.wait.failures)
	over := time.NewTimer(wait)
	defer over.Stop()
	look := time.NewTicker(fileInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-over.C:
			return
		case <-look.C:
			if blocked && class.secrets() && l.auth.changed() {
				l.log.Info("gateway credentials have changed")
				l.wait.steady()
				return
			}
		}
	}
}

// attempt makes a connection and serves it until it ends. It always returns an error.
func (l *Link) attempt(ctx context.Context) error {
	l.enter(StateLoggingIn, func(s *Status) { s.NextTry = time.Time{} })
	g, err := l.auth.get(ctx)
	if err != nil {
		return err
	}
	l.enter(StateConnecting, nil)
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	err = l.bindAndServe(ctx, s, g)
	if classOf(err) == ClassToken {
		l.auth.drop()
	}
	return err
}

// bindAndServe owns s and closes it.
func (l *Link) bindAndServe(ctx context.Context, s *socket, g grant) error {
	l.enter(StateBinding, nil)
	c := &connection{Link: l, socket: s, grant: g, echo: make(chan string, 1)}
	if err := c.bind(ctx); err != nil {
		s.close()
		return err
	}
	route := routeUnknown
	if g.name != "" {
		route = routeUnproven
	}
	l.enter(StateBound, func(s *Status) { s.Username, s.Route = g.name, route })
	l.log.Info("gateway link bound", "username", g.name)
	since := time.Now()
	err := c.serve(ctx)
	if time.Since(since) >= steadyAfter {
		l.wait.steady()
	}
	return err
}

package gateway

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// mailboxSize bounds the waiting messages of one user. A browser sends an offer and a dozen candidates.
	mailboxSize = 64
	// refusalEvery bounds the log records of users who are not allowed or exceed a rate.
	refusalEvery = 10 * time.Second
)

// calls handles the users' messages. Each allowed user has a goroutine, from the first message until no session is
// left, so a slow answer to one user does not delay others. The number of users is bounded.
type calls struct {
	cfg    Config
	host   string // the gateway's
	policy atomic.Pointer[policy]
	mgr    manager
	out    *outbox
	log    *slog.Logger
	refuse *rate.Limiter

	wg sync.WaitGroup // the callers

	mu      sync.Mutex // guards all following fields
	callers map[string]*caller
}

func newCalls(cfg Config, host string, allow allowList, mgr manager, out *outbox, log *slog.Logger) *calls {
	c := &calls{
		cfg: cfg, host: host, mgr: mgr, out: out, log: log, refuse: rate.NewLimiter(rate.Every(refusalEvery), 1),
		callers: make(map[string]*caller),
	}
	c.policy.Store(&policy{allow, cfg.Role})
	return c
}

// change sets the policy, and makes the callers end the sessions that it does not allow.
func (c *calls) change(p policy) {
	c.policy.Store(&p)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.callers {
		select {
		case one.changed <- struct{}{}:
		default: // it has a token already
		}
	}
}

// deliver passes m to its user's goroutine, which ends with ctx. It does not block.
func (c *calls) deliver(ctx context.Context, m Message) {
	if m.Kind != KindOffer && m.Kind != KindCandidate {
		c.cfg.Counters.Dropped(DropUnexpected) // a host sends no offers, so it expects no answer
		return
	}
	if !c.policy.Load().allow.allows(m.Peer) {
		if m.Kind == KindCandidate {
			c.cfg.Counters.Dropped(DropNotAllowed)
			return
		}
		c.cfg.Counters.Offer(ResultNotAllowed)
		if c.refuse.Allow() {
			c.log.Warn("offer refused", "user", m.Peer, "result", ResultNotAllowed.String())
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.caller(ctx, strings.ToLower(m.Peer))
	if one == nil {
		c.cfg.Counters.Dropped(DropCallers)
		return
	}
	select {
	case one.in <- m:
	default:
		c.cfg.Counters.Dropped(DropBusy)
	}
}

// caller returns the user's entry. If there is capacity, it creates a missing one. The caller holds mu.
func (c *calls) caller(ctx context.Context, key string) *caller {
	one := c.callers[key]
	if one != nil || len(c.callers) >= c.cfg.MaxCallers {
		return one
	}
	one = &caller{
		calls: c, key: key, in: make(chan Message, mailboxSize), changed: make(chan struct{}, 1),
		offers: rate.NewLimiter(rate.Every(offerEvery), offerBurst),
	}
	c.callers[key] = one
	c.wg.Go(func() { one.run(ctx) }) // unguarded: it guards each message
	return one
}

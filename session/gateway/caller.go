package gateway

import (
	"context"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"wavryhost/session"
)

const (
	// callerIdle is how often an idle caller checks whether it has a session left.
	callerIdle = 15 * time.Second
	// createTimeout bounds the creation of an answer. The other side waits about as long.
	createTimeout = 10 * time.Second
	// maxCandidates bounds the candidates of one session, and the early ones. A browser with many interfaces has a few
	// dozen.
	maxCandidates = 64
	// earlyFor is how long candidates are kept that come before their offer. The gateway's HTTP bridge may reorder
	// messages.
	earlyFor = 10 * time.Second
	// offerEvery and offerBurst bound the rate of one user's offers.
	offerEvery = 3 * time.Second
	offerBurst = 5
)

// caller handles one user's messages. Its goroutine owns all fields except in.
type caller struct {
	*calls
	key string // the name in lower case
	in  chan Message
	// changed has a token when the policy has changed.
	changed chan struct{}
	offers  *rate.Limiter
	// sessions are the user's sessions, oldest first. Some may have ended.
	sessions []call
	early    []early
}

// call is a session of a caller, with the number of candidates that the caller has sent for it.
type call struct {
	id         string
	role       session.Role
	candidates int
}

// early is a candidate that came before its offer.
type early struct {
	value string
	at    time.Time
}

// run handles the user's messages one at a time.
func (c *caller) run(ctx context.Context) {
	idle := time.NewTimer(callerIdle)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-c.in:
			_ = c.cfg.Guard.Run(part, func() { c.handle(ctx, m) }) // a panic is logged; the next message may succeed
			idle.Reset(callerIdle)
		case <-c.changed:
			_ = c.cfg.Guard.Run(part, func() { c.sweep(ctx) })
		case <-idle.C:
			if !c.busy() && c.leave() {
				return
			}
			idle.Reset(callerIdle)
		}
	}
}

// busy reports whether the user has a session.
func (c *caller) busy() bool {
	return slices.ContainsFunc(c.sessions, func(one call) bool {
		_, err := c.mgr.Session(one.id)
		return err == nil
	})
}

// leave removes the caller, unless another message has come.
func (c *caller) leave() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.in) > 0 {
		return false
	}
	delete(c.callers, c.key)
	return true
}

func (c *caller) handle(ctx context.Context, m Message) {
	if m.Kind == KindCandidate {
		c.candidate(ctx, m.Candidate)
		return
	}
	result, id, err := c.offer(ctx, m)
	c.cfg.Counters.Offer(result)
	switch {
	case result == ResultAnswered:
		c.log.Info("offer answered", "user", m.Peer, "session", id)
	case err != nil: // the manager has logged the error; this adds the user
		c.log.Info("offer refused", "user", m.Peer, "result", result.String(), "err", err)
	case c.refuse.Allow():
		c.log.Warn("offer refused", "user", m.Peer, "result", result.String())
	}
}

// offer creates a session and sends its answer. It leaves the user's other sessions alone: the session of a page that
// is gone ends without a request.
func (c *caller) offer(ctx context.Context, m Message) (Result, string, error) {
	if !c.offers.Allow() {
		return ResultRate, "", nil
	}
	p := c.policy.Load()
	if !p.allow.allows(c.key) { // the list may have changed since the message came
		return ResultNotAllowed, "", nil
	}
	c.prune()
	owner := session.Owner{Credential: session.CredentialGateway, Issuer: c.host, Name: c.key}
	inner, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	a, err := c.mgr.Create(inner, session.Offer{
		Display: c.cfg.Display, SDP: m.SDP, RemoteAddr: "gateway:" + m.Peer, UserAgent: "gateway",
		Role: p.role, Owner: owner, Guest: true,
	})
	c.cfg.Opened(owner, p.role, a.ID, err)
	if err != nil {
		return resultOf(err), "", err
	}
	if !c.out.put(Message{Kind: KindAnswer, Peer: m.Peer, SDP: a.SDP}) {
		// Nobody gets the answer, so nobody could connect.
		return ResultUndelivered, a.ID, c.mgr.End(ctx, a.ID, session.EndViewerGone, "")
	}
	c.sessions = append(c.sessions, call{id: a.ID, role: p.role})
	c.age()
	for _, e := range c.early {
		c.add(ctx, e.value)
	}
	c.early = nil
	return ResultAnswered, a.ID, nil
}

// prune forgets the sessions that have ended.
func (c *caller) prune() {
	c.sessions = slices.DeleteFunc(c.sessions, func(one call) bool {
		_, err := c.mgr.Session(one.id)
		return err != nil
	})
}

// sweep ends the sessions that the policy does not allow.
func (c *caller) sweep(ctx context.Context) {
	p := c.policy.Load()
	allowed := p.allow.allows(c.key)
	c.sessions = slices.DeleteFunc(c.sessions, func(one call) bool {
		if allowed && one.role == p.role {
			return false
		}
		if err := c.mgr.End(ctx, one.id, session.EndRevoked, ""); err == nil {
			c.log.Info("session of a user who may not watch any more, or not like that, ended", "user", c.key,
				"session", one.id)
		}
		return true
	})
}

// age drops candidates that have waited too long.
func (c *caller) age() {
	c.early = slices.DeleteFunc(c.early, func(e early) bool { return time.Since(e.at) >= earlyFor })
}

// candidate adds a candidate to the user's newest session, or keeps it for the next one.
func (c *caller) candidate(ctx context.Context, text string) {
	value, err := parseCandidate(text)
	if err != nil {
		c.cfg.Counters.Dropped(DropMalformed)
		c.log.Debug("candidate dropped", "user", c.key, "err", err)
		return
	}
	if len(c.sessions) > 0 {
		c.add(ctx, value)
		return
	}
	c.age()
	if len(c.early) >= maxCandidates {
		c.cfg.Counters.Dropped(DropBusy)
		return
	}
	c.early = append(c.early, early{value, time.Now()})
}

// add adds a candidate to the newest session. An invalid one does not affect the session.
func (c *caller) add(ctx context.Context, value string) {
	newest := &c.sessions[len(c.sessions)-1]
	if newest.candidates++; newest.candidates > maxCandidates {
		c.cfg.Counters.Dropped(DropBusy)
		return
	}
	if _, err := c.mgr.Patch(ctx, newest.id, "*", fragmentOf(value)); err != nil {
		c.cfg.Counters.Dropped(DropUnexpected)
		c.log.Debug("candidate dropped", "user", c.key, "session", newest.id, "err", err)
	}
}

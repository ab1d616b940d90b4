package pool

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"sort"
	"strconv"
	"time"

	"wavryhost/session/api/client"
	"wavryhost/session/fleet/bus"
)

// Wish describes a session for which a gateway needs a place.
type Wish struct {
	// ID identifies the placement: the same ID gives the same place within ten minutes. It defaults to a new one.
	ID string
	// Again says that the placement may have been made before, by this gateway or another one. Place then looks for its
	// host among all hosts first, which takes 0.3 s.
	Again bool
	// Pool and Region are labels of the host; empty means any.
	Pool, Region string
	// Profile, Display, Codec and Select are as in bus.Ask.
	Profile, Display, Codec, Select string
	// Reservation is what the host is asked for. Its Display is that of the bid if it is empty.
	Reservation client.ReservationRequest
}

// Place is a place for a session.
type Place struct {
	// Host is the ID of the host in the fleet.
	Host string `json:"host"`
	client.NewReservation
}

// FullError means that no host has room.
type FullError struct {
	// Asked is the number of hosts that answered.
	Asked int
	// Retry is when to try again, with jitter.
	Retry time.Duration
}

func (e *FullError) Error() string {
	return fmt.Sprintf("fleet: none of the %d hosts that answered has room; try again in %v", e.Asked,
		e.Retry.Round(time.Millisecond))
}

const (
	// bidWait is how long Find waits for the first bid, or for refusals. Refusals come within 50 ms.
	bidWait = 300 * time.Millisecond
	// shardTries is how many shards are asked before all hosts are: a shard may be empty, or full.
	shardTries = 2
	// bidWindow is how long Find collects bids after the first: it is the best, or nearly so.
	bidWindow = 4 * time.Millisecond
	// reserveWait bounds the wait for the answer of the host that is chosen, before it is asked again.
	reserveWait = 2 * time.Second
	// silence is the longest pause before hosts are asked again when none answered, and again that before a host is.
	silence = time.Second
	again   = 200 * time.Millisecond
	// rounds is how often Place asks for bids: in a rush, others may take the places of a round.
	rounds = 4
	// leastRetry is the time to try again if no host names one.
	leastRetry = 2 * time.Second
)

// Find returns the bids for a session, best first. Without any it returns a *FullError, or ErrNoHost.
func (c *Client) Find(ctx context.Context, w Wish) ([]bus.Bid, error) {
	q := bus.Ask{ID: cmp.Or(w.ID, rand.Text()), Profile: w.Profile, Display: w.Display, Codec: w.Codec, Select: w.Select}
	if err := q.Validate(); err != nil {
		return nil, err
	}
	poolName, region := cmp.Or(w.Pool, bus.Any), cmp.Or(w.Region, bus.Any)
	all := bus.SubjectAsk(poolName, region, bus.ShardAll)
	if n := c.known(all); n > 2*sample && !w.Again {
		q.Share = min(1, sample*bus.Shards/n)
		for range shardTries {
			shard := strconv.Itoa(mathrand.IntN(bus.Shards))
			bids, answers, err := c.ask(ctx, bus.SubjectAsk(poolName, region, shard), q, bidWait, false)
			full, refused := errors.AsType[*FullError](err)
			switch {
			case err == nil:
				c.learn(all, float64(answers)*bus.Shards/q.Share)
				return bids, nil
			case refused && full.Asked == 0: // slow hosts or servers: a question to all would make it worse
				return nil, err
			case !refused && !errors.Is(err, ErrNoHost):
				return nil, err
			}
		}
	}
	q.Share = 0
	bids, answers, err := c.ask(ctx, all, q, bidWait, w.Again)
	c.learn(all, float64(answers))
	return bids, err
}

// sample is how many hosts answer a question in a large pool: the best of twelve is nearly the best of all, and each
// answer costs the servers a message.
const sample = 12

// known returns how many hosts answer a question, about.
func (c *Client) known(subject string) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hosts[subject]
}

// learn notes how many hosts answer a question. Some answer later than a gateway waits, so it is rather too low.
func (c *Client) learn(subject string, hosts float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const slowly = 0.95 // hosts leave, too
	c.hosts[subject] = max(hosts, c.hosts[subject]*slowly)
}

// ask asks hosts, and waits for their bids. It returns the number of answers, too.
func (c *Client) ask(
	ctx context.Context, subject string, q bus.Ask, wait time.Duration, all bool,
) (bids []bus.Bid, answers int, err error) {
	mail, err := c.inbox.expect(c.nc)
	if err != nil {
		return nil, 0, err
	}
	defer mail.close()
	if err := c.nc.PublishRequest(subject, mail.subject, bus.Encode(q)); err != nil {
		return nil, 0, fmt.Errorf("fleet: %w", err)
	}
	return collect(ctx, mail, wait, all)
}

// collect waits for bids, with all set until the end. It returns the number of hosts that answered.
func collect(
	ctx context.Context, answered *mail, wait time.Duration, all bool,
) (bids []bus.Bid, answers int, err error) {
	full := &FullError{Retry: math.MaxInt64}
	deadline := time.Now().Add(wait)
	for ctx.Err() == nil {
		m, err := answered.next(ctx, deadline)
		if err == nil && bus.Unheard(m) {
			return nil, 0, ErrNoHost
		}
		if err != nil {
			break
		}
		b, err := bus.ParseBid(m)
		switch {
		case err != nil:
			continue // a host of another version, or a forger; the others count
		case b.Refusal != "":
			full.Asked++
			full.Retry = min(full.Retry, b.Retry())
			continue
		case b.Held:
			return []bus.Bid{b}, full.Asked + len(bids) + 1, nil
		case len(bids) == 0 && !all:
			deadline = time.Now().Add(bidWindow)
		}
		bids = append(bids, b)
	}
	answers = full.Asked + len(bids)
	if err := ctx.Err(); err != nil {
		return nil, answers, fmt.Errorf("fleet: %w", err)
	}
	if len(bids) > 0 {
		order(bids)
		return bids, answers, nil
	}
	if full.Asked == 0 {
		full.Retry = 0
	}
	full.Retry = max(full.Retry, leastRetry) + mathrand.N(leastRetry)
	return nil, answers, full
}

// order sorts bids, best first. Equal ones get a random order, so that gateways that ask at the same time do not all
// choose the same host.
func order(bids []bus.Bid) {
	mathrand.Shuffle(len(bids), func(i, j int) { bids[i], bids[j] = bids[j], bids[i] })
	sort.SliceStable(bids, func(i, j int) bool { return bids[i].Score > bids[j].Score })
}

// Place finds a host and reserves a place there. The host decides: a bid is no promise. If the chosen host does not
// answer, Place asks it again until ctx ends, because the place may be reserved there. The error is a *FullError if no
// host has room. A later call with the same ID asks the host that did not answer first, and others only if it does not
// listen.
func (c *Client) Place(ctx context.Context, w Wish) (Place, error) {
	w.ID = cmp.Or(w.ID, rand.Text())
	if b, ok := c.resume(w.ID, time.Now()); ok {
		if p, err := c.reserve(ctx, w, b); err == nil || !elsewhere(err) {
			return p, err
		}
	}
	var err error
	for round := range rounds {
		var bids []bus.Bid
		if bids, err = c.Find(ctx, w); err != nil {
			if full, ok := errors.AsType[*FullError](err); ok && full.Asked == 0 && round < rounds-1 {
				pause(ctx, silence) // the connection to NATS may be lost for a moment; nothing is reserved yet
				continue
			}
			return Place{}, err
		}
		for _, b := range bids {
			var p Place
			if p, err = c.reserve(ctx, w, b); err == nil {
				return p, nil
			}
			if !elsewhere(err) {
				return Place{}, err
			}
		}
	}
	full := &FullError{Asked: 1, Retry: leastRetry + mathrand.N(leastRetry)}
	if e, ok := errors.AsType[*client.Error](err); ok {
		full.Retry = max(full.Retry, e.RetryAfter+mathrand.N(leastRetry))
	}
	return Place{}, full
}

// pause waits for a random time of up to d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(mathrand.N(d))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// elsewhere reports whether another host may do what one has refused: this one is full, busy, draining or away, or the
// display is gone.
func elsewhere(err error) bool {
	if errors.Is(err, ErrNoHost) {
		return true
	}
	e, ok := errors.AsType[*client.Error](err)
	return ok && (e.Problem.Status == http.StatusServiceUnavailable || e.Problem.Status == http.StatusTooManyRequests ||
		e.Problem.Status == http.StatusNotFound)
}

// reserve asks a host for a place until it answers, or until it is clear that it never had the request.
func (c *Client) reserve(ctx context.Context, w Wish, b bus.Bid) (Place, error) {
	q := w.Reservation
	q.Display = cmp.Or(q.Display, b.Display)
	for had := b.Held; ; had = true {
		p, err := c.tryReserve(ctx, w.ID, b.Host, q)
		_, answered := errors.AsType[*client.Error](err)
		if err == nil || answered || !had && errors.Is(err, ErrNoHost) {
			return p, err
		}
		pause(ctx, again)
		if ctx.Err() != nil {
			c.leave(w.ID, b, time.Now())
			return Place{}, err
		}
	}
}

// tryReserve asks a host once.
func (c *Client) tryReserve(ctx context.Context, key, id string, q client.ReservationRequest) (Place, error) {
	ctx, cancel := context.WithTimeout(ctx, reserveWait)
	defer cancel()
	h, err := client.New(client.Config{
		URL: "http://" + id, HTTP: &http.Client{Transport: transport{c, id}}, Attempts: 1,
	})
	if err != nil {
		return Place{}, fmt.Errorf("fleet: %w", err)
	}
	n, err := h.Reservations.Create(ctx, key, q)
	return Place{id, n}, err
}

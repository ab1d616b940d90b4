// Package outbox carries the events of the host to a receiver: in order, and each at least once. Events wait in an
// outbox, a file that survives the daemon. The outbox is bounded: when a receiver is away for too long, the oldest
// events are replaced by one event of the kind "gap".
package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"wavryhost/platform/guard"
	"wavryhost/session"
)

const (
	// firstPause is the pause after a failure; each further one is twice as long.
	firstPause = time.Second
	// maxAsked bounds the pause that a receiver may ask for.
	maxAsked = time.Hour
	// tidyInterval is the time after which the file knows of deliveries, and after which a file that could not be
	// written is tried again.
	tidyInterval = 5 * time.Second
)

// Setup is what a Courier needs. All fields are required.
type Setup struct {
	// Receiver names the receiver in logs, and Runbook is the document on its failures.
	Receiver, Runbook string
	// From has the events of this run of the daemon.
	From Journal
	// Deliver delivers an item once, and returns nil when the receiver has it. An error may be a Delayed.
	Deliver func(ctx context.Context, one Item) error
	// LongestPause bounds the pauses after failures.
	LongestPause time.Duration
	// Guard catches panics.
	Guard   *guard.Guard
	Metrics *Metrics
	Log     *slog.Logger
}

// Config says which events are kept and delivered. The zero Config means none.
type Config struct {
	// Path is the file for events that wait. The first one stays in use.
	Path string
	// Kinds are the kinds of events. Empty means all.
	Kinds []string
}

// Journal has the events of this run of the daemon; see session.Journal.
type Journal interface {
	Events(after uint64) (list []session.EventRecord, lost bool, more <-chan struct{})
}

// Delayed is an error of a receiver that asks for a pause; zero for none.
type Delayed interface {
	error
	RetryAfter() time.Duration
}

// Courier carries the events of a journal to a receiver.
type Courier struct {
	s Setup

	taking sync.Mutex // held while events are taken from the journal, and taken before mu
	after  uint64     // number of the last event that was taken; guarded by taking

	mu      sync.Mutex // guards all following fields
	cfg     Config
	box     *box // nil as long as there was no path, and before Run
	running bool
	changed chan struct{} // closed when cfg changes
}

// New returns a Courier. Run reads the outbox of the daemon before, which may still be running.
func New(s Setup, cfg Config) *Courier {
	s.Log = s.Log.With("receiver", s.Receiver)
	return &Courier{s: s, cfg: cfg, changed: make(chan struct{})}
}

// Reconfigure changes what is delivered, and ends a pause. The outbox stays the same.
func (c *Courier) Reconfigure(cfg Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cfg = cfg
	close(c.changed)
	c.changed = make(chan struct{})
	if c.running {
		c.open()
	}
}

// open opens the outbox, if there is one. The caller holds mu.
func (c *Courier) open() {
	cfg := c.cfg
	if cfg.Path == "" || c.box != nil {
		return
	}
	b, err := load(cfg.Path, c.s.Metrics, c.report)
	if err != nil {
		c.s.Log.Error("events of the daemon before are lost: the outbox is not understood", "err", err,
			"remedy", "compare the receiver's sessions with GET /v1/sessions; the file was kept beside the outbox")
	}
	if n := b.len(); n > 0 {
		c.s.Log.Info("events of the daemon before wait", "events", n)
	}
	c.box = b
}

// started reports whether Run was called.
func (c *Courier) started() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// current returns the configuration, the outbox (nil while no event is kept), and a channel that is closed when the
// configuration changes.
func (c *Courier) current() (Config, *box, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfg.Path == "" {
		return c.cfg, nil, c.changed
	}
	return c.cfg, c.box, c.changed
}

// Run delivers events until ctx ends. Then it collects events no longer; see Flush.
func (c *Courier) Run(ctx context.Context) error {
	c.mu.Lock()
	c.running = true
	c.open()
	c.mu.Unlock()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		for ctx.Err() == nil {
			// After a panic the next round continues with the same event.
			_ = c.s.Guard.Run(c.s.Receiver, func() { c.deliver(ctx) })
			sleep(ctx, firstPause)
		}
	})
	tidy := time.NewTicker(tidyInterval)
	defer tidy.Stop()
	for {
		more := c.collect()
		select {
		case <-more:
		case <-tidy.C:
			if _, b, _ := c.current(); b != nil {
				b.save()
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Waiting collects the last events, and returns how many wait for delivery.
func (c *Courier) Waiting() int {
	c.collect()
	_, b, _ := c.current()
	if b == nil {
		return 0
	}
	return b.len()
}

// Flush collects the last events, and tries to deliver what waits until ctx ends. The rest waits for the next daemon.
// It is called after Run, when the other parts of the daemon have ended.
func (c *Courier) Flush(ctx context.Context) {
	c.collect()
	_, b, _ := c.current()
	if b == nil {
		return
	}
	for ctx.Err() == nil {
		one, ok := b.first()
		if !ok || c.s.Deliver(ctx, one) != nil {
			break
		}
		b.done(one)
	}
	c.taking.Lock()
	defer c.taking.Unlock()
	b.end(c.after)
	if n := b.len(); n > 0 {
		c.s.Log.Warn("events wait for the next daemon", "events", n)
	}
}

// collect takes new events from the journal into the outbox. It returns a channel that is closed when there are more.
func (c *Courier) collect() <-chan struct{} {
	c.taking.Lock()
	defer c.taking.Unlock()
	cfg, b, _ := c.current()
	list, lost, more := c.s.From.Events(c.after)
	if len(list) == 0 || !c.started() {
		return more
	}
	if b == nil {
		c.after = list[len(list)-1].ID
		return more
	}
	var items []Item
	if lost || b.gap(list[0].ID-1) {
		items = append(items, gapItem(max(c.after, b.last()), list[0].ID, list[0].At))
	}
	for _, e := range list {
		c.after = e.ID
		if len(cfg.Kinds) > 0 && !slices.Contains(cfg.Kinds, e.Kind) {
			continue
		}
		data, err := json.Marshal(e)
		if err != nil {
			continue // it has nothing that cannot be encoded
		}
		items = append(items, Item{ID: e.ID, Kind: e.Kind, At: e.At, Data: data})
	}
	if len(items) > 0 {
		b.add(items)
	}
	return more
}

// report logs that the outbox file cannot be written, or is written again.
func (c *Courier) report(err error) {
	if err == nil {
		c.s.Log.Info("outbox is written again")
		return
	}
	c.s.Log.Error("outbox cannot be written: events that wait are lost if the daemon ends now", "err", err,
		"remedy", "free or repair the disk; "+c.s.Runbook)
}

// deliver delivers what waits, in order, until ctx ends.
func (c *Courier) deliver(ctx context.Context) {
	failures := 0
	for {
		_, b, changed := c.current()
		one, ok := Item{}, false
		var more <-chan struct{}
		if b != nil {
			more = b.more()
			one, ok = b.first()
		}
		if !ok {
			select {
			case <-more:
			case <-changed:
			case <-ctx.Done():
				return
			}
			continue
		}
		err := c.s.Deliver(ctx, one)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			b.done(one)
			if failures > 0 {
				c.s.Log.Info("events are delivered again", "failures", failures)
			}
			failures = 0
			continue
		case failures == 0:
			c.s.Log.Warn("events are not delivered; they wait", "err", err, "remedy", c.s.Runbook)
		}
		failures++
		pause := time.NewTimer(c.pauseAfter(err, failures))
		select {
		case <-pause.C:
		case <-changed:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// pauseAfter returns the pause after that many failures.
func (c *Courier) pauseAfter(err error, failures int) time.Duration {
	pause := min(firstPause<<min(failures-1, 10), c.s.LongestPause)
	if d, ok := errors.AsType[Delayed](err); ok {
		pause = max(pause, min(d.RetryAfter(), maxAsked))
	}
	return pause + rand.N(pause/4+1) //nolint:gosec // it spreads attempts, and protects nothing
}

// sleep waits, or returns when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

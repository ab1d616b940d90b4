package relay

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/pion/logging"

	"wavryhost/platform/guard"
)

const (
	// defaultTimeout bounds a probe: three retransmissions of STUN.
	defaultTimeout = 3 * time.Second
	// atOnce bounds the simultaneous probes, and so the sockets.
	atOnce = 4
	// spread is the random part of a pause, so that hosts do not probe a server at the same time.
	spread = 0.2
)

// part names probes in reports of panics.
const part = "relay"

// Config configures a Watch.
type Config struct {
	// Sources returns the local addresses to probe from. If it is nil, the system chooses.
	Sources func() []netip.Addr
	// Logs receives pion's log.
	Logs logging.LoggerFactory
	// Guard catches panics of probes, which parse what servers send. It may be nil.
	Guard *guard.Guard
	// Tell is called for each change between up and down, also by several goroutines at the same time. It returns the
	// number of the event that it made. It may be nil.
	Tell func(ServerStatus) (event uint64)
}

// ServerStatus is the status of one URL of a server. `doc` and `set` are as in package session.
type ServerStatus struct {
	URL       string    `json:"url" doc:"URL of the server."`
	Region    string    `json:"region,omitempty" doc:"Region of the server, if it has one."`
	Priority  int       `json:"priority" doc:"Priority in the region; a number of 0 to 1000, the lowest goes first."`
	State     string    `json:"state" set:"ICEServerState" doc:"Whether it works: unknown before the first probes, up, or down."`
	Since     time.Time `json:"since" doc:"When the state was entered."`
	Checked   time.Time `json:"checked,omitzero" doc:"Time of the last probe."`
	Reason    string    `json:"reason,omitempty" set:"ICEServerReason" doc:"Why the last probe failed; missing if it succeeded."`
	Error     string    `json:"error,omitempty" doc:"The error, for people."`
	RTT       float64   `json:"rtt_seconds" doc:"Round-trip time of the last successful probe, in seconds."`
	Unhelpful uint64    `json:"sessions_without_relay" doc:"Number of sessions that got no relayed address from this server or from any other that they used."`
}

// target is one URL of a server. Watch's mutex guards the variable fields.
type target struct {
	url    string
	at     address
	server int // its index
	of     Server

	health    health
	due       time.Time
	asking    bool
	unhelpful uint64
}

func (t *target) status() ServerStatus {
	h := t.health
	return ServerStatus{
		URL: t.url, Region: t.of.Region, Priority: t.of.Priority, State: string(h.state), Since: h.since,
		Checked: h.checked,
		Reason:  string(h.reason), Error: h.text, RTT: h.rtt.Seconds(), Unhelpful: t.unhelpful,
	}
}

// Watch probes servers while Run runs, and chooses among them. Its methods may be called from several goroutines.
type Watch struct {
	cfg   Config
	log   *slog.Logger
	met   *Metrics
	probe func(ctx context.Context, a address, username, credential string) (time.Duration, error)
	// changed has a token when the schedule has changed.
	changed chan struct{}

	mu      sync.Mutex // guards all following fields
	servers []Server
	prefer  []string
	targets []*target
}

// New returns a Watch without servers.
func New(cfg Config, m *Metrics, log *slog.Logger) *Watch {
	return &Watch{
		cfg: cfg, log: log, met: m, probe: prober{
			sources: cfg.Sources, logs: cfg.Logs,
			guard: cfg.Guard,
		}.probe, changed: make(chan struct{}, 1),
	}
}

// Set replaces the servers, which are valid, and the preferred regions, best first. It keeps the state of servers that
// stay.
func (w *Watch) Set(servers []Server, prefer []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.targets
	w.servers, w.prefer, w.targets = slices.Clone(servers), slices.Clone(prefer), nil
	now := time.Now()
	for i, s := range w.servers {
		for _, u := range s.URLs {
			at, err := parse(u)
			if err != nil {
				continue // Validate refuses it
			}
			t := &target{url: u, at: at, server: i, of: s, due: now, health: health{state: StateUnknown, since: now}}
			if k := slices.IndexFunc(old, func(o *target) bool {
				return o.url == u && reflect.DeepEqual(o.of,
					s)
			}); k >= 0 {
				t = old[k]
				t.server = i
				old = slices.Delete(slices.Clone(old), k, k+1)
			}
			w.targets = append(w.targets, t)
		}
	}
	for _, t := range old {
		w.met.forget(t)
	}
	for _, t := range w.targets {
		w.met.state(t)
	}
	w.hint()
}

func (w *Watch) hint() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Choose returns the servers for a session, best first: servers of region, which may be empty, before servers of the
// preferred regions.
func (w *Watch) Choose(region string) []Server {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]judged, len(w.servers))
	for i, s := range w.servers {
		all[i].Server = s
	}
	for _, t := range w.targets {
		if t.health.state != StateDown {
			all[t.server].alive = append(all[t.server].alive, t.url)
		}
	}
	prefer := w.prefer
	if region != "" && slices.ContainsFunc(w.servers, func(s Server) bool { return s.Region == region }) {
		prefer = append([]string{region}, prefer...)
	}
	return choose(all, prefer)
}

// Status returns all servers, one entry for each URL, in the order of the configuration.
func (w *Watch) Status() []ServerStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := []ServerStatus{}
	for _, t := range w.targets {
		list = append(list, t.status())
	}
	return list
}

// Doubt notes that a session got no relayed address from servers, and schedules probes of them.
func (w *Watch) Doubt(servers []Server) {
	w.met.unhelpful.Inc()
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for _, t := range w.targets {
		if !t.at.turn || !slices.ContainsFunc(servers, func(s Server) bool { return slices.Contains(s.URLs, t.url) }) {
			continue
		}
		t.unhelpful++
		// The number of complaining sessions does not increase the rate of the probes.
		if soon := t.health.checked.Add(whileDoubtful); soon.Before(t.due) {
			t.due = later(now, soon)
		}
	}
	w.hint()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Run probes the servers until ctx ends, and then waits for all probes. It returns nil.
func (w *Watch) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	slots := make(chan struct{}, atOnce)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-w.changed:
		}
		next := w.start(time.Now(), func(t *target) bool {
			select {
			case slots <- struct{}{}:
			default:
				return false // the end of a probe wakes this loop
			}
			group.Go(func() { // unguarded: the probe in it is guarded
				defer w.hint()
				defer func() { <-slots }()
				w.ask(ctx, t)
			})
			return true
		})
		timer.Reset(next)
	}
}

// start starts the probes that are due, the longest overdue first, and returns the time until the next one.
func (w *Watch) start(now time.Time, begin func(*target) bool) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := time.Hour
	var due []*target
	for _, t := range w.targets {
		switch {
		case t.asking:
		case t.due.After(now):
			next = min(next, t.due.Sub(now))
		default:
			due = append(due, t)
		}
	}
	slices.SortStableFunc(due, func(a, b *target) int { return a.due.Compare(b.due) })
	for _, t := range due {
		if t.asking = begin(t); !t.asking {
			break
		}
	}
	return next
}

// ask probes one server and notes the result.
func (w *Watch) ask(ctx context.Context, t *target) {
	within, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	s := t.of.For("probe", time.Now(), time.Time{})
	var rtt time.Duration
	var err error
	if p := w.cfg.Guard.Run(part, func() { rtt, err = w.probe(within, t.at, s.Username, s.Credential) }); p != nil {
		err = p
	}
	var (
		reason Reason
		text   string
	)
	if err != nil {
		reason, text = reasonOf(err)
	}
	now := time.Now()
	w.mu.Lock()
	t.asking = false
	if ctx.Err() != nil || !slices.Contains(w.targets, t) {
		w.mu.Unlock()
		return // Run ends, or the server is no longer configured
	}
	before := t.health.state
	changed := t.health.step(now, rtt, reason, text)
	pause := t.health.pause()
	t.due = now.Add(time.Duration(float64(pause) * (1 - spread + 2*spread*rand.Float64()))) //nolint:gosec // not a secret
	w.met.probed(t)
	status := t.status()
	w.mu.Unlock()
	if changed {
		w.tell(before, status)
	}
}

// tell reports a change. The first state of a working server is not worth an event.
func (w *Watch) tell(before State, s ServerStatus) {
	attrs := []any{"server", s.URL, "region", s.Region, "rtt_seconds", s.RTT}
	if before == StateUnknown && s.State == string(StateUp) {
		w.log.Info("ice server works", attrs...)
		return
	}
	if w.cfg.Tell != nil {
		attrs = append([]any{"event", w.cfg.Tell(s)}, attrs...)
	}
	if s.State == string(StateUp) {
		w.log.Info("ice server up", attrs...)
		return
	}
	w.log.Warn("ice server down", append(attrs, "reason", s.Reason, "err", s.Error)...)
}

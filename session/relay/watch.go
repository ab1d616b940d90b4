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

	"wavryhost/session/guard"
)

const (
	// defaultTimeout is how long a probe may take: three of STUN's retransmissions.
	defaultTimeout = 3 * time.Second
	// atOnce is how many probes, and so sockets, there are at a time.
	atOnce = 4
	// spread is the part of a pause that is left to chance, so that hosts do not ask a server in step.
	spread = 0.2
)

// part names probes where a panic is caught.
const part = "relay"

// Config is what a Watch needs to know.
type Config struct {
	// Sources returns the local addresses to probe from. It may be nil, for whichever the system takes.
	Sources func() []netip.Addr
	// Logs is where pion's words go.
	Logs logging.LoggerFactory
	// Guard catches panics of probes, which parse what servers send. It may be nil.
	Guard *guard.Guard
	// Tell is called for each change between up and down, also by several goroutines at a time, and returns the number of the event that it made. It may be nil.
	Tell func(ServerStatus) (event uint64)
}

// ServerStatus is what is known of one URL of a server. `doc` and `set` are as in package session.
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

// target is one URL of a server. Watch's mutex guards what is not constant.
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
		URL: t.url, Region: t.of.Region, Priority: t.of.Priority, State: string(h.state), Since: h.since, Checked: h.checked,
		Reason: string(h.reason), Error: h.text, RTT: h.rtt.Seconds(), Unhelpful: t.unhelpful,
	}
}

// Watch probes servers while Run runs, and chooses among them. Its methods may be called from several goroutines.
type Watch struct {
	cfg   Config
	log   *slog.Logger
	met   *Metrics
	probe func(ctx context.Context, a address, username, credential string) (time.Duration, error)
	// changed has room for one token: what is due has changed.
	changed chan struct{}

	mu      sync.Mutex // guards the rest
	servers []Server
	prefer  []string
	targets []*target
}

// New returns a Watch of no servers.
func New(cfg Config, m *Metrics, log *slog.Logger) *Watch {
	return &Watch{
		cfg: cfg, log: log, met: m, probe: prober{sources: cfg.Sources, logs: cfg.Logs, guard: cfg.Guard}.probe, changed: make(chan struct{}, 1),
	}
}

// Set replaces the servers, which are valid, and the regions to prefer, best first. What is known of servers that stay is kept.
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
			if k := slices.IndexFunc(old, func(o *target) bool { return o.url == u && reflect.DeepEqual(o.of, s) }); k >= 0 {
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

// Choose returns the servers that a session is to use, best first, those of region before those that are preferred anyway; region may be empty.
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

// Status shows all servers, one for each URL, in the order of the configuration.
func (w *Watch) Status() []ServerStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := []ServerStatus{}
	for _, t := range w.targets {
		list = append(list, t.status())
	}
	return list
}

// Doubt notes that a session got no relayed address of any of servers, and has them probed soon.
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
		// However many sessions complain, a server is asked no more often than in doubt anyway.
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

// Run probes the servers until ctx ends, and has then waited for all probes. It returns nil.
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
				return false // one that ends hints
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

// start begins to ask those that are due, the one that waits longest first, and returns how long it is until the next one is.
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

// ask probes one server and takes note.
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
		return // it stops, or the server is not in the configuration any longer
	}
	before := t.health.state
	changed := t.health.step(now, rtt, reason, text)
	pause := t.health.pause()
	t.due = now.Add(time.Duration(float64(pause) * (1 - spread + 2*spread*rand.Float64()))) //nolint:gosec // chance, not secrecy
	w.met.probed(t)
	status := t.status()
	w.mu.Unlock()
	if changed {
		w.tell(before, status)
	}
}

// tell makes a change known. That a server is up at first is nothing to wake anybody for.
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

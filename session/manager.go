package session

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/platform/guard"
	"wavryhost/session/admission"
	"wavryhost/session/floor"
	"wavryhost/session/hoststate"
	"wavryhost/session/peer"
	"wavryhost/session/pipeline"
	"wavryhost/session/pointer"
	"wavryhost/session/relay"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Manager opens sessions and gives access to them and to the parts that own something: the registry owns the sessions,
// floor.Control the control of displays, HostState the state of the host. Its methods may be called from several
// goroutines. Run must be running for sessions to be ended by their deadlines.
type Manager struct {
	conf    *live
	log     *slog.Logger
	met     *Metrics
	guard   *guard.Guard
	started time.Time

	opener       *opener
	registry     *registry
	host         *HostState
	reservations *Reservations
	journal      *Journal
	refusals     *refusals
	catalog      *catalog
	shedder      *shedder
	uplink       *uplink

	network *peer.Network
	// pool holds the open displays and the encoders, watched the displays in use.
	pool    *pipeline.Pool
	watched watched
	relays  *relay.Watch
	floor   *floor.Control
	resizer *resizer
	// pointers follows the pointers of displays.
	pointers *pointer.Hub
}

// NewManager returns a Manager without sessions. Writing to log must not block: records are written by goroutines that
// send pictures, and with locks held.
func NewManager(cfg Config, log *slog.Logger, m *Metrics) (*Manager, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	ports := cfg.network()
	ports.OnCut = func(reason string) { m.mediaCut.WithLabelValues(reason).Inc() }
	network, err := peer.NewNetwork(ports, log)
	if err != nil {
		return nil, err
	}
	events := &news{}
	g := &Manager{
		conf: newLive(cfg), log: log, met: m, guard: m.guard(log, nil), started: time.Now(), network: network,
	}
	g.journal = newJournal(g.started, m, events)
	emit := g.journal.emit
	g.relays = newRelays(cfg, ports, log, m, emit)
	g.pool = pipeline.NewPool(func() pipeline.Config { return g.conf.get().poolConfig() }, cfg.Encoders, pipeline.Deps{
		Log: log, Metrics: m.pipeline, Observer: displayEvents{emit}, Progress: cfg.Progress,
		Guard: func(log *slog.Logger) *guard.Guard { return m.guard(log, nil) },
	})
	g.pointers = pointer.NewHub(log, g.guard)
	g.floor = floor.New(func() floor.Settings {
		return floor.Settings{Policy: g.conf.get().Input, Idle: g.conf.get().ControlIdle}
	}, log, m.floor, g.guard)
	g.catalog = &catalog{conf: g.conf, watched: &g.watched, log: log, emit: emit}
	g.shedder = &shedder{
		conf: g.conf, log: log, met: m, emit: emit,
		load: func(now time.Time) pipeline.Load { return g.pool.Load(now, encode.Format{}) },
	}
	g.uplink = &uplink{conf: g.conf}
	g.refusals = &refusals{log: log, met: m, emit: emit, open: g.pool.Open, last: make(map[string]time.Time)}
	g.registry = newRegistry(log, m, emit, &capacity{g.conf, g.pool})
	g.reservations = &Reservations{
		registry: g.registry, catalog: g.catalog,
		refused: func(err error, display string) { g.refusals.tell(err, display) },
	}
	g.registry.host = hoststate.New(hoststate.Config{
		Settings: func() hoststate.Settings { return g.conf.get().hostSettings() },
		Sessions: hostSessions{g.registry}, Trouble: func() string { return g.pool.Health().String() },
		News: events.take, Emit: func(e hoststate.Event) uint64 { return emit(hostEvent(e)) },
	}, log, m.host)
	g.host = &HostState{
		conf: g.conf, log: log, lend: network.Lend, mu: &g.registry.mu, state: g.registry.host,
		saving: make(chan struct{}, 1),
	}
	g.resizer = &resizer{
		conf: g.conf, catalog: g.catalog, registry: g.registry, emit: emit, log: log,
		rates: make(map[string]*rate.Limiter),
	}
	g.opener = &opener{
		conf: g.conf, log: log, met: m, apart: NewMetrics(prometheus.NewRegistry()), emit: emit,
		registry: g.registry, catalog: g.catalog, floor: g.floor, pool: g.pool, pointers: g.pointers,
		watched: &g.watched, relays: g.relays, network: network,
		crowded: g.shedder.crowded, settle: settleRoute,
	}
	g.registry.host.Begin(g.started, cfg.OnProbation, cfg.Orders)
	m.forecast.follow(g.registry, g.catalog)
	return g, nil
}

// HostState returns the state of the host: drains and probations.
func (m *Manager) HostState() *HostState { return m.host }

// Reservations returns the places that are kept for sessions to come.
func (m *Manager) Reservations() *Reservations { return m.reservations }

// Journal returns the events.
func (m *Manager) Journal() *Journal { return m.journal }

// Guard catches and counts panics in parts that work for sessions.
func (m *Manager) Guard() *guard.Guard { return m.guard }

// Create admits a viewer and answers its offer. The answer has all candidates of this host.
func (m *Manager) Create(ctx context.Context, o Offer) (Answer, error) {
	o.begun = time.Now()
	a, err := m.opener.create(ctx, o)
	if err != nil && !o.Probe {
		if give := m.conf.get().Trace; m.refusals.tell(err, o.Display) && give != nil {
			give(refusal(time.Now(), o, m.refusals.known(o.Display), err))
		}
		m.log.Debug("offer refused", "remote", o.RemoteAddr, "err", err)
	}
	return a, err
}

// End ends a session. note is an operator's text for the log and the event. When it returns nil, everything that the
// session held is released. When ctx ends first, the release continues without the caller.
func (m *Manager) End(ctx context.Context, id string, why EndReason, note string) error {
	return m.registry.end(ctx, id, why, note)
}

// Patch takes a trickle-ice-sdpfrag (RFC 8840) for a session: candidates, or the credentials of an ICE restart.
// ifMatch is the session's entity tag, "*", or empty for no condition.
func (m *Manager) Patch(ctx context.Context, id, ifMatch, text string) (Patched, error) {
	s, err := m.registry.find(id)
	if err != nil {
		return Patched{}, err
	}
	f, err := peer.ParseFragment(text)
	if err != nil {
		return Patched{}, err
	}
	return s.patch(ctx, ifMatch, f)
}

// RequestKeyframe asks a session's controller for a keyframe, as its viewer could. The controller decides when, and
// makes one of requests that come together.
func (m *Manager) RequestKeyframe(id string) error {
	s, err := m.registry.find(id)
	if err != nil {
		return err
	}
	m.met.requests.WithLabelValues(requestOperator).Inc()
	s.adaptation.requestKeyframe(adapt.KeyframeOperator)
	s.sub.nudge()
	return nil
}

// ReportViewer takes the report of a session's own viewer.
func (m *Manager) ReportViewer(id string, r ViewerReport) error {
	s, err := m.registry.find(id)
	if err != nil {
		return err
	}
	s.report(time.Since(s.created), r)
	return nil
}

// Session shows one session.
func (m *Manager) Session(id string) (Snapshot, error) {
	s, err := m.registry.find(id)
	if err != nil {
		return Snapshot{}, err
	}
	return m.host.show(s), nil
}

// Sessions shows all sessions, oldest first.
func (m *Manager) Sessions() []Snapshot {
	list := []Snapshot{}
	for _, s := range m.registry.list() {
		list = append(list, m.host.show(s))
	}
	return list
}

// errNoRecorder is for controllers that were handed in and are not adapt's.
var errNoRecorder = errors.New("session: this controller is not recorded")

// WriteRecording writes the flight recording of a session: the last minutes of what its controller was told and
// decided. Package adapt/record reads it.
func (m *Manager) WriteRecording(id string, w io.Writer) error {
	s, err := m.registry.find(id)
	if err != nil {
		return err
	}
	r := s.adaptation.recording()
	if r == nil {
		return errNoRecorder
	}
	return r.Write(w)
}

// Host shows the machine.
func (m *Manager) Host() Host {
	h := Host{Started: m.started, Displays: []DisplayInfo{}, Encoders: []EncoderInfo{}}
	m.registry.mu.Lock()
	v := m.registry.host.View()
	h.State, h.StateReason, h.StateSince, h.Cordon, h.Drain = v.State, v.Reason, v.Since, v.Cordon, v.Drain
	if v.Drain != nil {
		h.DrainDeadline = v.Drain.Deadline
	}
	h.Sessions, h.Limit = len(m.registry.sessions), m.registry.host.Limit()
	m.registry.mu.Unlock()
	if load := m.conf.get().Load; load != nil {
		l := load()
		h.Load = &l
	}
	h.ICEServers = m.relays.Status()
	displays := m.catalog.list(context.Background())
	h.Default = standard(displays)
	for _, d := range displays {
		i := DisplayInfo{
			ID: d.ID, Name: d.Name, Backend: d.Backend, Width: d.Width, Height: d.Height,
			Layout: d.Layout, Group: d.Group, State: cmp.Or(d.State, pipeline.Idle.String()), Reason: d.Reason,
			Most: m.conf.get().rule(d.ID).MaxViewers,
		}
		i.Resizable = d.resizable(m.conf.get())
		i.Input, i.Control = d.Input != nil && m.conf.get().Input != floor.Off, m.floor.Holder(d.ID)
		if st, users := m.pool.Status(d.ID); users > 0 {
			i.Viewers, i.Encodings, i.State, i.Reason = users, st.Encodings, st.State.String(), st.Reason
			if st.Width > 0 {
				i.Width, i.Height = st.Width, st.Height
			}
		}
		h.Displays = append(h.Displays, i)
	}
	if m.conf.get().EncoderInfo != nil {
		now := time.Now()
		best := make(map[string]bool) // by name
		for _, format := range m.pool.Formats() {
			p, _ := m.pool.Best(now, format)
			best[p.Name] = true
		}
		status := m.pool.Encoders(now)
		for _, e := range m.conf.get().EncoderInfo() {
			e.InUse = e.Usable && best[e.Name]
			if i := slices.IndexFunc(status,
				func(s pipeline.EncoderStatus) bool { return s.Profile.Name == e.Name }); i >= 0 {
				e.Sessions, e.SessionLimit, e.LimitLearnt = status[i].Uses, status[i].Limit, status[i].Learnt
			}
			h.Encoders = append(h.Encoders, e)
		}
	}
	return h
}

// Revoke ends the sessions that were opened by a grant of an issuer, or by any of its grants for a subject, and
// returns how many.
func (m *Manager) Revoke(issuer, grant, subject string) int {
	n := 0
	for _, h := range m.registry.list() {
		if o := h.offer.Owner; o.Credential != CredentialGrant || o.Issuer != issuer {
			continue
		}
		if grant != "" && h.offer.Grant == grant || subject != "" && h.offer.Owner.Name == subject {
			m.registry.want(h, EndRevoked)
			n++
		}
	}
	return n
}

// RetryAfter returns when a client that was refused should come again: each one at another time, so that they do not
// come together.
func (m *Manager) RetryAfter() time.Duration {
	m.registry.mu.Lock()
	defer m.registry.mu.Unlock()
	if m.registry.host.Closed() {
		return admission.Jitter(30 * time.Second) // another host has room sooner
	}
	return admission.Jitter(5 * time.Second)
}

// SetControl gives control of its display to a session, and takes it from any other session; or withdraws it. After a
// withdrawal the session gets no control until it is given some.
func (m *Manager) SetControl(id string, on bool) (Snapshot, error) {
	h, err := m.registry.find(id)
	if err != nil {
		return Snapshot{}, err
	}
	if err := h.input.Give(on); err != nil {
		return Snapshot{}, controlError(err)
	}
	return m.host.show(h), nil
}

// Resize changes the size of a display. A session may do so that controls its display, or could take control. The
// display continues to be captured, and its viewers get pictures of the new size in the same stream.
func (m *Manager) Resize(ctx context.Context, r Resize) error { return m.resizer.resize(ctx, r) }

// TakesInput reports whether a session of a display could control it.
func (m *Manager) TakesInput(ctx context.Context, display string, r Role) bool {
	d, err := m.catalog.find(ctx, display)
	return err == nil && d.Input != nil && m.conf.get().Input.Lets(r)
}

// ICEServers returns the STUN and TURN servers for a user, best first. It returns working servers, of the given region
// unless that is empty. Short-lived credentials are the user's own, and are valid no longer than last, unless that is
// zero.
func (m *Manager) ICEServers(region, user string, last time.Time) []relay.Server {
	return iceServers(m.relays, region, user, last)
}

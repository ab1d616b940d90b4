package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/adapt"
	"wavryhost/session/admission"
	"wavryhost/session/guard"
	"wavryhost/session/peer"
	"wavryhost/session/pipeline"
	"wavryhost/session/relay"
)

// janitorInterval is how often the Manager looks after its sessions when nothing calls for it.
const janitorInterval = 100 * time.Millisecond

// Manager owns the sessions: it admits, connects, watches and ends them. Its methods may be called from several
// goroutines. Run must be running for sessions to be ended by their deadlines.
type Manager struct {
	conf    *live
	log     *slog.Logger
	met     *Metrics
	network *peer.Network
	settle  time.Duration // settleRoute
	// pool holds the open displays and the encoders, watched the displays in use.
	pool    *pipeline.Pool
	watched watched
	relays  *relay.Watch
	// floor controls who gives input to which display.
	floor   *floor
	guard   *guard.Guard
	started time.Time
	// kick has room for one token: a session wants to end.
	kick chan struct{}

	mu       sync.Mutex
	sessions map[string]*held
	drain    *drain // nil for none
	// admission answers whether there is room; sessionLoads is the memory of its snapshots.
	admission    *admission.Admitter
	sessionLoads []admission.Session
	refusals     refusals
	standing     standing
	stopped      bool
	wg           sync.WaitGroup // creations and releases under way; added to under mu while not stopped

	// exhausted: relief can lower nobody any more.
	exhausted atomic.Bool

	journal journal
	news    news

	// The rest belongs to the janitor.
	first  string // the default display
	relief admission.Relief
	claims []admission.Claim
	shares []int
}

// held is a session and what is to become of it. The Manager's mutex guards it.
type held struct {
	*viewer
	wanted bool      // it asked to be ended
	why    EndReason // the reason
	note   string    // what the operator who ended it said
	ending bool
	done   chan struct{} // closed when everything is released
}

// NewManager returns a Manager without sessions. Writing to log must not block: records are written by goroutines that send
// pictures, and with locks held.
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
	g := &Manager{
		conf: newLive(cfg), log: log, met: m, guard: m.guard(log, nil), network: network, started: time.Now(),
		kick: make(chan struct{}, 1), settle: settleRoute, sessions: make(map[string]*held), refusals: make(refusals),
	}
	g.admission = admission.New(newID, g.reservationEnded)
	g.relays = newRelays(cfg, ports, log, m, g.emit)
	g.pool = pipeline.NewPool(func() pipeline.Config { return g.cfg().poolConfig() }, cfg.Encoders, pipeline.Deps{
		Log: log, Metrics: m.pipeline, Observer: displayEvents{g.emit},
		Guard: func(log *slog.Logger) *guard.Guard { return m.guard(log, nil) },
	})
	g.floor = newFloor(g.conf, log, m, g.emit)
	g.journal.begin(g.started)
	if cfg.OnProbation {
		g.probate(g.started)
	}
	g.judge(g.started)
	return g, nil
}

// emit makes an event known and returns its id, which belongs into its log record. It may be called with any lock held.
func (m *Manager) emit(e Event) uint64 {
	m.met.events.WithLabelValues(e.Kind.String()).Inc()
	m.news.put(e)
	return m.journal.add(e)
}

// Run watches over the sessions until ctx ends. Then it ends them all, with reason shutdown, and waits for everything they held,
// for ShutdownTimeout at most. A Manager that was stopped takes no more sessions.
func (m *Manager) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	probes.Go(func() {
		_ = m.guard.Run(partRelay, func() { _ = m.relays.Run(ctx) }) // it only ever returns nil
	})
	defer probes.Wait()
	ticker := time.NewTicker(janitorInterval)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return m.shutdown()
		case <-m.kick:
		case <-ticker.C:
		}
		now := time.Now()
		took := now.Sub(last)
		if took >= time.Second {
			last = now
		}
		_ = m.guard.Run(partJanitor, func() { m.tend(ctx, now, took) }) // it is logged, and the next round may go well
	}
}

// Guard catches panics of parts that work for sessions, and counts them with those of sessions.
func (m *Manager) Guard() *guard.Guard { return m.guard }

// noteDefault makes it known when another display has become the default. Sessions stay where they are.
func (m *Manager) noteDefault(ctx context.Context) {
	displays := m.displays(ctx)
	if len(displays) == 0 || displays[0].ID == m.first {
		return
	}
	from := m.first
	m.first = displays[0].ID
	if from == "" {
		return
	}
	event := m.emit(Event{Kind: EventDefault, Display: m.first, From: from, To: m.first})
	m.log.Info("default display changed", "event", event, "from", from, "to", m.first)
}

// tend looks after the sessions once. took is the time since its last round that was a second after the one before.
func (m *Manager) tend(ctx context.Context, now time.Time, took time.Duration) {
	m.reap(now)
	m.floor.sweep(now)
	m.pool.Sweep(now)
	if took < time.Second {
		return
	}
	m.survey(took)
	m.noteDefault(ctx)
	list := m.list()
	m.relieve(now, list)
	m.share(list)
}

// reap begins to end the sessions that are to end, and looks after the drain and the host's state.
func (m *Manager) reap(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.sessions {
		switch {
		case h.ending:
		case h.wanted:
			m.beginEnd(h, h.why)
		case !h.offer.Expires.IsZero() && !now.Before(h.offer.Expires):
			m.beginEnd(h, EndExpired)
		}
	}
	m.admission.Expire(now)
	if m.drain != nil {
		m.drain.step(now, m)
	}
	m.judge(now)
}

// beginEnd ends h in a goroutine of its own. The caller holds mu.
func (m *Manager) beginEnd(h *held, why EndReason) {
	h.ending = true
	m.wg.Go(func() { m.release(h, why) }) // unguarded: release guards all but its bookkeeping
}

// survey sets the gauges that sum up the sessions, and adds up how long they are in their quality states.
func (m *Manager) survey(took time.Duration) {
	var target, achieved, leastTarget, leastAchieved int
	quality := make(map[adapt.State]int)
	n := 0
	for _, h := range m.list() {
		h.ctl.Lock()
		t := h.targets
		h.ctl.Unlock()
		h.mu.Lock()
		state, sent, path := h.life.state, h.achieved, h.route.Path
		h.mu.Unlock()
		if state != stateConnected {
			continue
		}
		if path != "" {
			m.met.pathSeconds.WithLabelValues(path).Add(took.Seconds())
		}
		target += t.EncoderBitrate
		achieved += sent
		if n == 0 || t.EncoderBitrate < leastTarget {
			leastTarget = t.EncoderBitrate
		}
		if n == 0 || sent < leastAchieved {
			leastAchieved = sent
		}
		quality[t.Quality]++
		n++
	}
	m.met.targetRate.WithLabelValues(rateSum).Set(float64(target) / 8)
	m.met.targetRate.WithLabelValues(rateMin).Set(float64(leastTarget) / 8)
	m.met.achievedRate.WithLabelValues(rateSum).Set(float64(achieved) / 8)
	m.met.achievedRate.WithLabelValues(rateMin).Set(float64(leastAchieved) / 8)
	for _, s := range adapt.States() {
		m.met.quality.WithLabelValues(s.String()).Set(float64(quality[s]))
		m.met.qualitySeconds.WithLabelValues(s.String()).Add(took.Seconds() * float64(quality[s]))
	}
}

// shutdown ends everything.
func (m *Manager) shutdown() error {
	m.mu.Lock()
	m.stopped = true
	m.pool.Refuse()
	for _, h := range m.sessions {
		if !h.ending {
			m.beginEnd(h, EndShutdown)
		}
	}
	m.mu.Unlock()
	done := make(chan struct{})
	go func() { // unguarded: the daemon ends anyway
		defer close(done)
		m.wg.Wait()
		m.floor.close()
		m.pool.Close()
		m.pool.Wait()
		if err := m.network.Close(); err != nil {
			m.log.Warn("media ports not closed cleanly", "err", err)
		}
	}()
	timeout := time.NewTimer(m.cfg().ShutdownTimeout)
	defer timeout.Stop()
	select {
	case <-done:
		m.survey(0)
		return nil
	case <-timeout.C:
		m.mu.Lock()
		defer m.mu.Unlock()
		return fmt.Errorf("session: after %v, %d sessions are not released and %d displays are not closed: a driver does not return",
			m.cfg().ShutdownTimeout, len(m.sessions), m.pool.Running())
	}
}

// wants notes that a session should end.
func (m *Manager) wants(h *held, why EndReason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h.wanted || h.ending {
		return
	}
	h.wanted, h.why = true, why
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// release gives back everything that h holds. After a panic in it the session is gone all the same.
func (m *Manager) release(h *held, why EndReason) {
	defer close(h.done)
	if err := h.guard.Run(partRelease, func() { m.dissolve(h, why) }); err != nil {
		m.mu.Lock()
		m.forget(h)
		m.mu.Unlock()
		m.emit(Event{Kind: EventEnded, Session: h.id, Display: h.showing(), Reason: why.String(), Note: h.note, Err: err})
	}
}

// forget drops a session that is gone. The caller holds mu.
func (m *Manager) forget(h *held) {
	delete(m.sessions, h.id)
	m.admission.Forget(h.id)
}

func (m *Manager) dissolve(h *held, why EndReason) {
	m.floor.leave(h.input)
	err := h.stop()
	if p := h.crash.Load(); p != nil {
		err = errors.Join(*p, err)
	}
	h.vacate()
	now := time.Now()
	h.setRoute(peer.Route{})
	h.flush(now, 0)
	h.mu.Lock()
	h.over = true // an encode loop may still be about to tell of it
	state, connected := h.life.state, h.connected
	h.mu.Unlock()
	m.met.sessions.WithLabelValues(state).Dec()
	if state == stateConnecting && !h.judged() {
		m.met.handshakes.WithLabelValues(handshakeAborted).Inc()
	}
	m.met.ended.WithLabelValues(why.String()).Inc()
	m.mu.Lock()
	m.forget(h)
	note := h.note
	m.mu.Unlock()
	s := h.snapshot()
	event := m.emit(Event{Kind: EventEnded, Session: h.id, Display: s.Display, Reason: why.String(), Note: note, Err: err})
	attrs := []any{
		"event", event, "reason", why.String(), "duration", now.Sub(h.created), "frames", s.FramesSent,
		"frames_dropped", s.FramesDropped, "keyframes", s.KeyframesSent, "packets", s.PacketsSent, "bytes", s.BytesSent,
		"retransmissions", s.Retransmissions,
	}
	if note != "" {
		attrs = append(attrs, "note", note)
	}
	if !connected.IsZero() {
		attrs = append(attrs, "connected", now.Sub(connected))
	}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	h.log.Info("session ended", attrs...)
}

// find returns a session that is not ending. The caller holds mu.
func (m *Manager) find(id string) (*held, error) {
	h := m.sessions[id]
	if h == nil || h.ending {
		return nil, ErrUnknownSession
	}
	return h, nil
}

// End ends a session. When it returns nil, all that the session held is released. When ctx ends before, that goes on without
// the caller.
func (m *Manager) End(ctx context.Context, id string, why EndReason) error {
	return m.EndNoted(ctx, id, why, "")
}

// EndNoted is End with words for people that the log and the event have beside the reason.
func (m *Manager) EndNoted(ctx context.Context, id string, why EndReason, note string) error {
	m.mu.Lock()
	h, err := m.find(id)
	if err == nil {
		h.note = note
		m.beginEnd(h, why)
	}
	m.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-h.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Patch takes a trickle-ice-sdpfrag (RFC 8840) for a session: candidates, or the credentials of an ICE restart. ifMatch has to
// be the session's entity tag, "*", or empty for no condition.
func (m *Manager) Patch(ctx context.Context, id, ifMatch, text string) (Patched, error) {
	m.mu.Lock()
	h, err := m.find(id)
	m.mu.Unlock()
	if err != nil {
		return Patched{}, err
	}
	f, err := peer.ParseFragment(text)
	if err != nil {
		return Patched{}, err
	}
	return h.patch(ctx, ifMatch, f)
}

// RequestKeyframe asks a session's controller for a keyframe, as its viewer could: the controller has the last word on when, and makes
// one of requests that come together.
func (m *Manager) RequestKeyframe(id string) error {
	m.mu.Lock()
	h, err := m.find(id)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	h.met.requests.WithLabelValues(requestOperator).Inc()
	h.requestKeyframe(adapt.KeyframeOperator)
	h.nudge()
	return nil
}

// list returns the sessions that are not ending, oldest first.
func (m *Manager) list() []*held {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*held
	for _, h := range m.sessions {
		if !h.ending {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b *held) int {
		if c := a.created.Compare(b.created); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})
	return list
}

// Session shows one session.
func (m *Manager) Session(id string) (Snapshot, error) {
	m.mu.Lock()
	h, err := m.find(id)
	m.mu.Unlock()
	if err != nil {
		return Snapshot{}, err
	}
	return h.snapshot(), nil
}

// WriteRecording writes the flight recording of a session: the last minutes of what its controller was told and decided. Package
// adapt/record reads it.
func (m *Manager) WriteRecording(id string, w io.Writer) error {
	m.mu.Lock()
	h, err := m.find(id)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	r := h.recording()
	if r == nil {
		return errNoRecorder
	}
	return r.Write(w)
}

// errNoRecorder is for controllers that were handed in and are not adapt's.
var errNoRecorder = errors.New("session: this controller is not recorded")

// Sessions shows all sessions, oldest first.
func (m *Manager) Sessions() []Snapshot {
	list := []Snapshot{}
	for _, h := range m.list() {
		list = append(list, h.snapshot())
	}
	return list
}

// Host shows the machine.
func (m *Manager) Host() Host {
	h := Host{Started: m.started, Displays: []DisplayInfo{}, Encoders: []EncoderInfo{}}
	m.mu.Lock()
	h.State, h.StateReason, h.StateSince = m.standing.state, m.standing.reason, m.standing.since
	h.Sessions, h.Limit = len(m.sessions), m.limit()
	if m.drain != nil {
		h.DrainDeadline = m.drain.deadline
		d := m.drained(m.drain)
		h.Drain = &d
	}
	m.mu.Unlock()
	if load := m.cfg().Load; load != nil {
		l := load()
		h.Load = &l
	}
	h.ICEServers = m.relays.Status()
	for _, d := range m.displays(context.Background()) {
		i := DisplayInfo{ID: d.ID, Name: d.Name, Backend: d.Backend, Width: d.Width, Height: d.Height, State: cmp.Or(d.State, pipeline.Idle.String()), Reason: d.Reason, Most: m.cfg().rule(d.ID).MaxViewers}
		i.Input, i.Control = d.Input != nil && m.cfg().Input != InputOff, m.floor.holder(d.ID)
		if st, users := m.pool.Status(d.ID); users > 0 {
			i.Viewers, i.Encodings, i.State, i.Reason = users, st.Encodings, st.State.String(), st.Reason
			if st.Width > 0 {
				i.Width, i.Height = st.Width, st.Height
			}
		}
		h.Displays = append(h.Displays, i)
	}
	if m.cfg().EncoderInfo != nil {
		now := time.Now()
		best := make(map[string]bool) // by name
		for _, codec := range m.pool.Codecs() {
			p, _ := m.pool.Best(now, codec)
			best[p.Name] = true
		}
		status := m.pool.Encoders(now)
		for _, e := range m.cfg().EncoderInfo() {
			e.InUse = e.Usable && best[e.Name]
			if i := slices.IndexFunc(status, func(s pipeline.EncoderStatus) bool { return s.Profile.Name == e.Name }); i >= 0 {
				e.Sessions, e.SessionLimit, e.LimitLearnt = status[i].Uses, status[i].Limit, status[i].Learnt
			}
			h.Encoders = append(h.Encoders, e)
		}
	}
	return h
}

// Revoke ends the sessions that were opened by a grant of an issuer, or by any grant of it for a subject, and returns how many.
func (m *Manager) Revoke(issuer, grant, subject string) int {
	n := 0
	for _, h := range m.list() {
		if o := h.offer.Owner; o.Credential != CredentialGrant || o.Issuer != issuer {
			continue
		}
		if grant != "" && h.offer.Grant == grant || subject != "" && h.offer.Owner.Name == subject {
			m.wants(h, EndRevoked)
			n++
		}
	}
	return n
}

// RetryAfter is when a client that was refused should come again: each one at another time, so that they do not come together.
func (m *Manager) RetryAfter() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed() {
		return admission.Jitter(30 * time.Second) // another host will do sooner
	}
	return admission.Jitter(5 * time.Second)
}

package session

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"wavryhost/encode"
	"wavryhost/session/admission"
	"wavryhost/session/hoststate"
	"wavryhost/session/lockorder"
)

// registry owns the sessions: it admits, keeps and ends them.
type registry struct {
	log      *slog.Logger
	met      *Metrics
	emit     func(Event) uint64
	host     *hoststate.State // guarded by mu
	capacity *capacity
	// wake has room for one token: a session is to end.
	wake signal

	mu       lockorder.Mutex[registryLock]
	sessions map[string]*session
	// probes are the host's own. They take no place.
	probes map[string]*session
	// reserved counts the reservations by their labels.
	reserved map[string]tally
	groups   groups
	// admission answers whether there is room; loads is the memory of its snapshots.
	admission *admission.Admitter
	loads     []admission.Session
	wg        sync.WaitGroup // creations and releases under way; added to under mu while not stopped
}

func newRegistry(log *slog.Logger, m *Metrics, emit func(Event) uint64, c *capacity) *registry {
	r := &registry{
		log: log, met: m, emit: emit, capacity: c, wake: newSignal(),
		sessions: make(map[string]*session), probes: make(map[string]*session),
		reserved: make(map[string]tally), groups: newGroups(),
	}
	r.admission = admission.New(newID, r.reservationEnded)
	return r
}

func (r *registry) wakeJanitor() { r.wake.raise() }

// notEnding returns the sessions that are not ending. The caller holds mu.
func (r *registry) notEnding() []*session {
	var list []*session
	for _, s := range r.sessions {
		if !s.ending {
			list = append(list, s)
		}
	}
	return list
}

// list returns the sessions that are not ending, oldest first.
func (r *registry) list() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.notEnding()
	slices.SortFunc(list, func(a, b *session) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.id, b.id))
	})
	return list
}

// find returns a session that is not ending.
func (r *registry) find(id string) (*session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lookUp(id)
}

// lookUp is find for a caller that holds mu.
func (r *registry) lookUp(id string) (*session, error) {
	s := r.sessions[id]
	if s == nil {
		s = r.probes[id]
	}
	if s == nil || s.ending {
		return nil, ErrUnknownSession
	}
	return s, nil
}

// snapshot returns the basis of admission: the load of the sessions, of the pipelines and of the machine, with the
// encoders of one format. The caller holds mu.
func (r *registry) snapshot(format encode.Format) admission.Snapshot {
	now := time.Now()
	s := r.capacity.measure(now, format)
	s.Limits.Sessions = r.host.Limit()
	s.Sessions = r.loads[:0]
	for _, one := range r.sessions {
		l := one.load()
		s.Sessions = append(s.Sessions, admission.Session{
			ID: one.id, Display: one.sub.display(), Heading: one.sub.pendingDisplay(), Owner: one.offer.Owner,
			Guest:   one.offer.Guest,
			Created: one.created, Connected: l.connected, Connecting: l.state == stateConnecting, Ending: one.ending,
			Sent: l.sent,
		})
	}
	r.loads = s.Sessions
	return s
}

// localStart returns the bitrate that another session may begin with on a local path: at most an even part of the
// uplink, until the shares are made anew.
func (r *registry) localStart() int {
	cfg := r.capacity.conf.get()
	if cfg.Uplink == 0 {
		return cfg.LocalStartBitrate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return min(cfg.LocalStartBitrate, cfg.Uplink/(len(r.sessions)+1))
}

// add begins a session that a ticket was for.
func (r *registry) add(v *viewer, t *admission.Ticket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &session{viewer: v, done: make(chan struct{})}
	if v.offer.Probe {
		r.probes[v.id] = s
	} else {
		r.admission.Use(t, v.id)
		r.sessions[v.id] = s
		r.groups.used(v.sub.feed().display, v.offer)
	}
	v.want = func(why EndReason) { r.want(s, why) }
	v.met.created.Inc()
	v.met.sessions.WithLabelValues(stateConnecting).Inc()
	v.tally.begin()
	display := v.sub.display()
	event := v.emit(Event{
		Kind: EventCreated, Session: v.id, Display: display,
	})
	v.log.Info("session created", "event", event, "display", display, "codec", v.sub.feed().format.String(),
		"fmtp", v.peer.Fmtp(),
		"ceiling", v.limits.offer, "remote", v.offer.RemoteAddr, "agent", v.offer.UserAgent)
	v.start()
	v.sub.join()
	if r.host.Stopped() {
		r.beginEnd(s, EndShutdown)
	}
}

// cancel gives back a ticket whose session was not created.
func (r *registry) cancel(t *admission.Ticket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.admission.Cancel(t, r.host.Closed())
}

// reap begins to end the sessions that are to end, and does what a drain requires.
func (r *registry) reap(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, list := range []map[string]*session{r.sessions, r.probes} {
		for _, s := range list {
			switch {
			case s.ending:
			case s.wanted:
				r.beginEnd(s, s.why)
			case !s.offer.Expires.IsZero() && !now.Before(s.offer.Expires):
				r.beginEnd(s, EndExpired)
			}
		}
	}
	r.admission.Expire(now)
	r.host.Tend(now)
}

// want notes that a session is to end.
func (r *registry) want(s *session, why EndReason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.wanted || s.ending {
		return
	}
	s.wanted, s.why = true, why
	r.wakeJanitor()
}

// end ends a session. When it returns nil, everything that the session held is released. When ctx ends first, the
// release continues without the caller.
func (r *registry) end(ctx context.Context, id string, why EndReason, note string) error {
	r.mu.Lock()
	s, err := r.lookUp(id)
	if err == nil {
		s.note = note
		r.beginEnd(s, why)
	}
	r.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// beginEnd ends a session in a goroutine of its own. The caller holds mu.
func (r *registry) beginEnd(s *session, why EndReason) {
	s.ending = true
	r.wg.Go(func() { r.release(s, why) }) // unguarded: release guards all but its bookkeeping
}

// stop begins to end all sessions, and admits no more.
func (r *registry) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.host.Stop()
	for _, s := range r.notEnding() {
		r.beginEnd(s, EndShutdown)
	}
	for _, s := range r.probes {
		if !s.ending {
			r.beginEnd(s, EndShutdown)
		}
	}
}

// release gives back everything that a session holds. After a panic in it the session is gone all the same.
func (r *registry) release(s *session, why EndReason) {
	defer close(s.done)
	if err := s.guard.Run(partRelease, func() { r.dissolve(s, why) }); err != nil {
		note := r.forget(s)
		s.emit(Event{
			Kind: EventEnded, Session: s.id, Display: s.sub.display(), Reason: why.String(), Note: note, Err: err,
		})
	}
}

// forget drops a session that is gone, and returns the words of the operator who ended it.
func (r *registry) forget(s *session) (note string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s.id)
	delete(r.probes, s.id)
	r.admission.Forget(s.id)
	return s.note
}

func (r *registry) dissolve(s *session, why EndReason) {
	s.input.Leave()
	err := s.stop()
	if p := s.crash.Load(); p != nil {
		err = errors.Join(*p, err)
	}
	s.sub.vacate()
	now := time.Now()
	connected := s.close(now)
	s.trace.close(now, s.steps(), why, err)
	s.met.ended.WithLabelValues(why.String()).Inc()
	note := r.forget(s)
	one := s.snapshot()
	event := s.emit(Event{
		Kind: EventEnded, Session: s.id, Display: one.Display, Reason: why.String(), Note: note, Err: err,
		Totals: s.usage.totals(now, one),
	})
	attrs := []any{
		"event", event, "reason", why.String(), "duration", now.Sub(s.created), "frames", one.FramesSent,
		"frames_dropped", one.FramesDropped, "keyframes", one.KeyframesSent, "packets", one.PacketsSent,
		"bytes", one.BytesSent, "retransmissions", one.Retransmissions,
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
	s.log.Info("session ended", attrs...)
}

// reservationEnded makes the end of a reservation known. The caller holds mu.
func (r *registry) reservationEnded(l admission.Reservation, why string) {
	r.met.reservations.Set(float64(r.admission.Reserved()))
	r.met.reservationsEnded.WithLabelValues(why).Inc()
	r.reserved[l.ID].reserve(-1)
	delete(r.reserved, l.ID)
	r.groups.release(l.ID)
	event := r.emit(Event{
		Kind: EventReservationEnded, Session: l.Session, Display: l.Display, Reservation: l.ID, Reason: why,
		Names: namesOf(l),
	})
	r.log.Info("reservation ended", "event", event, "reason", why, "display", l.Display)
}

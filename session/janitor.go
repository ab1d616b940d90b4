package session

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"wavryhost/adapt"
	"wavryhost/session/progress"
)

const (
	// janitorInterval is how often the janitor looks at the sessions when nothing calls for it.
	janitorInterval = 250 * time.Millisecond
	// holdingInterval is the same while a viewer holds a key or a button, which must not stay held.
	holdingInterval = 100 * time.Millisecond
)

// errSendStalls is the error of a session whose packets cannot be sent.
var errSendStalls = fmt.Errorf("session: a packet is not sent within %v: the send loop stalls", progress.Limit)

// Run watches over the sessions until ctx ends. Then it ends them all, with reason shutdown, and waits for everything
// they held, for ShutdownTimeout at most. A Manager that was stopped takes no more sessions.
func (m *Manager) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	probes.Go(func() {
		_ = m.guard.Run(partRelay, func() { _ = m.relays.Run(ctx) }) // it only ever returns nil
	})
	defer probes.Wait()
	timer := time.NewTimer(janitorInterval)
	defer timer.Stop()
	steps := m.conf.get().Progress.Loop(progress.Sessions, "")
	defer steps.Close()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return m.shutdown()
		case <-m.registry.wake:
		case <-timer.C:
		}
		now := time.Now()
		took := now.Sub(last)
		if took >= time.Second {
			last = now
		}
		steps.Step(func() {
			_ = m.guard.Run(partJanitor, func() { m.tend(ctx, now, took) }) // it is logged, and the next round may go well
		})
		interval := janitorInterval
		if m.floor.Holding() {
			interval = holdingInterval
		}
		timer.Reset(interval)
	}
}

// tend looks after the sessions once. took is the time since its last round that was a second after the one before.
func (m *Manager) tend(ctx context.Context, now time.Time, took time.Duration) {
	m.registry.reap(now)
	m.floor.Sweep(now) //nolint:contextcheck // the displays' input has contexts of its own
	m.pool.Sweep(now)
	if took < time.Second {
		return
	}
	list := m.registry.list()
	m.registry.heal(m.conf.get().Progress.Stalls(now), list)
	m.met.survey(list, took)
	m.catalog.noteDefault(ctx)
	m.shedder.shed(now, list, func(s *session) { m.registry.want(s, EndOverload) })
	m.uplink.share(list)
	m.opener.recode(ctx, now, list)
}

// heal ends the sessions whose send loop stalls: their pages connect again. A loop that continues to stall after that
// withholds the daemon's sign of life, and the service manager restarts it.
func (r *registry) heal(stalls []progress.Stall, list []*session) {
	for _, stall := range stalls {
		i := slices.IndexFunc(list, func(s *session) bool { return s.id == stall.Of })
		if stall.Kind != progress.Send || i < 0 {
			continue
		}
		s := list[i]
		s.log.Error("session ends because its send loop stalls", "seconds", stall.Took.Seconds())
		s.crashed(errSendStalls)
		r.want(s, EndError)
	}
}

// shutdown ends everything.
func (m *Manager) shutdown() error {
	m.pool.Refuse()
	m.registry.stop()
	done := make(chan struct{})
	go func() { // unguarded: the daemon ends anyway
		defer close(done)
		m.registry.wg.Wait()
		m.floor.Close()
		m.pointers.Wait()
		m.pool.Close()
		m.pool.Wait()
		if err := m.network.Close(); err != nil {
			m.log.Warn("media ports not closed cleanly", "err", err)
		}
	}()
	timeout := time.NewTimer(m.conf.get().ShutdownTimeout)
	defer timeout.Stop()
	select {
	case <-done:
		m.met.survey(nil, 0)
		return nil
	case <-timeout.C:
		m.registry.mu.Lock()
		defer m.registry.mu.Unlock()
		return fmt.Errorf(
			"session: after %v, %d sessions are not released and %d displays are not closed: a driver does not return",
			m.conf.get().ShutdownTimeout, len(m.registry.sessions), m.pool.Running())
	}
}

// survey sets the gauges that sum up the sessions, and adds up how long they are in their quality states.
func (m *Metrics) survey(list []*session, took time.Duration) {
	var target, achieved, leastTarget, leastAchieved int
	quality := make(map[adapt.State]int)
	oldest := time.Time{}
	n := 0
	for _, h := range list {
		t, l := h.adaptation.target(), h.load()
		if oldest.IsZero() || h.created.Before(oldest) {
			oldest = h.created
		}
		if l.state != stateConnected {
			continue
		}
		if l.path != "" {
			m.pathSeconds.WithLabelValues(l.path).Add(took.Seconds())
		}
		target += t.EncoderBitrate
		achieved += l.sent
		if n == 0 || t.EncoderBitrate < leastTarget {
			leastTarget = t.EncoderBitrate
		}
		if n == 0 || l.sent < leastAchieved {
			leastAchieved = l.sent
		}
		quality[t.Quality]++
		m.qualitySeconds.WithLabelValues(t.Quality.String(), qualityCause(t, h.sub.feed().frozen())).Add(took.Seconds())
		n++
	}
	age := 0.0
	if !oldest.IsZero() {
		age = time.Since(oldest).Seconds()
	}
	m.oldest.Set(age)
	m.targetRate.WithLabelValues(rateSum).Set(float64(target) / 8)
	m.targetRate.WithLabelValues(rateMin).Set(float64(leastTarget) / 8)
	m.achievedRate.WithLabelValues(rateSum).Set(float64(achieved) / 8)
	m.achievedRate.WithLabelValues(rateMin).Set(float64(leastAchieved) / 8)
	for _, s := range adapt.States() {
		m.quality.WithLabelValues(s.String()).Set(float64(quality[s]))
	}
}

package api

import (
	"context"
	"errors"
	"maps"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/watched"
	guards "wavryhost/session/guard"
)

const (
	// sweepEvery is how often is asked whether what sessions were opened by is still good. A file that changed is read within watched.Every, watched.Settle and twice
	// this, as a question may come right before the time of a look: sessions end within two seconds.
	sweepEvery = watched.Every / 4
	// pruneEvery is how often sessions that have ended are forgotten.
	pruneEvery = 30 * time.Second
)

// watch ends the sessions whose credentials are taken away, until the server stops.
func (s *Server) watch(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	pruned := time.Now()
	guarded := guards.New(s.log, func(string) { s.metrics.panics.Inc() }, nil)
	for {
		select {
		case <-s.stopping:
			return
		case now := <-ticker.C:
			// A panic is logged and counted, and the next round may go well.
			_ = guarded.Run("sweep", func() {
				s.noteEvents() // while it is known whose the sessions were
				s.sweep(ctx, now)
				s.sumUp(now, false)
				if now.Sub(pruned) >= pruneEvery {
					pruned = now
					s.prune()
				}
			})
		}
	}
}

// sumUp writes what the audit log has in sums.
func (s *Server) sumUp(now time.Time, last bool) {
	s.audited(false, s.audit.sum(now, last))
}

// sweep ends the sessions whose credentials are no longer good.
func (s *Server) sweep(ctx context.Context, now time.Time) {
	s.mu.Lock()
	opened := maps.Clone(s.opened)
	s.mu.Unlock()
	// Their ends are begun, and not waited for.
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	for id, p := range opened {
		why, lapsed := s.key.lapsed(p, now)
		if lapsed == nil {
			continue
		}
		if err := s.mgr.End(ctx, id, why); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, session.ErrUnknownSession) {
			s.log.Warn("session whose credential was taken away not ended", "session", id, "err", err)
			continue // at the next sweep
		}
		s.log.Info("credential of a session is no longer good", "session", id, "credential", p.Credential, "who", p.Name, "reason", why.String())
		s.mu.Lock()
		delete(s.opened, id)
		if s.audit.w != nil {
			s.swept[id] = p
		}
		s.mu.Unlock()
	}
}

// prune forgets the sessions that have ended.
func (s *Server) prune() {
	s.mu.Lock()
	opened := maps.Clone(s.opened)
	s.mu.Unlock()
	for id := range opened {
		if _, err := s.mgr.Session(id); errors.Is(err, session.ErrUnknownSession) {
			s.mu.Lock()
			delete(s.opened, id)
			s.mu.Unlock()
		}
	}
}

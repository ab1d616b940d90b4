package api

import (
	"context"
	"time"

	"wavryhost/platform/guard"
	"wavryhost/session/api/watched"
)

const (
	// sweepInterval is how often the credentials of sessions are checked. Sessions end within two seconds after their
	// credential: a changed file is read within watched.Every, watched.Settle and twice this, because a check may come
	// just before the file is looked at.
	sweepInterval = watched.Every / 4
	// pruneInterval is how often sessions that have ended are forgotten.
	pruneInterval = 30 * time.Second
)

// watch ends the sessions whose credentials lapse, and writes the audit log, until the server stops.
func (s *Server) watch(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	pruned := time.Now()
	guarded := guard.New(s.log, func(string) { s.metrics.panics.Inc() }, nil)
	for {
		select {
		case <-s.stopping:
			return
		case now := <-ticker.C:
			// A panic is logged and counted. The next round may succeed.
			_ = guarded.Run("sweep", func() {
				s.noteEvents() // while the principals of the sessions are known
				s.access.Sweep(ctx, now)
				s.flushAudit(now, false)
				if now.Sub(pruned) >= pruneInterval {
					pruned = now
					s.access.Prune()
				}
			})
		}
	}
}

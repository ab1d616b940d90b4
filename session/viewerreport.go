package session

import "time"

// shortestFreeze is the least duration of what counts as a freeze in the statistics of browsers.
const shortestFreeze = 150 * time.Millisecond

// ViewerReport is what a viewer's own player has counted since the session began.
type ViewerReport struct {
	// Freezes is how often the picture stood although another was due, and Frozen for how long.
	Freezes uint64
	Frozen  time.Duration
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

// report adds what a report has in addition to the reports before. Viewers are not trusted: a session of some age
// cannot have been frozen for longer, or more often.
func (f *figures) report(age time.Duration, r ViewerReport) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Frozen = min(r.Frozen, age)
	r.Freezes = min(r.Freezes, uint64(age/shortestFreeze))
	if r.Freezes > f.reported.Freezes {
		f.met.viewerFreezes.Add(float64(r.Freezes - f.reported.Freezes))
		f.reported.Freezes = r.Freezes
	}
	if r.Frozen > f.reported.Frozen {
		f.met.viewerFrozen.Add((r.Frozen - f.reported.Frozen).Seconds())
		f.reported.Frozen = r.Frozen
	}
}

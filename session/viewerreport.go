package session

import "time"

// ReportViewer takes the report of a session's own viewer.
func (m *Manager) ReportViewer(id string, r ViewerReport) error {
	s, err := m.registry.find(id)
	if err != nil {
		return err
	}
	s.report(time.Since(s.created), r)
	return nil
}

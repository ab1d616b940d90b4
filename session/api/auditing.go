package api

import (
	"cmp"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/audit"
	"wavryhost/session/api/problem"
)

// Note is something for the audit log that is not a request.
type Note struct {
	// Event is what happened, in one or two words joined by underscores.
	Event string
	// Owner is who did it, or whom it happened to, with Role. The zero value is the host itself.
	Owner session.Owner
	Role  string
	// Object is what it happened to. Made is the path of what it created.
	Object, Made, Reason string
}

// Note adds a line to the audit log.
func (s *Server) Note(n Note) {
	s.record(audit.Line{
		Time: time.Now(), Event: n.Event, Credential: n.Owner.Credential, Issuer: n.Owner.Issuer, Who: n.Owner.Name,
		Role: n.Role, Object: problem.Shorten(n.Object), Made: n.Made, Reason: problem.Shorten(n.Reason),
	})
}

// record writes a line to the audit log, and counts the result.
func (s *Server) record(l audit.Line) {
	summed, err := s.audit.Record(l)
	if summed {
		s.metrics.auditSummed.Inc()
	}
	s.auditFailed(err)
}

// flushAudit writes the sums of the audit log that are due, and with last all of them.
func (s *Server) flushAudit(now time.Time, last bool) { s.auditFailed(s.audit.Flush(now, last)) }

// auditFailed counts and logs an error of the audit log.
func (s *Server) auditFailed(err error) {
	if err != nil {
		s.metrics.auditErrors.Inc()
		s.log.Error("audit line not written", "err", err)
	}
}

// noteEvents adds events to the audit log that no request has caused, and that change who sees or controls what:
// control taken by input, sessions ended by the host, and changes of the configuration.
func (s *Server) noteEvents() {
	if !s.audit.On() {
		return
	}
	list, _, _ := s.mgr.Events(s.noted)
	for _, e := range list {
		s.noted = e.ID
		id := e.Session
		switch e.Kind {
		case session.EventControl.String():
			id = cmp.Or(e.To, e.From)
		case session.EventEnded.String():
			if !endedByHost(e.Reason) {
				continue
			}
		case session.EventConfiguration.String():
		default:
			continue
		}
		n := Note{Event: e.Kind, Object: cmp.Or(e.Display, id), Reason: e.Reason}
		if id != "" {
			n.Made = "/whep/sessions/" + id
		}
		if p, ok := s.access.PrincipalOf(id); ok {
			n.Owner, n.Role = p.Owner, string(p.Role)
		} else if one, err := s.mgr.Session(id); err == nil {
			n.Owner, n.Role = one.Owner(), one.Role
		}
		s.Note(n)
	}
}

// endedByHost reports whether a session that ended for that reason was ended by the host.
func endedByHost(reason string) bool {
	switch reason {
	case session.EndRevoked.String(), session.EndExpired.String(), session.EndReplaced.String(),
		session.EndMisbehaved.String(), session.EndOverload.String():
		return true
	default:
		return false
	}
}

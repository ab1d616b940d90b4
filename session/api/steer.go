package api

import (
	"net/http"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
)

// headerInput tells a viewer in the answer to OPTIONS that a data channel for input will be taken.
const headerInput = "Wavry-Input"

// roleOf returns what the viewer of a session may do that a client of the role opens for itself.
func roleOf(r grant.Role) session.Role {
	switch r {
	case grant.Operator:
		return session.RoleOperator
	case grant.Controller:
		return session.RoleController
	default:
		return session.RoleViewer
	}
}

func (s *Server) giveControl(w http.ResponseWriter, r *http.Request) error {
	return s.setControl(w, r, true)
}

func (s *Server) withdrawControl(w http.ResponseWriter, r *http.Request) error {
	return s.setControl(w, r, false)
}

func (s *Server) setControl(w http.ResponseWriter, r *http.Request, on bool) error {
	one, err := s.mgr.SetControl(r.PathValue("id"), on)
	if err != nil {
		return err
	}
	one.Transitions = orEmpty(one.Transitions)
	return content.WriteJSON(w, http.StatusOK, one)
}

// tellInput sets the header that tells whether the client's input would be taken.
func (s *Server) tellInput(w http.ResponseWriter, r *http.Request, role grant.Role) {
	display := r.PathValue("display")
	if display != "" && s.mgr.TakesInput(r.Context(), display, roleOf(role)) {
		w.Header().Set(headerInput, "taken")
	}
}

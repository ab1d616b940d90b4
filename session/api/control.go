package api

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
)

func (s *Server) host(w http.ResponseWriter, r *http.Request) error {
	return content.WriteJSON(w, http.StatusOK, s.describe(r))
}

// hostView is the host as clients see it.
type hostView struct {
	ID   string `json:"id,omitempty" doc:"Which host this is, for good: the setting host_id, or what follows from the machine's own id."`
	Name string `json:"name,omitempty" doc:"What the machine calls itself."`
	session.Host
	Uptime   float64              `json:"uptime_seconds" doc:"How long the daemon runs, in seconds."`
	Version  string               `json:"version" doc:"The daemon's version."`
	Platform string               `json:"platform,omitempty" doc:"System and architecture, as linux/amd64."`
	Capacity []admission.Capacity `json:"capacity" doc:"How many more sessions there is room for at the usual profiles, as GET /v1/capacity tells."`
	Gateway  *GatewayLink         `json:"gateway,omitempty" doc:"The link to a gateway, where there is one."`
}

// GatewayLink is what GET /v1/host shows of the link to a gateway; docs/integrate/gateway.md says what its words mean.
type GatewayLink struct {
	Gateway  string    `json:"gateway" doc:"Host and port that are called."`
	Dialect  string    `json:"dialect" doc:"How the gateway is spoken to."`
	Username string    `json:"username,omitempty" doc:"What viewers call this host, when it is known."`
	State    string    `json:"state" enum:"disconnected,logging_in,connecting,binding,bound,blocked" doc:"How far the link has come."`
	Since    time.Time `json:"since" doc:"When that state was entered."`
	Class    string    `json:"class,omitempty" doc:"Kind of the error that keeps the link down, or did the last time."`
	Reason   string    `json:"reason,omitempty" doc:"That error, for people."`
	Failures int       `json:"failures" doc:"Number of attempts since the link was last steadily bound."`
	NextTry  time.Time `json:"next_try,omitzero" doc:"When a link that waits tries again."`
	Route    string    `json:"route" enum:"unknown,unproven,proven" doc:"Whether a message to the own account came back."`
}

// describe returns the host as who asks may see it: addresses and accounts are the operator's business, not that of who reads figures.
func (s *Server) describe(r *http.Request) hostView {
	h := s.mgr.Host()
	h.Displays = orEmpty(h.Displays)
	h.Encoders = orEmpty(h.Encoders)
	v := hostView{
		ID: s.cfg.ID, Name: s.cfg.Name, Host: h, Uptime: time.Since(h.Started).Seconds(), Version: s.cfg.Version, Platform: s.cfg.Platform,
		Capacity: orEmpty(s.mgr.Capacity()),
	}
	if s.cfg.Gateway != nil && principalOf(r.Context()).role == grant.Operator {
		link := s.cfg.Gateway()
		v.Gateway = &link
	}
	return v
}

// displayList is the answer of GET /v1/displays.
type displayList struct {
	Displays []session.DisplayInfo `json:"displays" doc:"The first is the default."`
}

func (s *Server) displays(w http.ResponseWriter, _ *http.Request) error {
	return content.WriteJSON(w, http.StatusOK, displayList{orEmpty(s.mgr.Host().Displays)})
}

// sessionList is the answer of GET /v1/sessions.
type sessionList struct {
	Sessions []session.Snapshot `json:"sessions" doc:"Oldest first."`
}

func (s *Server) sessions(w http.ResponseWriter, _ *http.Request) error {
	all := orEmpty(s.mgr.Sessions())
	for i := range all {
		all[i].Transitions = orEmpty(all[i].Transitions)
	}
	return content.WriteJSON(w, http.StatusOK, sessionList{all})
}

func (s *Server) session(w http.ResponseWriter, r *http.Request) error {
	if err := s.owns(r, r.PathValue("id")); err != nil {
		return err
	}
	one, err := s.mgr.Session(r.PathValue("id"))
	if err != nil {
		return err
	}
	one.Transitions = orEmpty(one.Transitions)
	return content.WriteJSON(w, http.StatusOK, one)
}

// ending is the body of DELETE /v1/sessions/{id}.
type ending struct {
	Reason string `json:"reason,omitempty" maxLength:"200" doc:"Why, in words for people; the event session_ended and its log record have it as note."`
}

func (s *Server) endSession(w http.ResponseWriter, r *http.Request) error {
	var in ending
	if err := s.readJSON(w, r, &in, true); err != nil {
		return err
	}
	if err := s.mgr.EndNoted(r.Context(), r.PathValue("id"), session.EndOperator, in.Reason); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) keyframe(w http.ResponseWriter, r *http.Request) error {
	if err := s.mgr.RequestKeyframe(r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// recording hands out the flight recording. It is written whole before the answer begins, so that an error can be told.
func (s *Server) recording(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	var b bytes.Buffer
	if err := s.mgr.WriteRecording(id, &b); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": id + ".wavryrec"}))
	w.WriteHeader(http.StatusOK)
	writeParts(w, b.Bytes())
	return nil
}

// draining is the body of POST /v1/drain. The limit is longer than anybody watches a desktop without a break, and keeps the time far
// from overflow.
type draining struct {
	DeadlineSeconds float64 `json:"deadline_seconds" minimum:"0" maximum:"86400" doc:"How long the sessions may go on, in seconds; 0 is for as long as they like, or with end not at all."`
	Policy          string  `json:"policy,omitempty" set:"DrainPolicy" doc:"What becomes of them until then: wait, the default, leaves them alone; move asks for them to be moved by an event session_move each; end ends them one after the other."`
}

func (d draining) deadline() time.Duration {
	return time.Duration(d.DeadlineSeconds * float64(time.Second))
}

func (s *Server) drain(w http.ResponseWriter, r *http.Request) error {
	var in draining
	if err := s.readJSON(w, r, &in, false); err != nil {
		return err
	}
	o := session.DrainOrder{Deadline: in.deadline()}
	for _, p := range session.DrainPolicies() {
		if p.String() == in.Policy {
			o.Policy = p
		}
	}
	concern(w, fmt.Sprintf("%v, %v", o.Policy, o.Deadline))
	s.mgr.Drain(o)
	return content.WriteJSON(w, http.StatusAccepted, s.describe(r))
}

func (s *Server) drainStatus(w http.ResponseWriter, _ *http.Request) error {
	d, ok := s.mgr.Draining()
	if !ok {
		return problem.New(problem.NotDraining, "the host does not drain")
	}
	return content.WriteJSON(w, http.StatusOK, d)
}

// standing is the body of PUT /v1/state.
type standing struct {
	State string `json:"state" enum:"active,draining,probation" doc:"active ends a drain and a probation; draining refuses new sessions; probation takes a few, until they went well for a while."`
}

func (s *Server) setState(w http.ResponseWriter, r *http.Request) error {
	var in standing
	if err := s.readJSON(w, r, &in, false); err != nil {
		return err
	}
	concern(w, in.State)
	if err := s.mgr.SetState(in.State); err != nil {
		return err
	}
	return content.WriteJSON(w, http.StatusOK, s.describe(r))
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) error {
	s.mgr.Resume()
	return content.WriteJSON(w, http.StatusOK, s.describe(r))
}

// orEmpty makes a list that encodes as [] where there is none.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

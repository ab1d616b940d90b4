package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/content"
	"wavryhost/session/api/problem"

	"github.com/danielgtaylor/huma/v2"
)

// reserving is the body of POST /v1/reservations.
type reserving struct {
	Display     string  `json:"display,omitempty" maxLength:"200" doc:"Id of a display; without one the first."`
	HoldSeconds float64 `json:"hold_seconds,omitempty" minimum:"1" maximum:"120" doc:"How long the place is kept, in seconds; 15 where this is left out."`
	MaxBitrate  int     `json:"max_bitrate,omitempty" minimum:"0" maximum:"1000000000" doc:"The session's ceiling, in bit/s; 0 for that of the host."`
	Weight      int     `json:"weight,omitempty" minimum:"1" maximum:"1000" doc:"The session's share where something is short; a number of 1 to 1000, 100 where this is left out."`
	Region      string  `json:"region,omitempty" maxLength:"32" pattern:"^[A-Za-z0-9._-]*$" doc:"Region of the ICE servers to use, where there are such; without it the host's choice."`
}

// reserved is the answer of POST /v1/reservations.
type reserved struct {
	admission.Reservation
	ICEServers []iceServer `json:"ice_servers" doc:"The STUN and TURN servers for the viewer to use, best first."`
}

// iceServer is a server as RTCPeerConnection takes it.
type iceServer struct {
	URLs       []string `json:"urls" doc:"Where it is asked."`
	Username   string   `json:"username,omitempty" doc:"Of a TURN server."`
	Credential string   `json:"credential,omitempty" doc:"Of a TURN server; it is a secret of the viewer's."`
}

func (s *Server) reserve(w http.ResponseWriter, r *http.Request) error {
	var in reserving
	if err := s.readJSON(w, r, &in, false); err != nil {
		return err
	}
	who := principalOf(r.Context())
	l, err := s.mgr.Reserve(r.Context(), admission.ReservationRequest{
		Display: orDefault(in.Display), Hold: time.Duration(in.HoldSeconds * float64(time.Second)),
		MaxBitrate: in.MaxBitrate, Weight: in.Weight, Region: in.Region, Key: r.Header.Get("Idempotency-Key"), Owner: fmt.Sprintf("%q %q %q", who.Credential, who.Issuer, who.Name),
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "reservations/"+l.ID)
	out := reserved{Reservation: l, ICEServers: []iceServer{}}
	for _, one := range s.mgr.ICEServers(in.Region, turnUser(who.Owner), who.expires()) {
		out.ICEServers = append(out.ICEServers, iceServer{one.URLs, one.Username, one.Credential})
	}
	return content.WriteJSON(w, http.StatusCreated, out)
}

// reservationList is the answer of GET /v1/reservations.
type reservationList struct {
	Reservations []admission.Reservation `json:"reservations" doc:"The one that expires next in front."`
}

func (s *Server) reservations(w http.ResponseWriter, _ *http.Request) error {
	return content.WriteJSON(w, http.StatusOK, reservationList{orEmpty(s.mgr.Reservations())})
}

func (s *Server) reservation(w http.ResponseWriter, r *http.Request) error {
	for _, l := range s.mgr.Reservations() {
		if l.ID == r.PathValue("id") {
			return content.WriteJSON(w, http.StatusOK, l)
		}
	}
	return session.ErrUnknownReservation
}

func (s *Server) releaseReservation(w http.ResponseWriter, r *http.Request) error {
	if err := s.mgr.Release(r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// opening is the body of POST /v1/sessions.
type opening struct {
	Display     string `json:"display,omitempty" maxLength:"200" doc:"Id of a display; without one the first."`
	Reservation string `json:"reservation,omitempty" maxLength:"200" doc:"Id of the reservation whose place the session takes."`
	SDP         string `json:"sdp" doc:"The viewer's offer (RFC 8866), which receives one video in a codec of the host's, as H.264 or VP9."`
	MaxBitrate  int    `json:"max_bitrate,omitempty" minimum:"0" maximum:"1000000000" doc:"The session's ceiling, in bit/s; 0 for that of the host."`
	Weight      int    `json:"weight,omitempty" minimum:"1" maximum:"1000" doc:"The session's share where something is short; a number of 1 to 1000, 100 where this is left out."`
	Region      string `json:"region,omitempty" maxLength:"32" pattern:"^[A-Za-z0-9._-]*$" doc:"Region of the ICE servers to use, where there are such; without it that of the reservation, or the host's choice."`
	Role        string `json:"role,omitempty" set:"Role" doc:"What the viewer may do; viewer where this is left out."`
}

// role is what the viewer may do. The client is an operator, and the viewer for whom it speaks is not.
func (o opening) role() session.Role {
	for _, r := range session.Roles() {
		if r.String() == o.Role {
			return r
		}
	}
	return session.RoleViewer
}

// opened is the answer of POST /v1/sessions.
type opened struct {
	ID   string `json:"id" doc:"Id of the session."`
	SDP  string `json:"sdp" doc:"The host's answer, with its candidates."`
	ETag string `json:"etag" doc:"Names the ICE session; PATCH takes it as If-Match, quotes included."`
	Path string `json:"path" doc:"Path for the viewer's PATCH and DELETE."`
}

func (s *Server) createSession(w http.ResponseWriter, r *http.Request) error {
	var in opening
	if err := s.readJSON(w, r, &in, false); err != nil {
		return err
	}
	a, err := s.open(r, session.Offer{
		Display: orDefault(in.Display), SDP: in.SDP, Reservation: in.Reservation, Region: in.Region, MaxBitrate: in.MaxBitrate, Weight: in.Weight,
		RemoteAddr: r.RemoteAddr, UserAgent: problem.Shorten(r.UserAgent()), Role: in.role(),
	})
	if err != nil {
		return err
	}
	path := "/whep/sessions/" + a.ID
	w.Header().Set("Location", ".."+path)
	return content.WriteJSON(w, http.StatusCreated, opened{ID: a.ID, SDP: a.SDP, ETag: a.ETag, Path: path})
}

// changing is the body of PATCH /v1/sessions/{id}.
type changing struct {
	MaxBitrate *int    `json:"max_bitrate,omitempty" minimum:"0" maximum:"1000000000" doc:"The session's ceiling, in bit/s; 0 for that of the host."`
	Weight     *int    `json:"weight,omitempty" minimum:"1" maximum:"1000" doc:"The session's share where something is short; a number of 1 to 1000."`
	Display    *string `json:"display,omitempty" maxLength:"200" doc:"Id of the display to show from now on."`
}

func (s *Server) changeSession(w http.ResponseWriter, r *http.Request) error {
	var in changing
	if err := s.readJSON(w, r, &in, false); err != nil {
		return err
	}
	one, err := s.mgr.Change(r.Context(), r.PathValue("id"), session.Change{MaxBitrate: in.MaxBitrate, Weight: in.Weight, Display: in.Display})
	if err != nil {
		return err
	}
	one.Transitions = orEmpty(one.Transitions)
	return content.WriteJSON(w, http.StatusOK, one)
}

func orDefault(display string) string {
	if display == "" {
		return defaultDisplay
	}
	return display
}

// defaultDisplay is what stands for the first display that there is.
const defaultDisplay = "default"

// profileText is a size and frame rate in the query; see admission.ParseProfile.
type profileText string

// Schema describes it to the document.
func (profileText) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{
		Type: huma.TypeString, Pattern: `^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}@[1-9][0-9]{0,2}$`, Examples: []any{"1280x720@30", "1920x1080@60"},
		Description: "Width and height from 16 to 8192 pixels, and 1 to 240 frames per second.",
	}
	s.PrecomputeMessages()
	return s
}

// regionName is a region's name in the query; see relay.IsRegion.
type regionName string

// Schema describes it to the document.
func (regionName) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Pattern: `^[A-Za-z0-9._-]{0,32}$`, Examples: []any{"eu", "us-east"}, Description: "Region of STUN and TURN servers."}
	s.PrecomputeMessages()
	return s
}

// capacities is the answer of GET /v1/capacity.
type capacities struct {
	Profiles []admission.Capacity `json:"profiles" doc:"The largest first, or the one that was asked for."`
	Load     *session.Load        `json:"load,omitempty" doc:"How busy the machine is, where that is known."`
}

func (s *Server) capacity(w http.ResponseWriter, r *http.Request) error {
	var profiles []admission.Profile
	if text := r.URL.Query().Get("profile"); text != "" {
		p, err := admission.ParseProfile(text)
		if err != nil {
			return problem.New(problem.BadRequest, "profile %s is not WIDTHxHEIGHT@FPS, as 1280x720@30", problem.Shorten(strconv.Quote(text)))
		}
		profiles = []admission.Profile{p}
	}
	return content.WriteJSON(w, http.StatusOK, capacities{Profiles: s.mgr.Capacity(profiles...), Load: s.mgr.Host().Load})
}

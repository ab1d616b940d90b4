package api

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"wavryhost/session/admission"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"

	"github.com/danielgtaylor/huma/v2"
)

// reservations answers requests about reservations.
type reservations struct {
	mgr    reservationManager
	access interface {
		Invite(r *http.Request, l admission.Reservation, role grant.Role) (token string)
	}
	read reader
}

// reserving is the body of POST /v1/reservations.
type reserving struct {
	Display     string            `json:"display,omitempty" maxLength:"200" doc:"ID of a display. Default: the first display."`
	HoldSeconds float64           `json:"hold_seconds,omitempty" minimum:"1" maximum:"120" doc:"How long the reservation is held, in seconds. Default: 15."`
	MaxBitrate  int               `json:"max_bitrate,omitempty" minimum:"0" maximum:"1000000000" doc:"The session's maximum bitrate, in bit/s; 0 for the host's maximum."`
	Weight      int               `json:"weight,omitempty" minimum:"1" maximum:"1000" doc:"The session's share of a scarce resource; a number of 1 to 1000. Default: 100."`
	Region      string            `json:"region,omitempty" maxLength:"32" pattern:"^[A-Za-z0-9._-]*$" doc:"Region of the ICE servers. Default: the host's choice."`
	Subject     string            `json:"subject,omitempty" maxLength:"128" pattern:"^[^\\s\\x00-\\x1f\\x7f]*$" doc:"Name of the viewer, for whom alone the reservation then is. The answer has a token for it."`
	Role        string            `json:"role,omitempty" set:"ViewerRole" dependentRequired:"subject" doc:"What the subject may do. Default: viewer."`
	ExternalID  string            `json:"external_id,omitempty" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"The client's own ID, shown in lists, events and the audit log."`
	Labels      map[string]string `json:"labels,omitempty" doc:"The client's labels, up to 16, shown in lists and events."`
}

// reserved is the answer of POST /v1/reservations.
type reserved struct {
	admission.Reservation
	Path        string `json:"path" doc:"Path for the viewer's POST."`
	ViewerToken string `json:"viewer_token,omitempty" doc:"Bearer token for the subject, with which it opens this one session, trickles candidates, restarts ICE and ends the session; a secret of the viewer."`

	ICEServers []iceServer `json:"ice_servers" doc:"The STUN and TURN servers for the viewer, best first."`
}

// iceServer is a server in the form that RTCPeerConnection requires.
type iceServer struct {
	URLs       []string `json:"urls" doc:"URLs of the server."`
	Username   string   `json:"username,omitempty" doc:"User name at a TURN server."`
	Credential string   `json:"credential,omitempty" doc:"Password at a TURN server; a secret of the viewer."`
}

// regionName is the name of a region in the query; see relay.IsRegion.
type regionName string

// Schema describes it in the document.
func (regionName) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{
		Type: huma.TypeString, Pattern: `^[A-Za-z0-9._-]{0,32}$`, Examples: []any{"eu", "us-east"},
		Description: "Region of STUN and TURN servers.",
	}
	s.PrecomputeMessages()
	return s
}

// pointerWay is the query parameter pointer; see package whep.
type pointerWay string

// Schema describes it in the document.
func (pointerWay) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{
		Type: huma.TypeString, Enum: []any{"picture", "channel"}, Description: "How the viewer gets the pointer.",
	}
	s.PrecomputeMessages()
	return s
}

func (s reservations) create(w http.ResponseWriter, r *http.Request) error {
	var in reserving
	if err := s.read(w, r, &in, false); err != nil {
		return err
	}
	labels, err := labelsOf(in.Labels)
	if err != nil {
		return err
	}
	who := auth.PrincipalOf(r.Context())
	l, err := s.mgr.Reserve(r.Context(), admission.ReservationRequest{
		Display: orDefault(in.Display), Hold: time.Duration(in.HoldSeconds * float64(time.Second)),
		MaxBitrate: in.MaxBitrate, Weight: in.Weight, Region: in.Region, Subject: in.Subject,
		ExternalID: in.ExternalID, Labels: labels,
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "reservations/"+l.ID)
	out := reserved{Reservation: l, Path: "/whep/" + url.PathEscape(l.Display), ICEServers: []iceServer{}}
	noteObject(w, objectOf(in.Subject, in.ExternalID, in.Labels))
	if l.Subject != "" {
		out.ViewerToken = s.access.Invite(r, l, viewerRole(in.Role))
	}
	for _, one := range s.mgr.ICEServers(in.Region, who.TURNUser(), who.Expires()) {
		out.ICEServers = append(out.ICEServers, iceServer{one.URLs, one.Username, one.Credential})
	}
	return content.WriteJSON(w, http.StatusCreated, out)
}

// reservationList is the answer of GET /v1/reservations.
type reservationList struct {
	Reservations []admission.Reservation `json:"reservations" doc:"The reservations, sorted by expiry." partial:"true"`
	Next         string                  `json:"next_page_token,omitempty" doc:"For the next page, if there is one."`
}

func (s reservations) list(w http.ResponseWriter, r *http.Request) error {
	q := parseQuery(r, "owner", "display", "external_id")
	var items []item
	for _, l := range s.mgr.List() {
		items = append(items, item{
			key: fmt.Sprintf("%020d %s", l.Expires.UnixNano(), l.ID), labels: l.Labels, value: l,
			words: map[string]string{"owner": l.Subject, "display": l.Display, "external_id": l.ExternalID},
		})
	}
	list, next, err := q.page(items)
	if err != nil {
		return err
	}
	return serveTagged(w, r, pageOf{"reservations": list}.with(next))
}

func (s reservations) get(w http.ResponseWriter, r *http.Request) error {
	l, err := s.mgr.Reservation(r.PathValue("id"))
	if err != nil {
		return err
	}
	return content.WriteJSON(w, http.StatusOK, l)
}

// renewing is the body of PATCH /v1/reservations/{id}.
type renewing struct {
	HoldSeconds float64 `json:"hold_seconds" minimum:"1" maximum:"120" doc:"How long the reservation is held from now on, in seconds."`
}

func (s reservations) renew(w http.ResponseWriter, r *http.Request) error {
	var in renewing
	if err := s.read(w, r, &in, false); err != nil {
		return err
	}
	l, err := s.mgr.Renew(r.PathValue("id"), time.Duration(in.HoldSeconds*float64(time.Second)))
	if err != nil {
		return err
	}
	return content.WriteJSON(w, http.StatusOK, l)
}

func (s reservations) release(w http.ResponseWriter, r *http.Request) error {
	if err := s.mgr.Release(r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

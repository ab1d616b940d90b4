package api

import (
	"bytes"
	"fmt"
	"image"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/access"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"

	"github.com/danielgtaylor/huma/v2"
)

// opener opens sessions and knows who may see them; see access.Access.
type opener interface {
	Open(r *http.Request, o session.Offer) (session.Answer, error)
	OpenFor(r *http.Request, o session.Offer, subject string, role grant.Role) (session.Answer, string, error)
	Owns(r *http.Request, id string) error
}

// sessions answers the control API's requests about sessions.
type sessions struct {
	mgr    sessionManager
	access opener
	read   reader
}

// sessionList is the answer of GET /v1/sessions.
type sessionList struct {
	Sessions []session.Snapshot `json:"sessions" doc:"Oldest first." partial:"true"`
	Next     string             `json:"next_page_token,omitempty" doc:"For the next page, if there is one."`
}

func (s sessions) list(w http.ResponseWriter, r *http.Request) error {
	q := parseQuery(r, "owner", "display", "state", "external_id")
	var items []item
	for _, one := range s.mgr.Sessions() {
		one.Transitions = orEmpty(one.Transitions)
		items = append(items, item{
			key: fmt.Sprintf("%020d %s", one.Created.UnixNano(), one.ID), labels: one.Labels, value: one,
			words: map[string]string{
				"owner": one.Subject, "display": one.Display, "state": one.State, "external_id": one.ExternalID,
			},
		})
	}
	list, next, err := q.page(items)
	if err != nil {
		return err
	}
	return serveTagged(w, r, pageOf{"sessions": list}.with(next))
}

// show answers with a session.
func show(w http.ResponseWriter, one session.Snapshot, err error) error {
	if err != nil {
		return err
	}
	one.Transitions = orEmpty(one.Transitions)
	return content.WriteJSON(w, http.StatusOK, one)
}

func (s sessions) get(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if err := s.access.Owns(r, id); err != nil {
		return err
	}
	one, err := s.mgr.Session(id)
	return show(w, one, err)
}

// opening is the body of POST /v1/sessions.
type opening struct {
	Display     string            `json:"display,omitempty" maxLength:"200" doc:"ID of a display. Default: the first display."`
	Reservation string            `json:"reservation,omitempty" maxLength:"200" doc:"ID of the reservation that the session uses."`
	SDP         string            `json:"sdp" doc:"The viewer's offer (RFC 8866). It receives one video in one of the host's codecs, such as H.264 or VP9."`
	MaxBitrate  int               `json:"max_bitrate,omitempty" minimum:"0" maximum:"1000000000" doc:"The session's maximum bitrate, in bit/s; 0 for the host's maximum."`
	Weight      int               `json:"weight,omitempty" minimum:"1" maximum:"1000" doc:"The session's share of a scarce resource; a number of 1 to 1000. Default: 100."`
	Region      string            `json:"region,omitempty" maxLength:"32" pattern:"^[A-Za-z0-9._-]*$" doc:"Region of the ICE servers. Default: that of the reservation, else the host's choice."`
	Subject     string            `json:"subject,omitempty" maxLength:"128" pattern:"^[^\\s\\x00-\\x1f\\x7f]*$" doc:"Name of the viewer, which then owns the session. The answer has a token for it."`
	Role        string            `json:"role,omitempty" set:"ViewerRole" doc:"What the viewer may do. Default: viewer."`
	ExternalID  string            `json:"external_id,omitempty" maxLength:"128" pattern:"^[^\\x00-\\x1f\\x7f]*$" doc:"The client's own ID, shown in lists, events and the audit log."`
	Labels      map[string]string `json:"labels,omitempty" doc:"The client's labels, up to 16, shown in lists and events."`
}

// viewerRole returns the role that an operator gives to a viewer.
func viewerRole(name string) grant.Role {
	if name == "" {
		return grant.Viewer
	}
	return grant.Role(name)
}

// opened is the answer of POST /v1/sessions.
type opened struct {
	ID   string `json:"id" doc:"ID of the session."`
	SDP  string `json:"sdp" doc:"The host's answer, with its candidates."`
	ETag string `json:"etag" doc:"Identifies the ICE session; PATCH accepts it as If-Match, quotes included."`
	Path string `json:"path" doc:"Path for the viewer's PATCH and DELETE."`

	ViewerToken string `json:"viewer_token,omitempty" doc:"Bearer token for the subject, valid for this session only; a secret of the viewer."`
}

func (s sessions) create(w http.ResponseWriter, r *http.Request) error {
	var in opening
	if err := s.read(w, r, &in, false); err != nil {
		return err
	}
	labels, err := labelsOf(in.Labels)
	if err != nil {
		return err
	}
	role := viewerRole(in.Role)
	o := session.Offer{
		Display: orDefault(in.Display), SDP: in.SDP, Reservation: in.Reservation, Region: in.Region,
		MaxBitrate: in.MaxBitrate,
		Weight:     in.Weight, RemoteAddr: r.RemoteAddr, UserAgent: problem.Shorten(r.UserAgent()), Role: whep.RoleOf(role),
		ExternalID: in.ExternalID, Labels: labels, TraceParent: r.Header.Get("Traceparent"),
	}
	var a session.Answer
	var token string
	noteObject(w, objectOf(in.Subject, in.ExternalID, in.Labels))
	if in.Subject == "" {
		a, err = s.access.Open(r, o)
	} else {
		a, token, err = s.access.OpenFor(r, o, in.Subject, role)
	}
	if err != nil {
		return err
	}
	path := "/whep/sessions/" + a.ID
	w.Header().Set("Location", "sessions/"+a.ID)
	return content.WriteJSON(w, http.StatusCreated, opened{a.ID, a.SDP, a.ETag, path, token})
}

// objectOf returns what a session or reservation is for, for the audit log.
func objectOf(subject, externalID string, labels map[string]string) string {
	var what []string
	if subject != "" {
		what = append(what, "subject "+subject)
	}
	if externalID != "" {
		what = append(what, "external_id "+externalID)
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		what = append(what, "label "+name+"="+labels[name])
	}
	return strings.Join(what, ", ")
}

// orDefault returns the ID of a display, or what stands for the first one.
func orDefault(display string) string {
	if display == "" {
		return access.DefaultDisplay
	}
	return display
}

// changing is the body of PATCH /v1/sessions/{id}.
type changing struct {
	MaxBitrate *int    `json:"max_bitrate,omitempty" minimum:"0" maximum:"1000000000" doc:"The session's maximum bitrate, in bit/s; 0 for the host's maximum."`
	Weight     *int    `json:"weight,omitempty" minimum:"1" maximum:"1000" doc:"The session's share of a scarce resource; a number of 1 to 1000."`
	Display    *string `json:"display,omitempty" maxLength:"200" doc:"ID of the display to show from now on."`
}

func (s sessions) change(w http.ResponseWriter, r *http.Request) error {
	var in changing
	if err := s.read(w, r, &in, false); err != nil {
		return err
	}
	c := session.Change{MaxBitrate: in.MaxBitrate, Weight: in.Weight, Display: in.Display}
	one, err := s.mgr.Change(r.Context(), r.PathValue("id"), c)
	return show(w, one, err)
}

// postponing is the body of POST /v1/sessions/{id}/postpone.
type postponing struct {
	Seconds float64 `json:"seconds,omitempty" exclusiveMinimum:"0" maximum:"86400" doc:"By how long, in seconds. Default: 300. It is shortened to what the drain allows."`
}

// postponeBy is by how long a session's end is postponed unless the request says otherwise: long enough to finish a
// task, short enough that a page asks again before it uses up the limit.
const postponeBy = 5 * time.Minute

func (s sessions) postpone(w http.ResponseWriter, r *http.Request) error {
	var in postponing
	if err := s.read(w, r, &in, true); err != nil {
		return err
	}
	id := r.PathValue("id")
	if err := s.access.Owns(r, id); err != nil {
		return err
	}
	by := postponeBy
	if in.Seconds > 0 {
		by = time.Duration(in.Seconds * float64(time.Second))
	}
	if err := s.mgr.Postpone(id, by); err != nil {
		return err
	}
	one, err := s.mgr.Session(id)
	return show(w, one, err)
}

// viewerRoute takes figures, and changes nothing that people ask the audit log for.
const viewerRoute = "PUT /v1/sessions/{id}/viewer"

// viewerFigures is the body of PUT /v1/sessions/{id}/viewer.
type viewerFigures struct {
	Freezes       uint64  `json:"freezes" minimum:"0" maximum:"1000000000" doc:"Number of times that the picture stood although another was due, since the session began."`
	FrozenSeconds float64 `json:"frozen_seconds" minimum:"0" maximum:"1000000000" doc:"Total duration of that, in seconds."`
}

func (s sessions) reportViewer(w http.ResponseWriter, r *http.Request) error {
	var in viewerFigures
	if err := s.read(w, r, &in, false); err != nil {
		return err
	}
	id := r.PathValue("id")
	if err := s.access.Owns(r, id); err != nil {
		return err
	}
	if err := s.mgr.ReportViewer(id, session.ViewerReport{
		Freezes: in.Freezes, Frozen: time.Duration(in.FrozenSeconds * float64(time.Second)),
	}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// endText is the reason in the query of DELETE /v1/sessions/{id}.
type endText string

// maxEndText is the most characters of an endText.
const maxEndText = 200

// Schema describes it in the document.
func (endText) Schema(huma.Registry) *huma.Schema {
	most := maxEndText
	return prepared(&huma.Schema{Type: huma.TypeString, MaxLength: &most, Examples: []any{"the desk is needed"}})
}

func (s sessions) end(w http.ResponseWriter, r *http.Request) error {
	reason := r.URL.Query().Get("reason")
	if err := s.mgr.End(r.Context(), r.PathValue("id"), session.EndOperator, reason); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s sessions) giveControl(w http.ResponseWriter, r *http.Request) error {
	one, err := s.mgr.SetControl(r.PathValue("id"), true)
	return show(w, one, err)
}

func (s sessions) withdrawControl(w http.ResponseWriter, r *http.Request) error {
	one, err := s.mgr.SetControl(r.PathValue("id"), false)
	return show(w, one, err)
}

// sizing is the body of PUT /v1/sessions/{id}/size and PUT /v1/displays/{display}/size.
type sizing struct {
	Width  int `json:"width" minimum:"96" maximum:"8192" doc:"Width in pixels."`
	Height int `json:"height" minimum:"96" maximum:"8192" doc:"Height in pixels."`
}

func (z sizing) size() image.Point { return image.Pt(z.Width, z.Height) }

func (s sessions) resize(w http.ResponseWriter, r *http.Request) error {
	var in sizing
	if err := s.read(w, r, &in, false); err != nil {
		return err
	}
	id := r.PathValue("id")
	if err := s.access.Owns(r, id); err != nil {
		return err
	}
	if err := s.mgr.Resize(r.Context(), session.Resize{Session: id, Size: in.size()}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s sessions) keyframe(w http.ResponseWriter, r *http.Request) error {
	if err := s.mgr.RequestKeyframe(r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// recording answers with the flight recording. It is complete before the answer begins, so an error can still be
// reported.
func (s sessions) recording(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	var b bytes.Buffer
	if err := s.mgr.WriteRecording(id, &b); err != nil {
		return err
	}
	name := mime.FormatMediaType("attachment", map[string]string{"filename": id + ".wavryrec"})
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", name)
	w.WriteHeader(http.StatusOK)
	writeParts(w, b.Bytes())
	return nil
}

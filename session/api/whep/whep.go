// Package whep implements WHEP (draft-ietf-wish-whep, based on RFC 9725): a viewer opens a session with POST, trickles
// candidates and restarts ICE with PATCH, and ends the session with DELETE. OPTIONS returns the ICE servers.
package whep

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
	"wavryhost/session/relay"
)

// The media types of WHEP.
const (
	TypeSDP      = "application/sdp"
	TypeFragment = "application/trickle-ice-sdpfrag" // RFC 8840 section 9
)

// headerInput says in the answer to OPTIONS that the session will accept a data channel for input.
const headerInput = "Wavry-Input"

// manager is what WHEP uses of session.Manager.
type manager interface {
	Patch(ctx context.Context, id, ifMatch, fragment string) (session.Patched, error)
	End(ctx context.Context, id string, why session.EndReason, note string) error
	TakesInput(ctx context.Context, display string, r session.Role) bool
	ICEServers(region, user string, last time.Time) []relay.Server
}

// access decides what the client of a request may do; see access.Access.
type access interface {
	Open(r *http.Request, o session.Offer) (session.Answer, error)
	Owns(r *http.Request, id string) error
	Views(r *http.Request) bool
}

// former finds the sessions of the daemon that this one has taken over from; see handover.Former.
type former interface {
	Session(r *http.Request, id string) (session.Snapshot, error)
}

// Handler answers WHEP requests. Its methods return the error for the client.
type Handler struct {
	mgr    manager
	access access
	former former // nil if there is none
}

// New returns a Handler. f may be nil.
func New(mgr manager, a access, f former) *Handler { return &Handler{mgr, a, f} }

// RoleOf returns the role of a session that a client with that role opens for itself.
func RoleOf(r grant.Role) session.Role {
	switch r {
	case grant.Operator:
		return session.RoleOperator
	case grant.Controller:
		return session.RoleController
	default:
		return session.RoleViewer
	}
}

// Create opens a session on the display in the path.
func (h *Handler) Create(w http.ResponseWriter, r *http.Request) error {
	if err := content.RequireType(r, TypeSDP); err != nil {
		return err.With("Accept-Post", TypeSDP)
	}
	if !content.Accepts(r.Header.Values("Accept"), TypeSDP) {
		return problem.New(problem.NotAcceptable, "the answer is %s, which the Accept header excludes", TypeSDP)
	}
	region := r.URL.Query().Get("region")
	if region != "" && !relay.IsRegion(region) {
		return problem.New(problem.BadRequest,
			"region %s is not up to 32 letters, digits, dots, dashes and underscores",
			problem.Shorten(strconv.Quote(region)))
	}
	draws, err := drawsPointer(r.URL.Query())
	if err != nil {
		return err
	}
	offer, err := readText(w, r)
	if err != nil {
		return err
	}
	p := auth.PrincipalOf(r.Context())
	o := session.Offer{
		Display: r.PathValue("display"), SDP: offer, Reservation: r.URL.Query().Get("reservation"), Region: region,
		DrawsPointer: draws, RemoteAddr: r.RemoteAddr, UserAgent: problem.Shorten(r.UserAgent()), Role: RoleOf(p.Role),
		TraceParent: r.Header.Get("Traceparent"), Replaces: r.URL.Query().Get("replaces"),
	}
	if err := h.inherit(r, &o); err != nil {
		return err
	}
	a, err := h.access.Open(r, o)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", TypeSDP)
	header.Set("Location", "sessions/"+a.ID) // relative, because a proxy may have added a prefix to the path
	header.Set("ETag", a.ETag)
	header.Set("Accept-Patch", TypeFragment)
	h.setLinks(header, region, p)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, a.SDP)
	return nil
}

// inherit gives an offer what the session had that it replaces, if any.
func (h *Handler) inherit(r *http.Request, o *session.Offer) (err error) {
	if o.Replaces == "" {
		return nil
	}
	if h.former == nil {
		return session.ErrUnknownSession
	}
	one, err := h.former.Session(r, o.Replaces)
	if err != nil {
		return err
	}
	o.Display, o.Reservation = one.Display, ""
	o.MaxBitrate, o.Weight, o.Rate, o.Control = one.MaxBitrate, one.Weight, one.TargetBitrate, one.Control
	o.ExternalID = one.ExternalID
	o.Labels, err = admission.ParseLabels(one.Labels)
	return err
}

// The values of the query parameter pointer.
const (
	pointerPicture = "picture"
	pointerChannel = "channel"
)

// drawsPointer reports whether a query says that the viewer draws the pointer itself.
func drawsPointer(query url.Values) (bool, error) {
	switch way := query.Get("pointer"); way {
	case "", pointerPicture:
		return false, nil
	case pointerChannel:
		return true, nil
	default:
		return false, problem.New(problem.BadRequest, "pointer %s is neither %s nor %s",
			problem.Shorten(strconv.Quote(way)), pointerPicture, pointerChannel)
	}
}

// Patch passes candidates to a session, or restarts ICE.
func (h *Handler) Patch(w http.ResponseWriter, r *http.Request) error {
	if err := content.RequireType(r, TypeFragment); err != nil {
		return err.With("Accept-Patch", TypeFragment)
	}
	// Without If-Match the fragment itself must say which ICE session it belongs to.
	match := strings.TrimSpace(strings.Join(r.Header.Values("If-Match"), ", "))
	if match == `"*"` {
		// The example in RFC 9725 section 4.3.3 has quotes, contrary to RFC 9110. Clients follow either.
		match = "*"
	}
	fragment, err := readText(w, r)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	if err := h.access.Owns(r, id); err != nil {
		return err
	}
	p, err := h.mgr.Patch(r.Context(), id, content.OriginalTags(match), fragment)
	if err != nil {
		return err
	}
	if p.SDP == "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Header().Set("Content-Type", TypeFragment)
	w.Header().Set("ETag", p.ETag)
	_, _ = io.WriteString(w, p.SDP)
	return nil
}

// Delete ends a session.
func (h *Handler) Delete(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if err := h.access.Owns(r, id); err != nil {
		return err
	}
	if err := h.mgr.End(r.Context(), id, session.EndDeleted, ""); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// Methods returns the methods that OPTIONS lists for every WHEP path. Clients read from the token PATCH on either path
// whether trickle ICE is possible.
func Methods() []string {
	return []string{http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions}
}

// Options sets the headers of an answer to OPTIONS. Only a client that may open sessions gets the ICE servers, with
// their credentials.
func (h *Handler) Options(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Accept-Post", TypeSDP)
	header.Set("Accept-Patch", TypeFragment)
	if !h.access.Views(r) {
		return
	}
	p := auth.PrincipalOf(r.Context())
	h.setLinks(header, r.URL.Query().Get("region"), p)
	display := r.PathValue("display")
	if display != "" && h.mgr.TakesInput(r.Context(), display, RoleOf(p.Role)) {
		header.Set(headerInput, "taken")
	}
}

// readText returns the body, which must be text.
func readText(w http.ResponseWriter, r *http.Request) (string, error) {
	b, err := content.Read(w, r)
	if err != nil {
		return "", err
	}
	if len(b) == 0 {
		return "", problem.New(problem.BadSDP, "the body is empty")
	}
	if !utf8.Valid(b) {
		return "", problem.New(problem.BadSDP, "the body is not text in UTF-8")
	}
	return string(b), nil
}

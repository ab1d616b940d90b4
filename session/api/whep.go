package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"
	"wavryhost/session/relay"
)

const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag" // RFC 8840 section 9
)

func (s *Server) whepCreate(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	if err := content.RequireType(r, typeSDP); err != nil {
		return err.With("Accept-Post", typeSDP)
	}
	if !content.Accepts(r.Header.Values("Accept"), typeSDP) {
		return problem.New(problem.NotAcceptable, "the answer is %s, which the Accept header excludes", typeSDP)
	}
	region := r.URL.Query().Get("region")
	if region != "" && !relay.IsRegion(region) {
		return problem.New(problem.BadRequest, "region %s is not up to 32 letters, digits, dots, dashes and underscores", problem.Shorten(strconv.Quote(region)))
	}
	offer, err := readText(w, r)
	if err != nil {
		return err
	}
	a, err := s.open(r, session.Offer{
		Display: r.PathValue("display"), SDP: offer, Reservation: r.URL.Query().Get("reservation"), Region: region,
		RemoteAddr: r.RemoteAddr, UserAgent: problem.Shorten(r.UserAgent()), Role: roleOf(principalOf(r.Context()).role),
	})
	if err != nil {
		return err
	}
	h.Set("Content-Type", typeSDP)
	h.Set("Location", "sessions/"+a.ID) // relative: a proxy may have put the path below one of its own
	h.Set("ETag", a.ETag)
	h.Set("Accept-Patch", typeFragment)
	s.linkHeader(h, region, principalOf(r.Context()))
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, a.SDP)
	return nil
}

// open creates a session for the client of r.
func (s *Server) open(r *http.Request, o session.Offer) (session.Answer, error) {
	if err := s.limit(r, &o); err != nil {
		return session.Answer{}, err
	}
	p := principalOf(r.Context())
	if _, err := s.key.lapsed(p, time.Now()); err != nil {
		return session.Answer{}, err
	}
	g := p.grant
	if g != nil {
		if err := s.key.grants.Spend(*g); err != nil {
			return session.Answer{}, s.unspent(err)
		}
	}
	a, err := s.mgr.Create(r.Context(), o)
	if err != nil {
		if g != nil {
			s.key.grants.Return(*g)
		}
		return a, err
	}
	// A revocation is remembered before the sessions are looked through that it ends. So either it finds this one, which is listed by
	// here, or it is found here.
	if why, err := s.key.lapsed(p, time.Now()); err != nil {
		s.abandon(r, a.ID, why)
		return session.Answer{}, err
	}
	if err := r.Context().Err(); err != nil {
		// Nobody reads the answer, so nobody could ever end the session, or has anything of its grant.
		s.abandon(r, a.ID, session.EndViewerGone)
		if g != nil {
			s.key.grants.Return(*g)
		}
		return session.Answer{}, err
	}
	if p.Credential == session.CredentialToken {
		if one, err := s.mgr.Session(a.ID); err == nil {
			p.display = one.Display
		}
	}
	s.mu.Lock()
	s.opened[a.ID] = p
	s.mu.Unlock()
	if g != nil {
		s.key.grants.Keep(*g) // before the viewer can have anything of it
	}
	return a, nil
}

// unspent refuses a grant for one session that cannot be used.
func (s *Server) unspent(err error) *problem.Error {
	code, why := problem.Forbidden, strings.TrimPrefix(err.Error(), "grant: ")
	e, ok := errors.AsType[*grant.Error](err)
	if ok {
		s.key.count(methodGrant, string(e.Fault))
	}
	if ok && e.Fault == grant.Busy { // nothing is wrong with it
		return problem.New(problem.TooManyGrants, "%s", why).RetryAfter(time.Minute)
	}
	return problem.New(code, "%s", why)
}

// abandon ends a session that nobody was told of.
func (s *Server) abandon(r *http.Request, id string, why session.EndReason) {
	if err := s.mgr.End(context.WithoutCancel(r.Context()), id, why); err != nil {
		s.log.Debug("session that nobody was told of not ended", "session", id, "err", err)
	}
}

func (s *Server) whepPatch(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	if err := content.RequireType(r, typeFragment); err != nil {
		return err.With("Accept-Patch", typeFragment)
	}
	// Without one the fragment itself has to say which ICE session it belongs to.
	match := strings.TrimSpace(strings.Join(r.Header.Values("If-Match"), ", "))
	if match == `"*"` {
		// The example in RFC 9725 section 4.3.3 has it in quotes, against RFC 9110; clients follow either.
		match = "*"
	}
	fragment, err := readText(w, r)
	if err != nil {
		return err
	}
	if err := s.owns(r, r.PathValue("id")); err != nil {
		return err
	}
	p, err := s.mgr.Patch(r.Context(), r.PathValue("id"), content.OriginalTags(match), fragment)
	if err != nil {
		return err
	}
	if p.SDP == "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	h.Set("Content-Type", typeFragment)
	h.Set("ETag", p.ETag)
	_, _ = io.WriteString(w, p.SDP)
	return nil
}

func (s *Server) whepDelete(w http.ResponseWriter, r *http.Request) error {
	if err := s.owns(r, r.PathValue("id")); err != nil {
		return err
	}
	if err := s.mgr.End(r.Context(), r.PathValue("id"), session.EndDeleted); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
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

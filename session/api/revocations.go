package api

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/handover"
	"wavryhost/session/api/problem"

	"github.com/danielgtaylor/huma/v2"
)

// revocations answers requests that revoke grants.
type revocations struct {
	mgr interface {
		Revoke(issuer, grant, subject string) int
	}
	auth interface {
		Issuer(named string) (string, error)
		Revoke(now time.Time, issuer, id, subject string) error
	}
	// former also has sessions that a revocation may end; nil without a former daemon.
	former *handover.Former
	read   reader
	log    *slog.Logger
}

// revoking is the body of POST /v1/revocations.
type revoking struct {
	Grant   string `json:"grant,omitempty" maxLength:"128" doc:"ID of a grant (jti), which is refused from now on."`
	Subject string `json:"subject,omitempty" maxLength:"128" doc:"Subject whose grants are revoked, as far as they are issued already."`
	Issuer  string `json:"issuer,omitempty" maxLength:"256" doc:"Issuer (iss) of the grants; required if the host accepts grants of several issuers."`
}

// TransformSchema requires one of grant and subject. A client that omits both by mistake must not take the success for
// a revocation.
func (revoking) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	none := 0
	empty := &huma.Schema{Type: huma.TypeString, MaxLength: &none}
	s.Not = &huma.Schema{
		Type: huma.TypeObject, Properties: map[string]*huma.Schema{"grant": empty, "subject": empty},
		Description: "nothing is revoked: the body must name the grant (its jti), the subject, or both",
	}
	s.PrecomputeMessages()
	return s
}

// revocation is the answer of POST /v1/revocations.
type revocation struct {
	Ended int `json:"sessions_ended" doc:"Number of sessions that end because of it."`
}

func (s revocations) create(w http.ResponseWriter, r *http.Request) error {
	var in revoking
	if err := s.read(w, r, &in, false); err != nil {
		return err
	}
	var what []string
	for _, part := range [][2]string{{"grant ", in.Grant}, {"subject ", in.Subject}, {"issuer ", in.Issuer}} {
		if part[1] != "" {
			what = append(what, part[0]+part[1])
		}
	}
	noteObject(w, strings.Join(what, ", "))
	issuer, err := s.auth.Issuer(in.Issuer)
	switch {
	case errors.Is(err, auth.ErrUnknownIssuer):
		return problem.New(problem.BadRequest, "this host accepts no grants of the issuer %s",
			problem.Shorten(strconv.Quote(in.Issuer)))
	case err != nil:
		return problem.New(problem.BadRequest, "this host accepts grants of several issuers; name one (issuer)")
	}
	err = s.auth.Revoke(time.Now(), issuer, in.Grant, in.Subject)
	if errors.Is(err, auth.ErrTooManyRevoked) {
		return problem.New(problem.TooManyRevocations,
			"the host already keeps %d revocations; remove the issuer's key from the key set instead",
			auth.MaxRevocations)
	}
	ended := s.mgr.Revoke(issuer, in.Grant, in.Subject)
	if s.former != nil && s.former.Sessions() >= 0 {
		var there revocation
		if err := s.former.Pass(r, in, &there); err != nil {
			s.log.Error("revocation not known to the former daemon, whose sessions continue", "err", err)
			return problem.New(problem.Internal, "it is revoked and %d sessions end, but sessions of the former daemon "+
				"may continue; the host's log has the cause", ended)
		}
		ended += there.Ended
	}
	if err != nil {
		s.log.Error("revocation not written; it ends with the daemon", "err", err)
		return problem.New(problem.Internal, "it is revoked and %d sessions end, but only until the daemon ends: "+
			"the file of revocations cannot be written; the host's log has the cause", ended)
	}
	return content.WriteJSON(w, http.StatusOK, revocation{Ended: ended})
}

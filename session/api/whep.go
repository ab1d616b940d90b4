package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"wavryhost/session"
	"wavryhost/session/api/grant"
	"wavryhost/session/relay"
)

const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag" // RFC 8840 section 9
)

func (s *Server) whepCreate(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	if err := contentType(r, typeSDP); err != nil {
		return err.with("Accept-Post", typeSDP)
	}
	if !accepts(r.Header.Values("Accept"), typeSDP) {
		return refuse(CodeNotAcceptable, "the answer is %s, which the Accept header excludes", typeSDP)
	}
	region := r.URL.Query().Get("region")
	if region != "" && !relay.IsRegion(region) {
		return refuse(CodeBadRequest, "region %s is not up to 32 letters, digits, dots, dashes and underscores", shorten(strconv.Quote(region)))
	}
	offer, err := readText(w, r)
	if err != nil {
		return err
	}
	a, err := s.open(r, session.Offer{
		Display: r.PathValue("display"), SDP: offer, Lease: r.URL.Query().Get("reservation"), Region: region,
		RemoteAddr: r.RemoteAddr, UserAgent: shorten(r.UserAgent()), Role: roleOf(principalOf(r.Context()).role),
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
func (s *Server) unspent(err error) *problem {
	code, why := CodeForbidden, strings.TrimPrefix(err.Error(), "grant: ")
	e, ok := errors.AsType[*grant.Error](err)
	if ok {
		s.key.count(methodGrant, string(e.Fault))
	}
	if ok && e.Fault == grant.Busy { // nothing is wrong with it
		return refuse(CodeTooManyGrants, "%s", why).with("Retry-After", seconds(time.Minute))
	}
	return refuse(code, "%s", why)
}

// abandon ends a session that nobody was told of.
func (s *Server) abandon(r *http.Request, id string, why session.EndReason) {
	if err := s.mgr.End(context.WithoutCancel(r.Context()), id, why); err != nil {
		s.log.Debug("session that nobody was told of not ended", "session", id, "err", err)
	}
}

func (s *Server) whepPatch(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	if err := contentType(r, typeFragment); err != nil {
		return err.with("Accept-Patch", typeFragment)
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
	p, err := s.mgr.Patch(r.Context(), r.PathValue("id"), ownTags(match), fragment)
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

// compressed is what proxies put behind a tag when they compress an answer: Apache and Caddy "-gzip" and the like, Jetty "--gzip".
var compressed = regexp.MustCompile(`-{1,2}(?:gzip|br|zstd|deflate)$`)

// ownTags takes from the tags of an If-Match field what compressing proxies did to them: they make them weak, as nginx, or add to them, and many pass on what clients repeat. No
// tag of the server's own has a dash.
func ownTags(field string) string {
	tags := strings.Split(field, ",")
	for i, t := range tags {
		t = strings.TrimPrefix(strings.TrimSpace(t), "W/")
		if inner, ok := strings.CutSuffix(t, `"`); ok {
			t = compressed.ReplaceAllString(inner, "") + `"`
		}
		tags[i] = t
	}
	return strings.Join(tags, ", ")
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

// contentType refuses a body of another type than want, and one that is compressed.
func contentType(r *http.Request, want string) *problem {
	got := r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(got); err != nil || media != want {
		return refuse(CodeUnsupportedMediaType, "the body is %q; it must be %s", shorten(got), want)
	}
	// RFC 9110 section 15.5.16.
	if coding := strings.Join(r.Header.Values("Content-Encoding"), ", "); coding != "" && !strings.EqualFold(coding, "identity") {
		return refuse(CodeUnsupportedMediaType, "the body is coded by %q; it must come as it is", shorten(coding)).with("Accept-Encoding", "identity")
	}
	return nil
}

// accepts tells whether the Accept headers allow media (RFC 9110 section 12.5.1): the most specific range decides, and no
// header allows everything.
func accepts(headers []string, media string) bool {
	if len(headers) == 0 {
		return true
	}
	kind, _, _ := strings.Cut(media, "/")
	ranges := []string{"*/*", kind + "/*", media}
	best, ok := -1, false
	for _, h := range headers {
		for item := range strings.SplitSeq(h, ",") {
			if strings.TrimSpace(item) == "" {
				continue
			}
			got, params, err := mime.ParseMediaType(item)
			if err != nil {
				continue
			}
			rank := slices.Index(ranges, got)
			if rank < 0 || rank < best {
				continue
			}
			q := 1.0
			if v, given := params["q"]; given {
				if q, err = strconv.ParseFloat(v, 64); err != nil {
					continue
				}
			}
			best, ok = rank, q > 0
		}
	}
	return ok
}

// drained is how much of a body is read beyond the limit before it is refused. nginx sends all of a body before it reads
// the answer, up to 1 MiB by default, and answers 502 when the connection is closed meanwhile.
const drained = 1 << 20

// boundedBody is a request body that ends with an error at the limit, and the whole of it.
type boundedBody struct {
	io.ReadCloser
	whole io.Reader
}

// errBody: the client does not send the body that it announced.
var errBody = errors.New("body cannot be read")

// readBody returns the body. It lifts the deadline for reading, which net/http lets run on while the handler works: its
// end would look like a client that hung up, and cancel the request. The next request sets it anew.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		_, big := errors.AsType[*http.MaxBytesError](err)
		if body, ok := r.Body.(*boundedBody); ok && big {
			_, _ = io.CopyN(io.Discard, body.whole, drained)
		}
		switch gone := r.Context().Err(); {
		case big, errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		case gone != nil:
			return nil, fmt.Errorf("read body: %w: %w", gone, err)
		default:
			return nil, fmt.Errorf("%w: %w", errBody, err)
		}
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("lift read deadline: %w", err)
	}
	return b, nil
}

// readText returns the body, which must be text.
func readText(w http.ResponseWriter, r *http.Request) (string, error) {
	b, err := readBody(w, r)
	if err != nil {
		return "", err
	}
	if len(b) == 0 {
		return "", refuse(CodeBadSDP, "the body is empty")
	}
	if !utf8.Valid(b) {
		return "", refuse(CodeBadSDP, "the body is not text in UTF-8")
	}
	return string(b), nil
}

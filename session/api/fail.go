package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"strings"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/problem"
	"wavryhost/session/hoststate"
	"wavryhost/session/peer"
)

// known lists the errors of the session manager that are the client's business. again reports whether the same request
// may succeed later.
var known = []struct {
	err   error
	code  problem.Code
	again bool
}{
	{session.ErrUnknownDisplay, problem.UnknownDisplay, false},
	{session.ErrUnknownSession, problem.UnknownSession, false},
	{peer.ErrBadOffer, problem.BadSDP, false},
	{peer.ErrUnacceptable, problem.UnacceptableOffer, false},
	{session.ErrNoPicture, problem.NoPicture, true},
	{session.ErrFull, problem.Full, true},
	{peer.ErrTooOften, problem.TooManyRequests, true},
	{session.ErrDraining, problem.Draining, true},
	{hoststate.ErrNotPostponable, problem.NotPostponable, false},
	{peer.ErrNoNetwork, problem.NoNetwork, true},
	{peer.ErrStale, problem.StaleETag, false},
	{peer.ErrNoMatch, problem.PreconditionRequired, false},
	{session.ErrNoControl, problem.NoControl, false},
	{session.ErrFixedSize, problem.FixedSize, false},
	{session.ErrResizedTooOften, problem.TooManyRequests, true},
	{session.ErrUnknownReservation, problem.UnknownReservation, false},
	{session.ErrBadReservation, problem.BadReservation, false},
	{session.ErrBadChange, problem.BadChange, false},
	{ErrNothingToConfirm, problem.NothingToConfirm, false},
}

// explain returns what the client is told about err. Errors that are not the client's business become
// problem.Internal.
func (s *Server) explain(err error) *problem.Error {
	if p, ok := errors.AsType[*problem.Error](err); ok {
		return p
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem.New(problem.TooLarge, "the body is larger than %d bytes", s.cfg.MaxBody)
	}
	for _, k := range known {
		if !errors.Is(err, k.err) {
			continue
		}
		p := problem.New(k.code, "%s", problem.Shorten(withoutPackage(err.Error())))
		if r, ok := errors.AsType[*session.RefusalError](err); ok {
			p.Resource, p.Fit = r.Resource, r.Fit
			return p.RetryAfter(r.RetryAfter)
		}
		if k.again {
			return p.RetryAfter(s.mgr.RetryAfter())
		}
		return p
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(problem.SlowRequest, "the request's body did not arrive in time").With("Connection", "close")
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New(problem.Timeout, "the host did not finish within %v", s.cfg.RequestTimeout)
	case errors.Is(err, content.ErrBody):
		return problem.New(problem.BadRequest,
			"the body cannot be read: its length or its chunks differ from what the header says").With("Connection", "close")
	case errors.Is(err, context.Canceled):
		return problem.New(problem.ClientGone, "the client is gone")
	default:
		return internal()
	}
}

// internal is the error for a fault of the daemon.
func internal() *problem.Error {
	return problem.New(problem.Internal, "internal error; the host's log has the cause")
}

// fail answers r with err. It logs err if the fault is the host's.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := s.explain(err)
	// An error that is already in words for the client was logged where it was found.
	if worded, _ := errors.AsType[*problem.Error](err); p.Code == problem.Internal && worded != p {
		s.log.Error("request failed", "request_id", requestOf(w), "method", r.Method, "path", r.URL.Path, "err", err)
	}
	s.metrics.errors.WithLabelValues(string(p.Code)).Inc()
	if rec, ok := w.(*recorder); ok {
		rec.code = p.Code
	}
	maps.Copy(w.Header(), p.Header)
	w.Header().Set("Content-Type", problem.Media)
	_ = content.WriteJSON(w, p.Code.Status(), p.Document(requestOf(w))) // it always encodes
}

// withoutPackage returns the text of an error without the name of the package that it comes from.
func withoutPackage(text string) string {
	for _, name := range []string{"session: ", "admission: ", "peer: ", "pipeline: "} {
		if rest, ok := strings.CutPrefix(text, name); ok {
			return rest
		}
	}
	return text
}

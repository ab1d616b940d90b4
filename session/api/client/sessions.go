package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Sessions asks about sessions and changes them, as an operator.
type Sessions struct{ c *transport }

func sessionPath(id string) string { return "/v1/sessions/" + url.PathEscape(id) }

// Create opens a session for a viewer whose offer the gateway has. A request with the same key returns the same session
// within ten minutes; an empty key stands for a new one.
func (s Sessions) Create(ctx context.Context, key string, in SessionRequest) (out NewSession, err error) {
	r := request{method: http.MethodPost, path: "/v1/sessions"}.with(in).keyed(key)
	_, _, err = s.c.call(ctx, r, &out)
	return out, err
}

// Page returns one page of the sessions, oldest first, and its ETag. token is the NextPageToken of the page before.
func (s Sessions) Page(ctx context.Context, f Filter, token string) (out SessionList, etag string, err error) {
	etag, err = s.c.page(ctx, "/v1/sessions", f, token, &out)
	return out, etag, err
}

// All returns the sessions of all pages, oldest first.
func (s Sessions) All(ctx context.Context, f Filter) iter.Seq2[Session, error] {
	return all(func(token string) ([]Session, string, error) {
		list, _, err := s.Page(ctx, f, token)
		return list.Sessions, list.NextPageToken, err
	})
}

// Get returns one session.
func (s Sessions) Get(ctx context.Context, id string) (out Session, err error) {
	_, _, err = s.c.call(ctx, get(sessionPath(id)), &out)
	return out, err
}

// Change changes ceiling, weight or display of a session.
func (s Sessions) Change(ctx context.Context, id string, in SessionChange) (out Session, err error) {
	r := request{method: http.MethodPatch, path: sessionPath(id), repeats: true}.with(in)
	_, _, err = s.c.call(ctx, r, &out)
	return out, err
}

// End ends a session as the operator. reason is for people and may be empty.
func (s Sessions) End(ctx context.Context, id, reason string) error {
	r := request{method: http.MethodDelete, path: sessionPath(id), repeats: true}
	if reason != "" {
		r.query = url.Values{"reason": {reason}}
	}
	_, _, err := s.c.call(ctx, r, nil)
	return err
}

// GiveControl gives a session control of its display.
func (s Sessions) GiveControl(ctx context.Context, id string) (out Session, err error) {
	r := request{method: http.MethodPut, path: sessionPath(id) + "/control", repeats: true}
	_, _, err = s.c.call(ctx, r, &out)
	return out, err
}

// WithdrawControl withdraws control from a session until GiveControl.
func (s Sessions) WithdrawControl(ctx context.Context, id string) (out Session, err error) {
	r := request{method: http.MethodDelete, path: sessionPath(id) + "/control", repeats: true}
	_, _, err = s.c.call(ctx, r, &out)
	return out, err
}

// Postpone postpones the end of a session by a drain, by at most so long. Several requests add up, so none is
// repeated.
func (s Sessions) Postpone(ctx context.Context, id string, by time.Duration) (out Session, err error) {
	r := request{method: http.MethodPost, path: sessionPath(id) + "/postpone"}.with(Postponing{Seconds: by.Seconds()})
	_, _, err = s.c.call(ctx, r, &out)
	return out, err
}

// Resize changes the size of a session's display. The session must have control, or be able to take it.
func (s Sessions) Resize(ctx context.Context, id string, in DisplaySize) error {
	r := request{method: http.MethodPut, path: sessionPath(id) + "/size", repeats: true}.with(in)
	_, _, err := s.c.call(ctx, r, nil)
	return err
}

// ReportViewer reports what the viewer's player has counted since the session began.
func (s Sessions) ReportViewer(ctx context.Context, id string, figures ViewerFigures) error {
	r := request{method: http.MethodPut, path: sessionPath(id) + "/viewer", repeats: true}.with(figures)
	_, _, err := s.c.call(ctx, r, nil)
	return err
}

// RequestKeyframe requests a keyframe, as a viewer does.
func (s Sessions) RequestKeyframe(ctx context.Context, id string) error {
	r := request{method: http.MethodPost, path: sessionPath(id) + "/keyframe", repeats: true}
	_, _, err := s.c.call(ctx, r, nil)
	return err
}

// Recording returns the flight recording of a session.
func (s Sessions) Recording(ctx context.Context, id string) (data []byte, err error) {
	_, _, err = s.c.call(ctx, get(sessionPath(id)+"/recording"), &data)
	return data, err
}

// Timeline returns the events of a session, oldest first.
func (s Sessions) Timeline(ctx context.Context, id string) (out Timeline, err error) {
	_, _, err = s.c.call(ctx, get(sessionPath(id)+"/timeline"), &out)
	return out, err
}

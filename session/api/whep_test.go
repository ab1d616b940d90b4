package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/problem"
	"wavryhost/session/peer"
	"wavryhost/session/relay"
)

const offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

var turn = []relay.Server{
	{URLs: []string{"stun:stun.example.net"}},
	{
		URLs: []string{"turn:turn.example.net?transport=udp", "turns:turn.example.net"}, Username: "u",
		Credential: `p"\w`,
	},
}

func sdp(more ...string) map[string]string {
	h := map[string]string{"Content-Type": "application/sdp"}
	for i := 0; i < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}

func frag(match string) map[string]string {
	h := map[string]string{"Content-Type": "application/trickle-ice-sdpfrag"}
	if match != "" {
		h["If-Match"] = match
	}
	return h
}

// The rules of the strictest client: exactly 201 with type, Location and ETag, then 204 and 200.
func TestWHEPSession(t *testing.T) {
	m := healthy()
	m.servers = func(string, string, time.Time) []relay.Server { return turn }
	s, _ := newServer(t, Config{}, m)
	h := s.Handler()

	resp := ask{method: "OPTIONS", path: "/whep/default"}.do(h)
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("OPTIONS: %d; want 204", resp.StatusCode)
	}
	methods := strings.Split(resp.Header.Get("Access-Control-Allow-Methods"), ", ")
	if !slices.Contains(methods, "PATCH") {
		t.Errorf("Access-Control-Allow-Methods %q lacks PATCH: clients would not trickle", methods)
	}
	if got := resp.Header.Get("Accept-Post"); got != "application/sdp" {
		t.Errorf("Accept-Post %q", got)
	}
	wantLinks := []string{
		`<stun:stun.example.net>; rel="ice-server"`,
		`<turn:turn.example.net?transport=udp>; rel="ice-server"; username="u"; credential="p\"\\w"; ` +
			`credential-type="password"`,
		`<turns:turn.example.net>; rel="ice-server"; username="u"; credential="p\"\\w"; credential-type="password"`,
	}
	if got := resp.Header["Link"]; !slices.Equal(got, wantLinks) {
		t.Errorf("Link of OPTIONS:\ngot  %q\nwant %q", got, wantLinks)
	}

	resp = ask{
		method: "POST", path: "/whep/x11%3A0", body: offer,
		header: sdp("User-Agent", "test/1", "Accept", "application/sdp"),
	}.do(h)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("POST: %d; want 201", resp.StatusCode)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/sdp",
		"Location":     "sessions/s1",
		"ETag":         `"e1"`,
		"Accept-Patch": "application/trickle-ice-sdpfrag",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s of POST: %q; want %q", name, got, want)
		}
	}
	if got := resp.Header["Link"]; !slices.Equal(got, wantLinks) {
		t.Errorf("Link of POST: %q; want %q", got, wantLinks)
	}
	exposed := strings.Split(resp.Header.Get("Access-Control-Expose-Headers"), ", ")
	for _, name := range []string{"Location", "ETag", "Link"} {
		if !slices.Contains(exposed, name) {
			t.Errorf("Access-Control-Expose-Headers %q lacks %s", exposed, name)
		}
	}
	if got := resp.body; got != "v=0\r\n" {
		t.Errorf("answer %q", got)
	}
	want := session.Offer{
		Display: "x11:0", SDP: offer, RemoteAddr: "192.0.2.1:1234", UserAgent: "test/1",
		Role: session.RoleOperator, Owner: theOperator,
	}
	if m.offers[0] != want {
		t.Errorf("manager got %+v; want %+v", m.offers[0], want)
	}

	at := "/whep/" + resp.Header.Get("Location")
	resp = ask{method: "PATCH", path: at, body: "a=candidate:1\r\n", header: frag(`"e1"`)}.do(h)
	if resp.StatusCode != http.StatusNoContent || resp.body != "" {
		t.Errorf("trickle: %d; want 204 without a body", resp.StatusCode)
	}
	for _, match := range []string{"*", `"*"`} {
		resp = ask{method: "PATCH", path: at, body: "a=ice-ufrag:x\r\n", header: frag(match)}.do(h)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("ETag") != `"e2"` ||
			resp.Header.Get("Content-Type") != "application/trickle-ice-sdpfrag" || resp.body != "a=ice-ufrag:new\r\n" {
			t.Errorf("ICE restart with If-Match %s: %d %v", match, resp.StatusCode, resp.Header)
		}
	}
	resp = ask{method: "DELETE", path: at}.do(h)
	if resp.StatusCode != http.StatusOK {
		t.Errorf("DELETE: %d; want exactly 200", resp.StatusCode)
	}
	if !slices.Equal(m.ended, []session.EndReason{session.EndDeleted}) {
		t.Errorf("ended %v; want deleted once", m.ended)
	}
}

func TestWHEPRefusals(t *testing.T) {
	failing := func(err error) func(context.Context, session.Offer) (session.Answer, error) {
		return func(context.Context, session.Offer) (session.Answer, error) {
			return session.Answer{}, fmt.Errorf("%w: the detail", err)
		}
	}
	for _, c := range []struct {
		name   string
		ask    ask
		create func(context.Context, session.Offer) (session.Answer, error)
		code   problem.Code
		header map[string]string
	}{
		{
			name: "malformed offer", ask: ask{method: "POST", path: "/whep/default", body: "x", header: sdp()},
			create: failing(peer.ErrBadOffer), code: problem.BadSDP,
		},
		{name: "empty body", ask: ask{method: "POST", path: "/whep/default", header: sdp()}, code: problem.BadSDP},
		{
			name: "not text", ask: ask{method: "POST", path: "/whep/default", body: "v=\xff\xfe", header: sdp()},
			code: problem.BadSDP,
		},
		{
			name: "unknown display", ask: ask{method: "POST", path: "/whep/nope", body: offer, header: sdp()},
			create: failing(session.ErrUnknownDisplay), code: problem.UnknownDisplay,
		},
		{
			name: "no answer possible", ask: ask{method: "POST", path: "/whep/default", body: offer, header: sdp()},
			create: failing(peer.ErrUnacceptable), code: problem.UnacceptableOffer,
		},
		{
			name: "no picture", ask: ask{method: "POST", path: "/whep/default", body: offer, header: sdp()},
			create: failing(session.ErrNoPicture), code: problem.NoPicture,
			header: map[string]string{"Retry-After": "3"},
		},
		{
			name: "full", ask: ask{method: "POST", path: "/whep/default", body: offer, header: sdp()},
			create: failing(session.ErrFull), code: problem.Full, header: map[string]string{"Retry-After": "3"},
		},
		{
			name: "draining", ask: ask{method: "POST", path: "/whep/default", body: offer, header: sdp()},
			create: failing(session.ErrDraining), code: problem.Draining, header: map[string]string{"Retry-After": "3"},
		},
		{
			name: "no network", ask: ask{method: "POST", path: "/whep/default", body: offer, header: sdp()},
			create: failing(peer.ErrNoNetwork), code: problem.NoNetwork,
			header: map[string]string{"Retry-After": "3"},
		},
		{
			name: "a grant's ceiling below the floor", ask: ask{
				method: "POST", path: "/whep/default",
				body: offer, header: sdp(),
			},
			create: failing(session.ErrBadChange), code: problem.BadChange,
		},
		{
			name: "encoder fails", ask: ask{method: "POST", path: "/whep/default", body: offer, header: sdp()},
			create: failing(errors.New("secret detail")), code: problem.Internal,
		},
		{
			name: "host too slow", ask: ask{method: "POST", path: "/whep/default", body: offer, header: sdp()},
			create: failing(context.DeadlineExceeded), code: problem.Timeout,
		},
		{
			name: "client hung up", ask: ask{method: "POST", path: "/whep/default", body: offer, header: sdp()},
			create: failing(context.Canceled), code: problem.ClientGone,
		},
		{
			name: "wrong type", ask: ask{
				method: "POST", path: "/whep/default", body: offer,
				header: sdp("Content-Type", "text/plain"),
			},
			code: problem.UnsupportedMediaType, header: map[string]string{"Accept-Post": "application/sdp"},
		},
		{
			name: "compressed", ask: ask{
				method: "POST", path: "/whep/default", body: offer,
				header: sdp("Content-Encoding", "gzip"),
			},
			code: problem.UnsupportedMediaType, header: map[string]string{"Accept-Encoding": "identity"},
		},
		{
			name: "wrong type of a new thing", ask: ask{
				method: "POST", path: "/v1/reservations", body: "{}",
				header: sdp(),
			},
			code: problem.UnsupportedMediaType, header: map[string]string{"Accept-Post": "application/json"},
		},
		{
			name: "wrong type of a change", ask: ask{
				method: "PATCH", path: "/v1/sessions/s1", body: "{}",
				header: sdp(),
			},
			code: problem.UnsupportedMediaType, header: map[string]string{"Accept-Patch": "application/json"},
		},
		{
			name: "wrong type of a cordon", ask: ask{method: "PUT", path: "/v1/cordon", body: "{}", header: sdp()},
			code: problem.UnsupportedMediaType, header: map[string]string{"Accept": "application/json"},
		},
		{
			name: "no type", ask: ask{method: "POST", path: "/whep/default", body: offer},
			code: problem.UnsupportedMediaType, header: map[string]string{"Accept-Post": "application/sdp"},
		},
		{
			name: "answer not accepted", ask: ask{
				method: "POST", path: "/whep/default", body: offer,
				header: sdp("Accept", "text/html"),
			},
			code: problem.NotAcceptable,
		},
		{
			name: "oversized offer",
			ask: ask{
				method: "POST", path: "/whep/default", body: strings.Repeat("a", defaultMaxBody+1),
				header: sdp(),
			},
			code: problem.TooLarge,
		},
		{
			name: "reading an endpoint", ask: ask{method: "GET", path: "/whep/default"},
			code: problem.MethodNotAllowed, header: map[string]string{"Allow": "POST, OPTIONS"},
		},
		{
			name: "reading a session", ask: ask{method: "GET", path: "/whep/sessions/s1"},
			code: problem.MethodNotAllowed, header: map[string]string{"Allow": "PATCH, DELETE, OPTIONS"},
		},
		{
			name: "patch without If-Match", ask: ask{
				method: "PATCH", path: "/whep/sessions/s1", body: "a=x",
				header: frag(""),
			},
			code: problem.PreconditionRequired,
		},
		{
			name: "stale ETag", ask: ask{method: "PATCH", path: "/whep/sessions/s1", body: "a=x", header: frag(`"e0"`)},
			code: problem.StaleETag,
		},
		{
			name: "malformed fragment", ask: ask{
				method: "PATCH", path: "/whep/sessions/s1", body: "x",
				header: frag(`"e1"`),
			},
			code: problem.BadSDP,
		},
		{
			name: "patch of another type", ask: ask{
				method: "PATCH", path: "/whep/sessions/s1", body: "a=x",
				header: sdp(),
			},
			code:   problem.UnsupportedMediaType,
			header: map[string]string{"Accept-Patch": "application/trickle-ice-sdpfrag"},
		},
		{
			name: "patch of an unknown session", ask: ask{
				method: "PATCH", path: "/whep/sessions/s2",
				body: "a=x", header: frag(`"e1"`),
			},
			code: problem.UnknownSession,
		},
		{
			name: "end of an unknown session", ask: ask{method: "DELETE", path: "/whep/sessions/s2"},
			code: problem.UnknownSession,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := healthy()
			m.create = c.create
			s, _ := newServer(t, Config{}, m)
			resp := c.ask.do(s.Handler())
			if got := refusal(t, resp); got != c.code {
				t.Errorf("got %d %s; want %s", resp.StatusCode, got, c.code)
			}
			for name, want := range c.header {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s: %q; want %q", name, got, want)
				}
			}
		})
	}
}

func TestInternalErrorsKeepTheirDetail(t *testing.T) {
	m := healthy()
	m.create = func(context.Context, session.Offer) (session.Answer, error) {
		return session.Answer{}, errors.New("secret detail")
	}
	s, _ := newServer(t, Config{}, m)
	resp := ask{method: "POST", path: "/whep/default", body: offer, header: sdp()}.do(s.Handler())
	if got := resp.body; strings.Contains(got, "secret") {
		t.Errorf("the client was told %q", got)
	}
}

func TestSessionOfVanishedClientEnds(t *testing.T) {
	m := healthy()
	ctx, cancel := context.WithCancel(t.Context())
	m.create = func(context.Context, session.Offer) (session.Answer, error) {
		cancel()
		return session.Answer{ID: "s1", SDP: "v=0\r\n", ETag: `"e1"`}, nil
	}
	s, _ := newServer(t, Config{}, m)
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/whep/default", strings.NewReader(offer))
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/sdp")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if !slices.Equal(m.ended, []session.EndReason{session.EndViewerGone}) {
		t.Errorf("ended %v; want viewer_gone", m.ended)
	}
}

// Compressing proxies change tags, and clients repeat what they got.
func TestTagsSurviveCompressingProxies(t *testing.T) {
	for sent, want := range map[string]string{
		`"e1"`:             `"e1"`,
		`W/"e1"`:           `"e1"`,
		`"e1-gzip"`:        `"e1"`,
		`W/"e1-br"`:        `"e1"`,
		`"e1--gzip"`:       `"e1"`,
		`"e1-zstd", W/"x"`: `"e1", "x"`,
		`*`:                `*`,
		`"*"`:              `*`,
		`e1-gzip`:          `e1-gzip`, // not a tag
	} {
		var got string
		m := obliging()
		m.patch = func(_, ifMatch, _ string) (session.Patched, error) {
			got = ifMatch
			return session.Patched{}, nil
		}
		s, _ := newServer(t, Config{}, m)
		resp := ask{
			method: "PATCH", path: "/whep/sessions/s1", body: "a=candidate:1\r\n",
			header: frag(sent),
		}.do(s.Handler())
		if resp.StatusCode != http.StatusNoContent || got != want {
			t.Errorf("If-Match %s: %d, the manager got %s; want %s", sent, resp.StatusCode, got, want)
		}
	}
}

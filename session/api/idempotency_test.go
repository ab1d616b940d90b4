package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"
)

// A repeated request gets the first answer, with the same viewer token, and creates nothing.
func TestRepeatedRequestCreatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := opens(healthy())
		var log bytes.Buffer
		s, _ := newServer(t, Config{Audit: &log}, m)
		h := s.Handler()
		for path, body := range map[string]string{
			"/v1/reservations": `{"subject": "ann", "display": "x11:0"}`,
			"/v1/sessions":     `{"subject": "ann", "display": "x11:0", "sdp": "v=0"}`,
			"/whep/x11:0":      offer,
		} {
			header := typed("Idempotency-Key", path)
			if strings.HasPrefix(path, "/whep/") {
				header["Content-Type"] = whep.TypeSDP
			}
			req := ask{method: "POST", path: path, header: header, body: body}
			first := req.do(h)
			if first.StatusCode != http.StatusCreated || first.Header.Get("Idempotency-Replayed") != "" {
				t.Fatalf("%s: %d %s", path, first.StatusCode, first.body)
			}
			made := len(m.asked) + len(m.offers)
			again := req.do(h)
			if again.StatusCode != first.StatusCode || again.body != first.body ||
				again.Header.Get("Idempotency-Replayed") != "true" || len(m.asked)+len(m.offers) != made {
				t.Errorf("%s again: %d %s, %v; want %s", path, again.StatusCode, again.body, again.Header, first.body)
			}
			for _, name := range []string{"Location", "Content-Type", "ETag", "Link"} {
				if got, want := again.Header.Get(name), first.Header.Get(name); got != want {
					t.Errorf("%s again: %s: %q; want %q", path, name, got, want)
				}
			}
			if again.Header.Get("X-Request-Id") == first.Header.Get("X-Request-Id") {
				t.Errorf("%s: both requests have the ID %s", path, again.Header.Get("X-Request-Id"))
			}
			req.body = strings.ReplaceAll(body, "x11:0", "default") + " "
			if got := refusal(t, req.do(h)); got != problem.KeyReused {
				t.Errorf("%s with another body: %s", path, got)
			}
			req.body, req.path = body, path+"?region=eu"
			want := problem.BadRequest // the control API has no such parameter
			if path == "/whep/x11:0" {
				want = problem.KeyReused
			}
			if got := refusal(t, req.do(h)); got != want {
				t.Errorf("%s with a query: %s", path, got)
			}
		}
		if n := strings.Count(log.String(), `"object":"repeat of an earlier request"`); n != 3 {
			t.Errorf("%d repeats are in the audit log %s", n, log.String())
		}
	})
}

// A key is forgotten after a while, and by another run of the daemon: its sessions and reservations are gone too.
func TestKeysExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := opens(healthy())
		s, _ := newServer(t, Config{}, m)
		post := func(s *Server) string {
			t.Helper()
			return decode(t, ask{
				method: "POST", path: "/v1/sessions", header: typed("Idempotency-Key", "k"),
				body: `{"subject": "ann", "sdp": "v=0"}`,
			}.do(s.Handler()), http.StatusCreated)["viewer_token"].(string)
		}
		first := post(s)
		time.Sleep(keepKeys - time.Second)
		if again := post(s); again != first {
			t.Error("within the time: another token")
		}
		time.Sleep(time.Second)
		second := post(s)
		if second == first {
			t.Error("after the time: the same token")
		}
		restarted, _ := newServer(t, Config{}, m)
		if third := post(restarted); third == second {
			t.Error("after a restart: the token of the previous run")
		}
	})
}

// A request that failed has created nothing. It may be tried again with its key.
func TestFailedRequestIsTriedAgain(t *testing.T) {
	m := opens(healthy())
	s, _ := newServer(t, Config{}, m)
	req := ask{
		method: "POST", path: "/v1/sessions", header: typed("Idempotency-Key", "k"),
		body: `{"display": "x11:0", "sdp": "v=0"}`,
	}
	create := m.create
	for name, fails := range map[string]func(context.Context, session.Offer) (session.Answer, error){
		"refused": func(context.Context, session.Offer) (session.Answer, error) {
			return session.Answer{}, session.ErrDraining
		},
		"panicked": func(context.Context, session.Offer) (session.Answer, error) { panic("boom") },
	} {
		m.create = fails
		if got := req.do(s.Handler()); got.StatusCode < 500 {
			t.Errorf("%s: %d", name, got.StatusCode)
		}
	}
	m.create = create
	if got := req.do(s.Handler()); got.StatusCode != http.StatusCreated || got.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("afterwards: %d %s", got.StatusCode, got.body)
	}
}

// Of many equal requests at once, one creates a session. The others wait for its answer.
func TestEqualRequestsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := opens(healthy())
		create := m.create
		m.create = func(ctx context.Context, o session.Offer) (session.Answer, error) {
			time.Sleep(time.Second)
			return create(ctx, o)
		}
		s, _ := newServer(t, Config{}, m)
		bodies := make([]string, 8)
		var wg sync.WaitGroup
		for i := range bodies {
			wg.Go(func() {
				bodies[i] = ask{
					method: "POST", path: "/v1/sessions", header: typed("Idempotency-Key", "k"),
					body: `{"subject": "ann", "sdp": "v=0"}`,
				}.do(s.Handler()).body
			})
		}
		wg.Wait()
		for _, b := range bodies {
			if b != bodies[0] || !strings.Contains(b, "viewer_token") {
				t.Errorf("the answers are %s and %s", b, bodies[0])
			}
		}
		if len(m.offers) != 1 {
			t.Errorf("%d sessions", len(m.offers))
		}
	})
}

// Keys of different clients are independent: no gateway gets the viewer token of another.
func TestKeysOfOthersAreOthers(t *testing.T) {
	i, v := newIssuer(t)
	file, of := tokens(t)
	m := opens(healthy())
	s, _ := newServer(t, Config{Token: token, TokensFile: file, Grants: v}, m)
	ids := make(map[any]bool)
	for _, show := range []string{
		token, of["operator"], i.sign("j1", "operator", `{"role":"operator"}`),
		i.sign("j2", "ann", `{"role":"operator"}`), i.sign("j3", "ann", `{"role":"operator"}`),
	} {
		r := ask{method: "POST", path: "/v1/sessions", header: typed("Idempotency-Key", "1",
			"Authorization", "Bearer "+show), body: `{"sdp": "v=0"}`}.do(s.Handler())
		ids[decode(t, r, http.StatusCreated)["id"]] = true
	}
	if len(ids) != 4 {
		t.Errorf("%d sessions; want four: ann comes with two grants", len(ids))
	}
}

// The memory of keys is bounded in number and in bytes. The oldest keys go first.
func TestKeysAreBounded(t *testing.T) {
	var a attempts
	now := time.Now()
	add := func(key string, size int) {
		name := keyName{key: key}
		now = now.Add(time.Millisecond)
		at, mine := a.begin(name, [32]byte{}, now)
		if !mine {
			t.Fatalf("%s is known", key)
		}
		rec := &recorder{
			ResponseWriter: headerOnly{}, status: http.StatusCreated, copied: bytes.NewBuffer(make([]byte, size)),
		}
		a.end(name, at, rec, nil, now)
	}
	for i := range mostKeys + 10 {
		add(fmt.Sprint(i), 1)
	}
	if _, ok := a.all[keyName{key: "9"}]; ok || len(a.all) != mostKeys || a.kept != mostKeys {
		t.Errorf("%d keys, %d bytes", len(a.all), a.kept)
	}
	for i := range 20 {
		add(fmt.Sprint("big", i), mostKept/16)
	}
	if _, ok := a.all[keyName{key: "big19"}]; !ok || a.kept > mostKept {
		t.Errorf("the newest is kept: %v; %d bytes; limit %d", ok, a.kept, mostKept)
	}
}

// headerOnly is a ResponseWriter without a connection.
type headerOnly struct{ http.ResponseWriter }

func (headerOnly) Header() http.Header { return http.Header{} }

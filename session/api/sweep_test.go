package api

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/whep"
)

// Sessions end within two seconds after their credential, whatever ends the credential. Other sessions continue.
func TestSessionsEndWithTheirCredentials(t *testing.T) {
	remove := func(t *testing.T, s *Server, line string) {
		text, err := os.ReadFile(s.cfg.TokensFile)
		if err != nil {
			t.Fatal(err)
		}
		var kept []string
		for l := range strings.Lines(string(text)) {
			if !strings.HasPrefix(l, line+" ") {
				kept = append(kept, l)
			}
		}
		if err := os.WriteFile(s.cfg.TokensFile, []byte(strings.Join(kept, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// limit replaces the limit of the viewer's token.
	limit := func(t *testing.T, s *Server, text string) {
		file, err := os.ReadFile(s.cfg.TokensFile)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for l := range strings.Lines(string(file)) {
			if f := strings.Fields(l); strings.HasPrefix(l, "my-viewer ") {
				l = strings.Join(append(f[:3], text), " ") + "\n"
			}
			lines = append(lines, l)
		}
		if err := os.WriteFile(s.cfg.TokensFile, []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		take func(t *testing.T, s *Server)
		want session.EndReason // zero for none
		by   string
	}{
		"a token": {by: "viewer", want: session.EndRevoked, take: func(t *testing.T,
			s *Server,
		) {
			remove(t, s, "my-viewer")
		}},
		"another token": {by: "viewer", take: func(t *testing.T, s *Server) { remove(t, s, "my-controller") }},
		"a token's role": {by: "viewer", want: session.EndRevoked, take: func(t *testing.T, s *Server) {
			text, err := os.ReadFile(s.cfg.TokensFile)
			if err == nil {
				err = os.WriteFile(s.cfg.TokensFile, []byte(strings.Replace(string(text), "my-viewer viewer",
					"my-viewer metrics", 1)), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		"a token's time": {by: "viewer", want: session.EndExpired, take: func(t *testing.T, s *Server) {
			limit(t, s, "until="+time.Now().Add(time.Second).Format(time.RFC3339))
		}},
		"a token's time that is put off": {by: "viewer", take: func(t *testing.T, s *Server) {
			limit(t, s, "until="+time.Now().Add(3*time.Second).Format(time.RFC3339))
			time.Sleep(2 * time.Second)
			limit(t, s, "until="+time.Now().Add(time.Hour).Format(time.RFC3339))
		}},
		"a token's displays": {by: "viewer", want: session.EndRevoked, take: func(t *testing.T,
			s *Server,
		) {
			limit(t, s, "displays=test")
		}},
		"other displays of a token": {by: "viewer", take: func(t *testing.T, s *Server) {
			limit(t, s,
				"displays=x11:*")
		}},
		"a token's networks": {by: "viewer", want: session.EndRevoked, take: func(t *testing.T,
			s *Server,
		) {
			limit(t, s, "networks=203.0.113.0/24")
		}},
		"other networks for a token": {by: "viewer", take: func(t *testing.T, s *Server) {
			limit(t, s,
				"networks=192.0.2.0/24,127.0.0.0/8,::1/128")
		}},
		"the file": {by: "viewer", take: func(t *testing.T, s *Server) {
			if err := os.WriteFile(s.cfg.TokensFile, []byte("broken"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		"the operator's token": {by: "operator's", want: session.EndRevoked, take: func(t *testing.T, s *Server) {
			apply, err := s.Prepare(Config{Token: token + "-new"})
			if err != nil {
				t.Fatal(err)
			}
			apply()
		}},
		"a setting": {by: "operator's", take: func(t *testing.T, s *Server) {
			apply, err := s.Prepare(Config{Token: token, AllowedHosts: []string{"a.example"}})
			if err != nil {
				t.Fatal(err)
			}
			apply()
		}},
		"an issuer's key": {by: "granted", want: session.EndRevoked, take: func(t *testing.T, s *Server) {
			if err := os.WriteFile(filepath.Join(filepath.Dir(s.cfg.TokensFile), "keys.json"),
				[]byte(`{"keys":[]}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		"a grant": {by: "granted", want: session.EndRevoked, take: func(_ *testing.T,
			s *Server,
		) {
			_ = s.auth.Revoke(time.Now(), "i", "j1", "")
		}},
		"another grant": {by: "granted", take: func(_ *testing.T, s *Server) {
			_ = s.auth.Revoke(time.Now(),
				"i", "j2", "")
		}},
		"a grant's time": {by: "granted", want: session.EndExpired, take: func(*testing.T,
			*Server,
		) {
			time.Sleep(time.Hour)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file, of := tokens(t)
				dir := filepath.Dir(file)
				i, _ := newIssuer(t)
				if err := os.WriteFile(filepath.Join(dir, "keys.json"), i.set(), 0o600); err != nil {
					t.Fatal(err)
				}
				v, err := grant.New(slog.New(slog.DiscardHandler), grant.Config{KeysFile: filepath.Join(dir,
					"keys.json"), Audience: "host7", Issuer: "i", MaxRole: grant.Operator})
				if err != nil {
					t.Fatal(err)
				}
				of["operator's"], of["granted"] = token, i.sign("j1", "ann", `{"role":"viewer"}`)
				m := healthy()
				s, _ := newServer(t, Config{Token: token, TokensFile: file, Grants: v}, m)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- s.serve(ctx, newPipes()) }()
				defer func() {
					cancel()
					if err := <-done; err != nil {
						t.Error(err)
					}
				}()
				if r := openings(bearer(of[c.by]))["POST /whep"].do(s.Handler()); r.StatusCode != http.StatusCreated {
					t.Fatalf("%d %s", r.StatusCode, r.body)
				}
				time.Sleep(10 * time.Second)
				if got := m.ends(); len(got) != 0 {
					t.Fatalf("ended %v before anything was taken", got)
				}
				c.take(t, s)
				time.Sleep(2 * time.Second)
				got := m.ends()
				var want []session.EndReason
				if c.want != 0 {
					want = append(want, c.want)
				}
				if !slices.Equal(got, want) {
					t.Errorf("ended %v; want %v", got, want)
				}
			})
		})
	}
}

func TestSessionsEndWithTheirCertificate(t *testing.T) {
	ours := newAuthority(t)
	c, cfg := certify(t, auth.ClientAuthRequired, ours)
	cfg.TLSClientRole = "viewer"
	c.Server, _ = newServer(t, cfg, healthy()) // it does not run, because Run would sweep, too
	leaf, err := x509.ParseCertificate(ours.client(t, "gateway", 2).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://127.0.0.1:8470/whep/default",
		strings.NewReader("v=0"))
	r.Header.Set("Content-Type", whep.TypeSDP)
	r.TLS.VerifiedChains = [][]*x509.Certificate{{leaf, ours.cert}}
	w := httptest.NewRecorder()
	if c.Handler().ServeHTTP(w, r); w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	m := c.mgr.(*fakeManager)
	c.access.Sweep(t.Context(), time.Now())
	if got := m.ends(); len(got) != 0 {
		t.Errorf("ended %v before the certificate was revoked", got)
	}
	c.write(t, c.revoked, ours.revoke(t, 2))
	c.access.Sweep(t.Context(), time.Now())
	if got := m.ends(); !slices.Equal(got, []session.EndReason{session.EndRevoked}) {
		t.Errorf("ended %v; want revoked", got)
	}
}

// Sessions that have ended are forgotten; others are not.
func TestEndedSessionsAreForgotten(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	for _, id := range []string{"s1", "gone"} {
		m.create = func(context.Context, session.Offer) (session.Answer, error) {
			return session.Answer{ID: id, ETag: `"e"`}, nil
		}
		if r := (ask{
			method: "POST", path: "/whep/default", body: "v=0",
			header: sdp(),
		}).do(s.Handler()); r.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
	}
	if n := s.access.Len(); n != 2 {
		t.Errorf("%d sessions are registered; want 2", n)
	}
	s.access.Prune()
	if _, ok := s.access.PrincipalOf("s1"); !ok || s.access.Len() != 1 {
		t.Errorf("%d sessions are registered, s1 among them: %v", s.access.Len(), ok)
	}
}

// A client that follows the events gets none after its credential has lapsed.
func TestEventsEndWithTheirCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := newIssuer(t)
		shown, line, err := auth.NewToken("op", "operator", "until="+time.Now().Add(time.Hour).Format(time.RFC3339))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := newServer(t, Config{Token: token, TokensFile: file, Grants: v}, healthy())
		for name, take := range map[string]func(){
			"j1": func() { _ = s.auth.Revoke(time.Now(), "i", "j1", "") },
			"j2": func() { time.Sleep(time.Minute) },
			"":   func() { time.Sleep(time.Hour) }, // the token of the file
		} {
			now := time.Now()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/events", http.NoBody)
			r.Host = "localhost"
			credential := shown
			if name != "" {
				credential = i.signFor(name, "op", `{"role":"operator"}`, now, now.Add(time.Minute))
			}
			r.Header.Set("Authorization", "Bearer "+credential)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				s.handler.ServeHTTP(httptest.NewRecorder(), r)
			}()
			time.Sleep(10 * time.Second)
			select {
			case <-ended:
				t.Fatalf("%s: the stream ended by itself", name)
			default:
			}
			take()
			time.Sleep(2 * time.Second)
			select {
			case <-ended:
			default:
				t.Fatalf("%s: the stream goes on", name)
			}
		}
	})
}

package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/api/audit"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"
)

// tokenInFile makes a token with limits, and a file of tokens that has it.
func tokenInFile(t *testing.T, name, role string, limits ...string) (token, path string) {
	t.Helper()
	token, line, err := auth.NewToken(name, role, limits...)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return token, path
}

// A token for a group of displays gets a member that the host chooses, and no member that it names itself. The session
// lasts although the token does not name the member.
func TestTokenForAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token, path := tokenInFile(t, "ann", "viewer", "displays=virtual:desk")
		m := healthy()
		m.state.Default = "virtual:desk"
		m.list[0].Display, m.list[0].Group = "virtual:desk-2", "virtual:desk"
		s, _ := newServer(t, Config{TokensFile: path}, m)
		open := func(path string) reply {
			header := bearer(token)
			header["Content-Type"] = whep.TypeSDP
			return ask{method: "POST", path: path, header: header, body: "v=0"}.do(s.Handler())
		}
		for i, name := range []string{"virtual:desk", "default"} {
			if r := open("/whep/" + name); r.StatusCode != http.StatusCreated || m.offers[i].Display != "virtual:desk" {
				t.Errorf("%s: %d %s", name, r.StatusCode, r.body)
			}
		}
		if r := open("/whep/virtual:desk-2"); r.StatusCode != http.StatusForbidden {
			t.Errorf("a member: %d; want 403", r.StatusCode)
		}
		s.access.Sweep(t.Context(), time.Now())
		if len(m.ended) > 0 {
			t.Errorf("the session on the member ended: %v", m.ended)
		}
	})
}

// The limits of a token apply to each request, and the audit log names the token that was refused.
func TestTokensLimitWhatTheyAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token, path := tokenInFile(t, "ann", "viewer", "displays=x11:*", "networks=192.0.2.0/24",
			"until="+time.Now().Add(time.Hour).Format(time.RFC3339))
		var log bytes.Buffer
		m := healthy()
		s, _ := newServer(t, Config{TokensFile: path, Audit: &log}, m)
		open := func(path, remote string) reply {
			header := bearer(token)
			header["Content-Type"] = whep.TypeSDP
			return ask{method: "POST", path: path, header: header, body: "v=0", remote: remote}.do(s.Handler())
		}
		if r := open("/whep/x11:0", "192.0.2.9:1"); r.StatusCode != http.StatusCreated {
			t.Fatalf("where it is good: %d %s", r.StatusCode, r.body)
		}
		if r := open("/whep/default", "[::ffff:192.0.2.9]:1"); r.StatusCode != http.StatusCreated ||
			m.offers[1].Display != "x11:0" {
			t.Errorf("the display by the name default: %d %s", r.StatusCode, r.body)
		}
		if r := (ask{
			method: "OPTIONS", path: "/whep/test", header: bearer(token),
			remote: "192.0.2.9:1",
		}).do(s.Handler()); r.Header.Get("Link") != "" {
			t.Errorf("ICE servers for another display: %s", r.Header.Get("Link"))
		}
		for name, c := range map[string]struct {
			path, remote string
			want         problem.Code
			why          string
		}{
			"another display": {
				"/whep/test", "192.0.2.9:1", problem.Forbidden,
				"the token is not valid for this display",
			},
			"another network": {
				"/whep/x11:0", "192.0.3.9:1", problem.Unauthorized,
				"the token is not valid from your network",
			},
			"no network at all": {"/whep/x11:0", "@", problem.Unauthorized, "the token is not valid from your network"},
		} {
			if r := open(c.path, c.remote); refusal(t, r) != c.want || !strings.Contains(r.body, c.why) {
				t.Errorf("%s: %s; want %s, %s", name, r.body, c.want, c.why)
			}
		}
		log.Reset()
		time.Sleep(time.Hour)
		for range 20 { // it is no guess
			if r := open("/whep/x11:0", "192.0.2.9:1"); refusal(t, r) != problem.Unauthorized ||
				!strings.Contains(r.body, "the token has expired") {
				t.Fatalf("after its end: %s", r.body)
			}
		}
		s.flushAudit(time.Now(), true)
		var l audit.Line
		first, _, _ := strings.Cut(log.String(), "\n")
		if err := json.Unmarshal([]byte(first), &l); err != nil || l.Who != "ann" || l.Credential != "token" ||
			l.Role != "" || l.Code != "unauthorized" {
			t.Errorf("%v: the audit log has %s", err, first)
		}
	})
}

// A token is also removed if the new file has the same size and time, as when a link of a configuration switches to
// another folder.
func TestTokenTakenAwayByALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		link := filepath.Join(dir, "tokens")
		tokens := map[string]string{}
		for _, name := range []string{"old", "new"} {
			token, line, err := auth.NewToken("bob", "viewer")
			if err != nil {
				t.Fatal(err)
			}
			tokens[name] = token
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("old", link); err != nil {
			t.Fatal(err)
		}
		s, _ := newServer(t, Config{Token: token, TokensFile: link}, healthy())
		open := func(name string) int {
			header := bearer(tokens[name])
			header["Content-Type"] = whep.TypeSDP
			return ask{method: "POST", path: "/whep/default", header: header, body: "v=0"}.do(s.Handler()).StatusCode
		}
		if got := open("old"); got != http.StatusCreated {
			t.Fatalf("the old token at first: %d", got)
		}
		if err := os.Symlink("new", link+".next"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".next", link); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if was, is := open("old"), open("new"); was != http.StatusUnauthorized || is != http.StatusCreated {
			t.Errorf("the old token: %d, the new one: %d", was, is)
		}
	})
}

package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/problem"
	"wavryhost/session/relay"
)

// parseLink reads what links wrote, by the grammar of RFC 8288 and RFC 9110, without sharing code with it.
func parseLink(t *testing.T, l string) (target string, params map[string]string) {
	t.Helper()
	target, rest, ok := strings.Cut(strings.TrimPrefix(l, "<"), ">")
	if !ok || l[0] != '<' {
		t.Fatalf("no target in %q", l)
	}
	params = map[string]string{}
	for rest != "" {
		var name string
		if !strings.HasPrefix(rest, "; ") {
			t.Fatalf("no parameter at %q of %q", rest, l)
		}
		if name, rest, ok = strings.Cut(rest[2:], `="`); !ok {
			t.Fatalf("parameter without quotes at %q of %q", rest, l)
		}
		var value strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != '"'; i++ {
			if rest[i] == '\\' {
				i++
			}
			if i < len(rest) {
				value.WriteByte(rest[i])
			}
		}
		if i >= len(rest) {
			t.Fatalf("quotes stay open in %q", l)
		}
		params[name], rest = value.String(), rest[i+1:]
	}
	return target, params
}

func FuzzLink(f *testing.F) {
	for _, seed := range [][3]string{
		{"turn:a.example?transport=udp", "user", "password"},
		{"turns:a.example:443", `a"b`, `\`},
		{"turn:[2001:db8::1]", "<>,;", "x=y; rel=\"other\""},
		{"turn:a", "é", "日本"},
		{"turn:a\r\nX: y", "u", "p"},
		{"turn:a", "u\r\nX: y", "p\x00"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, url, user, credential string) {
		server := relay.Server{URLs: []string{url}, Username: user, Credential: credential}
		if server.Validate() != nil {
			return
		}
		for _, l := range links([]relay.Server{server}) {
			if strings.ContainsAny(l, "\r\n\x00") {
				t.Fatalf("a control character came through: %q", l)
			}
			target, params := parseLink(t, l)
			if target != url || params["rel"] != "ice-server" {
				t.Fatalf("%q became target %q, %q", url, target, params)
			}
			if !strings.HasPrefix(url, "turn") {
				continue
			}
			if params["username"] != user || params["credential"] != credential || params["credential-type"] != "password" {
				t.Fatalf("%q, %q became %q", user, credential, params)
			}
			h := http.Header{}
			h.Set("Link", l)
			if h.Get("Link") != l {
				t.Fatalf("header changed %q", l)
			}
		}
	})
}

// The region that a client asks for decides which servers it is told of, before its offer and with the answer.
func TestLinksOfARegion(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	for region, want := range map[string]string{"": "stun:near.example", "eu-west": "stun:eu-west.example"} {
		query := ""
		if region != "" {
			query = "?region=" + region
		}
		m.servers = func(region, user string, _ time.Time) []relay.Server {
			if user != turnUser(theOperator) {
				t.Errorf("servers for %q; want them for the owner", user)
			}
			if region == "" {
				region = "near"
			}
			return []relay.Server{{URLs: []string{"stun:" + region + ".example"}}}
		}
		for _, a := range []ask{
			{method: "OPTIONS", path: "/whep/default" + query},
			{method: "POST", path: "/whep/default" + query, body: offer, header: sdp()},
		} {
			got := a.do(s.Handler()).Header["Link"]
			if len(got) != 1 || !strings.HasPrefix(got[0], "<"+want+">") {
				t.Errorf("%s with region %q: %q; want %s", a.method, region, got, want)
			}
		}
		if got := m.offers[len(m.offers)-1].Region; got != region {
			t.Errorf("the session's region is %q; want %q", got, region)
		}
	}
	if got := refusal(t, ask{method: "POST", path: "/whep/default?region=a%20b", body: offer, header: sdp()}.do(s.Handler())); got != problem.BadRequest {
		t.Errorf("a region that is none: %s", got)
	}
}

// A TURN server can tell owners apart, and not who they are.
func TestTURNUserIsOfTheOwner(t *testing.T) {
	seen := make(map[string]session.Owner)
	for _, o := range []session.Owner{
		{},
		theOperator,
		{Credential: session.CredentialGrant, Issuer: "a", Name: "ann"},
		{Credential: session.CredentialGrant, Issuer: "b", Name: "ann"},
		{Credential: session.CredentialToken, Name: "ann"},
		{Credential: session.CredentialGrant, Issuer: "aa", Name: "nn"},
	} {
		user := turnUser(o)
		if other, there := seen[user]; there || user != turnUser(o) || strings.ContainsAny(user, ": ") || strings.Contains(user, "ann") {
			t.Errorf("%+v is called %q, as is %+v", o, user, other)
		}
		seen[user] = o
	}
}

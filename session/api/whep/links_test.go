package whep

import (
	"net/http"
	"strings"
	"testing"

	"wavryhost/session/relay"
)

// parseLink parses the result of links by the grammar of RFC 8288 and RFC 9110. It shares no code with links.
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
			if params["username"] != user || params["credential"] != credential ||
				params["credential-type"] != "password" {
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

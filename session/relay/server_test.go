package relay

import (
	"strings"
	"testing"
	"time"
)

func TestCredentials(t *testing.T) {
	// printf 1700000000:ann | openssl dgst -sha1 -hmac north -binary | base64
	s := Server{URLs: []string{"turn:a"}, Secret: "north", Lifetime: time.Hour}
	got := s.For("ann", time.Unix(1_699_996_400, 0), time.Time{})
	if got.Username != "1700000000:ann" || got.Credential != "jeamH6dA5l2I9g3jmieza7CzEDo=" ||
		got.Secret != "" || s.Username != "" {
		t.Errorf("%+v of %+v", got, s)
	}
	own := Server{URLs: []string{"turn:a"}, Username: "u", Credential: "p"}.For("ann", time.Now(), time.Time{})
	if own.Username != "u" || own.Credential != "p" {
		t.Errorf("%+v; want its own", own)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Server
		want string
	}{
		{"stun", Server{URLs: []string{"stun:a.example", "stuns:[2001:db8::1]:5349"}}, ""},
		{"turn", Server{
			URLs: []string{"turn:a.example:3478?transport=tcp"}, Username: "u", Credential: "p",
			Region: "eu-west_1.a",
		}, ""},
		{"secret", Server{URLs: []string{"turns:a.example"}, Secret: "s"}, ""},
		{"no URL", Server{}, "has no URL"},
		{"wrong scheme", Server{URLs: []string{"http://x"}}, "has none of the schemes"},
		{"no host", Server{URLs: []string{"stun:"}}, "names no host"},
		{"no host, but a port", Server{URLs: []string{"stun::3478"}}, "names no host"},
		{"bracket", Server{URLs: []string{"stun:a>b"}}, "which a URL cannot"},
		{"no credential", Server{URLs: []string{"turn:a"}, Username: "u"}, "takes a user name"},
		{
			"control character",
			Server{URLs: []string{"turn:a"}, Username: "u", Credential: "a\nb"},
			"holds a control character",
		},
		{"region", Server{URLs: []string{"stun:a"}, Region: "Neu Ulm"}, "is not up to 32 letters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.s.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v; want %q", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"stun:a", "turn:a:3478?transport=udp", "turns:[2001:db8::1]",
		"stuns:[::1]:1", "turn:a?transport=tcp", "turn::", "turn:[", "turn:a:b:c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, u string) {
		a, err := parse(u)
		if err == nil && (a.host == "" || strings.ContainsAny(a.host, "\r\n <>\"")) {
			t.Errorf("%q names the host %q", u, a.host)
		}
	})
}

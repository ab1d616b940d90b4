package api

import (
	"strings"
	"testing"
	"time"

	"wavryhost/session/api/auth"
	"wavryhost/session/api/problem"
	"wavryhost/session/relay"
)

// The region that a client asks for decides which ICE servers it gets, from OPTIONS and with the answer.
func TestLinksOfARegion(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	for region, want := range map[string]string{"": "stun:near.example", "eu-west": "stun:eu-west.example"} {
		query := ""
		if region != "" {
			query = "?region=" + region
		}
		m.servers = func(region, user string, _ time.Time) []relay.Server {
			if user != (auth.Principal{Owner: theOperator}).TURNUser() {
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
	if got := refusal(t, ask{
		method: "POST", path: "/whep/default?region=a%20b", body: offer,
		header: sdp(),
	}.do(s.Handler())); got != problem.BadRequest {
		t.Errorf("a region that is none: %s", got)
	}
}

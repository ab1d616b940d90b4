package relay

import (
	"slices"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	// A server is "region/name", with a priority behind a colon. A "!" marks a server that is down.
	server := func(text string) judged {
		down := strings.HasPrefix(text, "!")
		region, name, _ := strings.Cut(strings.TrimPrefix(text, "!"), "/")
		j := judged{Server: Server{Region: region, URLs: []string{"turn:" + name}}}
		if strings.HasPrefix(name, "stun") {
			j.URLs = []string{"stun:" + name}
		}
		if n := len(name) - 2; n > 0 && name[n] == ':' {
			j.Priority = int(name[n+1] - '0')
		}
		if !down {
			j.alive = j.URLs
		}
		return j
	}
	for _, c := range []struct{ name, all, prefer, want string }{
		{"none", "", "", ""},
		{"the order of the list", "/a /b /c", "", "a b"},
		{"a lower priority goes first", "/a:2 /b:1 /c:1", "", "b:1 c:1"},
		{"without preference regions count for nothing", "eu/a us/b", "", "a b"},
		{"one which is down is left out", "!/a /b /c", "", "b c"},
		{"the preferred region alone", "us/a eu/b eu/c eu/d", "eu us", "b c"},
		{"the next region when it is down", "us/a !eu/b !eu/c us/d", "eu us", "a d"},
		{"one which works is enough", "us/a !eu/b eu/c us/d", "eu us", "c"},
		{"no region goes before other regions", "us/a /b as/c", "eu", "b"},
		{"other regions at last, one of them", "us/a as/b us/c", "eu", "a c"},
		{"all are down", "!us/a !eu/b !us/c", "eu", "b a c"},
		{"all of many are down", "!/a !/b !/c !/d !/e !/f", "", "a b c d e"},
		{"each kind for itself", "/stun1 !/a /b /stun2 /stun3", "", "b stun1 stun2"},
		{"a kind that is down altogether", "/stun1 !/a !/b", "", "a b stun1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all []judged
			for text := range strings.FieldsSeq(c.all) {
				all = append(all, server(text))
			}
			var got []string
			for _, s := range choose(all, strings.Fields(c.prefer)) {
				got = append(got, strings.TrimPrefix(strings.TrimPrefix(s.URLs[0], "turn:"), "stun:"))
			}
			if !slices.Equal(got, strings.Fields(c.want)) {
				t.Errorf("got %v; want %s", got, c.want)
			}
		})
	}
}

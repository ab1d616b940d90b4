package api

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"wavryhost/session"
)

func (s ICEServer) validate() error {
	if len(s.URLs) == 0 {
		return fmt.Errorf("api: ICE server of user %q has no URL", s.Username)
	}
	turn := false
	for _, u := range s.URLs {
		scheme, rest, _ := strings.Cut(u, ":")
		switch scheme {
		case "turn", "turns":
			turn = true
		case "stun", "stuns":
		default:
			return fmt.Errorf("api: ICE server %q has none of the schemes stun, stuns, turn and turns", u)
		}
		if rest == "" {
			return fmt.Errorf("api: ICE server %q names no host", u)
		}
		for _, r := range u {
			if r <= ' ' || r > '~' || r == '<' || r == '>' || r == '"' {
				return fmt.Errorf("api: ICE server %q holds %q, which a URL cannot", u, r)
			}
		}
	}
	if turn && s.Secret == "" && (s.Username == "" || s.Credential == "") {
		return fmt.Errorf("api: ICE server %q takes a user name and a credential", s.URLs[0])
	}
	if !quotable(s.Username) || !quotable(s.Credential) {
		return fmt.Errorf("api: user name or credential of ICE server %q holds a control character", s.URLs[0])
	}
	return nil
}

// quotable tells whether a header's quoted string can hold s.
func quotable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// links returns one Link header value for each URL of servers (draft-ietf-wish-whep, RFC 9725 section 4.6). Credentials that are made for it are good
// for no longer than last, unless that is zero.
func links(servers []ICEServer, now, last time.Time) []string {
	var out []string
	for _, s := range servers {
		if s.Secret != "" {
			until := now.Add(s.Lifetime)
			if !last.IsZero() && last.Before(until) {
				until = last
			}
			s.Username, s.Credential = session.TURNCredentials(s.Secret, "viewer", until)
		}
		for _, u := range s.URLs {
			l := "<" + u + `>; rel="ice-server"`
			if s.Username != "" && strings.HasPrefix(u, "turn") {
				l += "; username=" + quote(s.Username) + "; credential=" + quote(s.Credential) +
					`; credential-type="password"`
			}
			out = append(out, l)
		}
	}
	return out
}

// quote returns s as a quoted-string (RFC 9110 section 5.6.4).
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

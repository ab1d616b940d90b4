package api

import (
	"net/http"
	"strings"
	"time"

	"wavryhost/session/relay"
)

// viewerUser is what viewers are called at TURN servers with short-lived credentials.
const viewerUser = "viewer"

// linkHeader puts the STUN and TURN servers of a region, or of the host's preference, into h. Credentials that are made for it are good for no longer than
// last, unless that is zero.
func (s *Server) linkHeader(h http.Header, region string, last time.Time) {
	h["Link"] = links(s.mgr.ICEServers(region, viewerUser, last))
}

// links returns one Link header value for each URL of servers (draft-ietf-wish-whep, RFC 9725 section 4.6).
func links(servers []relay.Server) []string {
	var out []string
	for _, s := range servers {
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

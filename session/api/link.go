package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"wavryhost/session"
	"wavryhost/session/relay"
)

// turnUser is what an owner is called at TURN servers with short-lived credentials: the same at each, so that they may have quotas, and nothing by which others know him.
func turnUser(o session.Owner) string {
	sum := sha256.Sum256([]byte(o.Credential + "\x00" + o.Issuer + "\x00" + o.Name))
	return hex.EncodeToString(sum[:8])
}

// linkHeader puts the STUN and TURN servers of a region, or of the host's preference, into h. Credentials that are made for it end with what its reader
// was let in by.
func (s *Server) linkHeader(h http.Header, region string, who principal) {
	h["Link"] = links(s.mgr.ICEServers(region, turnUser(who.Owner), who.expires()))
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

package whep

import (
	"net/http"
	"strings"

	"wavryhost/session/api/auth"
	"wavryhost/session/relay"
)

// setLinks adds the STUN and TURN servers of a region, or of the host's preference, to an answer. Credentials made for
// the answer end with the credential of p.
func (h *Handler) setLinks(header http.Header, region string, p auth.Principal) {
	header["Link"] = links(h.mgr.ICEServers(region, p.TURNUser(), p.Expires()))
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

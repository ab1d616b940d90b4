package edge

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// origin is the origin of a page (RFC 6454). Its port is empty for the scheme's default port.
type origin struct{ scheme, host, port string }

// parseOrigin returns an origin in canonical form. An opaque origin such as "null" has no host.
func parseOrigin(s string) origin {
	scheme, hostport, ok := strings.Cut(strings.ToLower(s), "://")
	if !ok || strings.ContainsAny(hostport, "/@?#") {
		return origin{scheme: s}
	}
	return origin{scheme, hostOf(hostport), portOf(hostport, scheme)}
}

// serves reports whether a server with that Host header serves pages of the origin.
func (o origin) serves(hostport string) bool {
	return o.host != "" && o.host == hostOf(hostport) && o.port == portOf(hostport, o.scheme)
}

// portOf returns the port of a Host header or an origin. It is empty for the scheme's default port.
func portOf(hostport, scheme string) string {
	port := (&url.URL{Host: hostport}).Port()
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return ""
	}
	return port
}

// hostOf returns the host of a Host header in canonical form.
func hostOf(hostport string) string { return canonicalHost((&url.URL{Host: hostport}).Hostname()) }

// canonicalHost returns a host as certificates contain it: in lower case, without the dot of the root, in ASCII
// (IDNA). An address is in its shortest form and without its zone, which has a meaning only on the client.
func canonicalHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		return ascii
	}
	return host
}

// IsLoopback reports whether only this machine can reach host. Names other than localhost are not looked up. They
// count as reachable from other machines.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// crossSite reports whether the browser says that a page of another site caused the request (Fetch Metadata).
func crossSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

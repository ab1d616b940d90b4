package api

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"wavryhost/session/api/problem"

	"golang.org/x/net/idna"
)

// guard refuses what a browser may be tricked into: requests under a name that is not the server's (DNS rebinding) and
// requests from other sites' pages.
type guard struct {
	hosts    []string // names of the listener
	named    []string // names that proxies and DNS have for the server
	loopback bool     // only this machine reaches the listener
	cert     *certificate
	origins  []webOrigin
	anyone   bool // every origin is allowed
}

func newGuard(cfg Config, cert *certificate) *guard {
	listen, _, _ := net.SplitHostPort(cfg.Listen) // validated
	g := &guard{
		hosts:    []string{"localhost"},
		loopback: isLoopback(listen),
		cert:     cert,
		anyone:   slices.Contains(cfg.AllowedOrigins, "*"),
	}
	if listen != "" {
		g.hosts = append(g.hosts, canonicalHost(listen))
	}
	for _, h := range cfg.AllowedHosts {
		g.named = append(g.named, canonicalHost(h))
	}
	for _, o := range cfg.AllowedOrigins {
		g.origins = append(g.origins, parseOrigin(o))
	}
	return g
}

// host reports whether the server goes by the name in a Host header. A site that lets its name point here cannot pass for
// an address, so addresses are fine wherever the server listens on more than loopback.
func (g *guard) host(hostport string) bool {
	host := hostOf(hostport)
	if slices.Contains(g.hosts, host) || g.public(host) {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || !g.loopback
	}
	return false
}

// public reports whether the server is known to others by a name: a configured one, or one in its certificate.
func (g *guard) public(host string) bool {
	return host != "" && !isLoopback(host) && (slices.Contains(g.named, host) || g.cert != nil && g.cert.names(host))
}

// origin reports whether a page of that origin may use the API, and whether it needs to be told so (CORS). An own page comes under the name in the Host header, or under a public name
// of the server, since proxies replace the header by an address. secure says that the connection has TLS, and so does the page's; without it a proxy
// may speak TLS for the server.
func (g *guard) origin(origin, host string, secure bool) (ok, foreign bool) {
	if origin == "" {
		return true, false
	}
	o := parseOrigin(origin)
	if o.host != "" && (o.scheme == "https" || !secure) && (o.serves(host) || g.public(o.host)) {
		return true, false
	}
	return g.anyone || slices.Contains(g.origins, o), true
}

// ambient reports whether what a browser shows by itself, a client certificate, counts for a request. Of a page of any site, which "*" lets in, it does not: such a page would
// act for everybody who opens it. Nor does it for requests that another site's page causes without saying which it is.
func (g *guard) ambient(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return !crossSite(r) || r.Header.Get("Sec-Fetch-Mode") == "navigate"
	}
	o := parseOrigin(origin)
	return o.serves(r.Host) && (o.scheme == "https" || r.TLS == nil) || slices.Contains(g.origins, o)
}

// crossSite reports whether a browser says that another site's page caused a request (Fetch Metadata).
func crossSite(r *http.Request) bool {
	from := r.Header.Get("Sec-Fetch-Site")
	return from == "cross-site" || from == "same-site"
}

// webOrigin is the origin of a page (RFC 6454): the port is never its scheme's own.
type webOrigin struct{ scheme, host, port string }

// parseOrigin returns an origin in the form that compares; one that is none, as "null", has no host.
func parseOrigin(s string) webOrigin {
	scheme, hostport, ok := strings.Cut(lower(s), "://")
	if !ok || strings.ContainsAny(hostport, "/@?#") {
		return webOrigin{scheme: s}
	}
	return webOrigin{scheme, hostOf(hostport), portOf(hostport, scheme)}
}

// serves reports whether pages of the origin are what a server with that Host header serves.
func (o webOrigin) serves(hostport string) bool {
	return o.host != "" && o.host == hostOf(hostport) && o.port == portOf(hostport, o.scheme)
}

// portOf returns the port of a Host header or an origin; empty for the scheme's own.
func portOf(hostport, scheme string) string {
	port := (&url.URL{Host: hostport}).Port()
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return ""
	}
	return port
}

// hostOf returns the host of a Host header in the form that compares.
func hostOf(hostport string) string { return canonicalHost((&url.URL{Host: hostport}).Hostname()) }

// canonicalHost returns a host as certificates have it: lower case, without the dot of the root, in ASCII (IDNA). An address is in its shortest form, without the zone, which
// means something to the client alone.
func canonicalHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	host = strings.TrimSuffix(lower(host), ".")
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		return ascii
	}
	return host
}

// exposedHeaders are those of answers that pages of other origins may read.
const exposedHeaders = "Location, ETag, Link, Wavry-Input, Accept-Patch, Accept-Post, Allow, Retry-After, WWW-Authenticate, Content-Disposition, X-Request-Id"

// check refuses r or sets the headers that every answer to it carries.
func (g *guard) check(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Origin")
	// On refusals too: pages of other origins have to read when to come again.
	h.Set("Access-Control-Expose-Headers", exposedHeaders)

	if n := headerSize(r); n > maxHeaderBytes {
		return problem.New(problem.HeaderTooLarge, "the header has %d bytes; at most %d are taken", n, maxHeaderBytes)
	}
	if !g.host(r.Host) && !probes(r) {
		return problem.New(problem.ForbiddenHost, "this server does not go by the name %q: add it to allowed_hosts, or have the proxy pass on the client's Host header",
			problem.Shorten(r.Host))
	}
	origin := r.Header.Get("Origin")
	ok, foreign := g.origin(origin, r.Host, r.TLS != nil)
	if !ok && !public(r) {
		return problem.New(problem.ForbiddenOrigin, "pages of %q may not use this server: add the host to allowed_hosts if the page is this server's own behind a proxy, "+
			"else add the origin to allowed_origins", problem.Shorten(origin))
	}
	if ok && foreign {
		h.Set("Access-Control-Allow-Origin", origin)
	}
	if origin == "" && changes(r.Method) && crossSite(r) {
		return problem.New(problem.ForbiddenOrigin, "a page of another site asks for a change, and its browser does not name the page's origin")
	}
	// The mux would redirect an unclean path, with a body in HTML.
	if p := r.URL.Path; p != "*" && !tidy(p) {
		return problem.New(problem.NotFound, "there is nothing at %s", problem.Shorten(p))
	}
	return nil
}

// probes reports whether a request only asks whether the server lives: health checks name an address, a service, or no host at all.
func probes(r *http.Request) bool {
	switch r.URL.Path {
	case "/healthz", "/readyz":
		return true
	default:
		return r.Method == http.MethodOptions && r.URL.Path == "/" // haproxy's option httpchk
	}
}

// public reports whether a request reads what is the same for everybody. The page comes although its origin is refused: it shows why.
func public(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	return r.URL.Path == "/" || r.URL.Path == "/v1/openapi.json" || strings.HasPrefix(r.URL.Path, "/page/") || probes(r)
}

// tidy tells whether the mux takes a path as it is.
func tidy(p string) bool {
	clean := path.Clean(p)
	return p == clean || clean != "/" && p == clean+"/"
}

func headerSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

func lower(s string) string { return strings.ToLower(s) }

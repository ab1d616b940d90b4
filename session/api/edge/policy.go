package edge

import (
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"

	"wavryhost/session/api/problem"
)

// MaxHeaderBytes bounds the header of a request. The limit of net/http is four times higher: net/http answers requests
// beyond its own limit in plain text, so most oversized requests must stay below it to get a JSON answer.
const MaxHeaderBytes = 16 << 10

// Policy refuses what a browser may be tricked into: requests under a name that is not the server's (DNS rebinding),
// and requests from pages of other sites.
type Policy struct {
	hosts    []string // names of the listener
	named    []string // names of the server at proxies and in DNS
	loopback bool     // only this machine reaches the listener
	cert     names    // nil without TLS
	origins  []origin
	anyone   bool // every origin is allowed
}

// names reports whether a certificate is valid for a host name.
type names interface{ Valid(host string) bool }

// NewPolicy returns the policy of a server that listens on the host listen. Hosts are its further names. Pages of the
// origins may use it, beside its own.
func NewPolicy(listen string, hosts, origins []string, cert *Certificate) *Policy {
	p := &Policy{
		hosts:    []string{"localhost"},
		loopback: IsLoopback(listen),
		anyone:   slices.Contains(origins, "*"),
	}
	if cert != nil {
		p.cert = cert
	}
	if listen != "" {
		p.hosts = append(p.hosts, canonicalHost(listen))
	}
	for _, h := range hosts {
		p.named = append(p.named, canonicalHost(h))
	}
	for _, o := range origins {
		p.origins = append(p.origins, parseOrigin(o))
	}
	return p
}

// host reports whether a Host header names the server. A site whose DNS name points here cannot pass for an address,
// so every address is accepted if the server listens on more than loopback.
func (p *Policy) host(hostport string) bool {
	host := hostOf(hostport)
	if slices.Contains(p.hosts, host) || p.public(host) {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || !p.loopback
	}
	return false
}

// public reports whether host is a configured name of the server, or a name in its certificate.
func (p *Policy) public(host string) bool {
	return host != "" && !IsLoopback(host) && (slices.Contains(p.named, host) || p.cert != nil && p.cert.Valid(host))
}

// origin reports whether a page of that origin may use the API, and whether the origin is foreign, so that the answer
// needs CORS headers. The origin of an own page has the name in the Host header, or a public name of the server,
// because proxies replace the header by an address. secure reports whether the connection has TLS: then the page's
// origin must have it, too. Without TLS here, a proxy may terminate it.
func (p *Policy) origin(from, host string, secure bool) (ok, foreign bool) {
	if from == "" {
		return true, false
	}
	o := parseOrigin(from)
	if o.host != "" && (o.scheme == "https" || !secure) && (o.serves(host) || p.public(o.host)) {
		return true, false
	}
	return p.anyone || slices.Contains(p.origins, o), true
}

// Ambient reports whether r may use a client certificate, which a browser shows without asking. Pages of all origins
// ("*") must not use it: any page could act for everybody who opens it. A request that another site's page causes
// without naming its origin must not use it either.
func (p *Policy) Ambient(r *http.Request) bool {
	from := r.Header.Get("Origin")
	if from == "" {
		return !crossSite(r) || r.Header.Get("Sec-Fetch-Mode") == "navigate"
	}
	o := parseOrigin(from)
	return o.serves(r.Host) && (o.scheme == "https" || r.TLS == nil) || slices.Contains(p.origins, o)
}

// exposedHeaders are the headers of answers that pages of other origins may read.
const exposedHeaders = "Location, ETag, Link, Wavry-Input, Accept-Patch, Accept-Post, Allow, Retry-After, " +
	"WWW-Authenticate, Content-Disposition, X-Request-Id"

// setHeaders sets the headers of every answer.
func setHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Origin")
	// Pages of other origins must be able to read Retry-After of a refusal, too.
	h.Set("Access-Control-Expose-Headers", exposedHeaders)
}

// Check sets the headers of the answer and refuses r if the policy forbids it.
func (p *Policy) Check(w http.ResponseWriter, r *http.Request) error {
	setHeaders(w.Header())
	if n := headerSize(r); n > MaxHeaderBytes {
		return problem.New(problem.HeaderTooLarge, "the header has %d bytes; the limit is %d", n, MaxHeaderBytes)
	}
	if !p.host(r.Host) && !isProbe(r) {
		return problem.New(problem.ForbiddenHost, "%q is not a name of this server: add it to api.hosts, "+
			"or let the proxy pass on the client's Host header", problem.Shorten(r.Host))
	}
	from := r.Header.Get("Origin")
	ok, foreign := p.origin(from, r.Host, r.TLS != nil)
	if !ok && !isPublic(r) {
		return problem.New(problem.ForbiddenOrigin,
			"pages of %q may not use this server: add the host to api.hosts "+
				"if the page is this server's own behind a proxy, else add the origin to api.origins",
			problem.Shorten(from))
	}
	if ok && foreign {
		w.Header().Set("Access-Control-Allow-Origin", from)
	}
	if from == "" && Changes(r.Method) && crossSite(r) {
		return problem.New(problem.ForbiddenOrigin,
			"a page of another site requests a change, and its browser does not name the page's origin")
	}
	// The mux would redirect an unclean path, with a body in HTML.
	if at := r.URL.Path; at != "*" && !clean(at) {
		return problem.New(problem.NotFound, "there is nothing at %s", problem.Shorten(at))
	}
	return nil
}

// Changes reports whether requests with that method change something.
func Changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// isProbe reports whether a request is a health check. Health checks name an address, a service, or no host at all.
func isProbe(r *http.Request) bool {
	switch r.URL.Path {
	case "/healthz", "/readyz":
		return true
	default:
		return r.Method == http.MethodOptions && r.URL.Path == "/" // haproxy's option httpchk
	}
}

// isPublic reports whether a request reads what is the same for every client. The page is served even if its origin is
// refused, and then shows the reason.
func isPublic(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	at := r.URL.Path
	return at == "/" || at == "/v1/openapi.json" || strings.HasPrefix(at, "/page/") || isProbe(r)
}

// clean reports whether the mux serves a path without a redirect.
func clean(p string) bool {
	canonical := path.Clean(p)
	return p == canonical || canonical != "/" && p == canonical+"/"
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

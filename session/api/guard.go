package api

import (
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
)

// guard refuses what a browser may be tricked into: requests under a name that is not the server's (DNS rebinding) and
// requests from other sites' pages.
type guard struct {
	hosts    []string // lower case
	loopback bool     // only this machine reaches the listener
	cert     *certificate
	origins  []string
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
		g.hosts = append(g.hosts, lower(listen))
	}
	for _, h := range cfg.AllowedHosts {
		g.hosts = append(g.hosts, lower(h))
	}
	for _, o := range cfg.AllowedOrigins {
		g.origins = append(g.origins, lower(o))
	}
	return g
}

// host tells whether the server goes by the name in a Host header. A site that lets its name point here cannot pass for
// an address, so addresses are fine wherever the server listens on more than loopback.
func (g *guard) host(hostport string) bool {
	host := hostOf(hostport)
	if slices.Contains(g.hosts, host) {
		return true
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback() || !g.loopback
	}
	return host != "" && g.cert != nil && g.cert.names(host)
}

// origin tells whether a page of that origin may use the API, and whether it needs to be told so (CORS). The scheme of the
// own origin is not compared: the server does not know whether a proxy before it speaks TLS.
func (g *guard) origin(origin, host string) (ok, foreign bool) {
	if origin == "" {
		return true, false
	}
	_, own, _ := strings.Cut(lower(origin), "://")
	if own == lower(host) && own != "" {
		return true, false
	}
	return g.anyone || slices.Contains(g.origins, lower(origin)), true
}

// ambient tells whether a page of that origin may use what its browser shows by itself, as a client certificate. Of any page at all, which "*" lets in, it may not: it
// would act for whoever opens it.
func (g *guard) ambient(origin, host string) bool {
	_, foreign := g.origin(origin, host)
	return !foreign || slices.Contains(g.origins, lower(origin))
}

// exposedHeaders are those of answers that pages of other origins may read.
const exposedHeaders = "Location, ETag, Link, Wavry-Input, Accept-Patch, Accept-Post, Allow, Retry-After, WWW-Authenticate, Content-Disposition"

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
		return refuse(CodeHeaderTooLarge, "the header has %d bytes; at most %d are taken", n, maxHeaderBytes)
	}
	if !g.host(r.Host) {
		return refuse(CodeForbiddenHost, "this server does not go by the name %q", shorten(r.Host))
	}
	origin := r.Header.Get("Origin")
	ok, foreign := g.origin(origin, r.Host)
	if !ok {
		return refuse(CodeForbiddenOrigin, "pages of %q may not use this server", shorten(origin))
	}
	if foreign {
		h.Set("Access-Control-Allow-Origin", origin)
	}
	// The mux would redirect an unclean path, with a body in HTML.
	if p := r.URL.Path; p != "*" && !tidy(p) {
		return refuse(CodeNotFound, "there is nothing at %s", shorten(p))
	}
	return nil
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

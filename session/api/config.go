package api

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"wavryhost/session/api/grant"
)

const (
	defaultListen = "127.0.0.1:8470"
	// defaultMaxBody is ten times the offer of a browser that lists every codec it knows (about 7 kB).
	defaultMaxBody = 64 << 10
	// maxHeaderBytes is what a request's header may hold. The limit of net/http is four times higher, so that all but the
	// grossest get the JSON answer; net/http itself answers the rest, in plain text.
	maxHeaderBytes = 16 << 10
	// minTokenLength keeps out what can be guessed through the network in a lifetime.
	minTokenLength = 16
)

// The values of Config.AnonymousRole.
const (
	AnonymousNone   = "none"
	AnonymousViewer = string(grant.Viewer)
)

// Config is what a Server needs to know. Zero fields take the defaults named here.
type Config struct {
	// Listen is host:port. It defaults to 127.0.0.1:8470. Anything but a loopback address requires TLS and a credential.
	Listen string
	// TLSCert and TLSKey are PEM files; both or none. They are read again when they change.
	TLSCert, TLSKey string
	// Token is the operator's bearer token.
	Token string
	// OwnToken is the operator's bearer token as long as no other credential is configured. Without it, such a server admits nobody.
	OwnToken string
	// AnonymousRole is what clients without a credential may do: AnonymousNone, the default, or AnonymousViewer, which requires a listener that only this machine
	// reaches.
	AnonymousRole string
	// TokensFile has further tokens, hashed, with names and roles; it is read again when it changes.
	TokensFile string
	// Grants checks signed grants; nil takes none. Its Run is the caller's to call.
	Grants *grant.Verifier
	// TLSClientRevoked is a file with lists of the certificates that these have revoked; it may be empty. Both files are read again when they change.
	TLSClientRevoked string
	// RevocationsFile is where revocations are kept for the time after a restart; empty for nowhere. It is not used without Grants.
	RevocationsFile string
	// TLSClientAuth is whether clients may, or must, show a certificate of the authorities in TLSClientCA, a PEM file; it defaults to off. TLSClientRole is what that
	// makes of them; it defaults to viewer.
	TLSClientAuth, TLSClientCA, TLSClientRole string
	// TLSClientRules say what single certificates are, instead of TLSClientRole; the first one that fits counts.
	TLSClientRules []ClientRule
	// Audit gets a line of JSON for each request that asks for a change; nil for no such thing. Writes are made one at a time.
	Audit io.Writer
	// TrustedProxies are the networks of reverse proxies whose word on their clients is taken, by ProxyHeader: ProxyXForwardedFor, the default, ProxyForwarded, or
	// ProxyProtocol (versions 1 and 2), which each of their connections must begin by. Limits, lock-outs, the networks of grants and the audit log follow the client.
	TrustedProxies []netip.Prefix
	ProxyHeader    string
	// AllowedHosts are further names that the server is reached by, beside the loopback names, the host in Listen and the
	// names in the certificate. A request with another Host header is refused, which defeats DNS rebinding.
	AllowedHosts []string
	// AllowedOrigins are the web origins ("https://example.net") beside the server's own whose pages may use the API;
	// "*" is every one.
	AllowedOrigins []string
	// MaxBody bounds a request's body, in bytes. It defaults to 65536.
	MaxBody int64
	// MaxConnections bounds the open connections. It defaults to 256. MaxConnectionsPerAddress bounds those of one address, or IPv6 /64, but this machine's; it
	// defaults to 64.
	MaxConnections, MaxConnectionsPerAddress int
	Limits                                   Limits
	// ID, Name, Platform and Version are shown in GET /v1/host: which host this is, what people call it, its system and architecture, and the daemon's
	// version.
	ID, Name, Platform, Version string
	// Gateway returns what GET /v1/host shows of the link to a gateway. It is nil where there is no link.
	// Reload reads the daemon's configuration again; with a time to confirm, the change is taken back unless Confirm is called within. Its errors are
	// ErrBadConfiguration and Confirm's ErrNothingToConfirm. Probe asks for the encoders to be tried again, and returns at once; without
	// it there are none to try.
	Reload  func(confirm time.Duration) (Reloaded, error)
	Confirm func() error
	Probe   func()
	Gateway func() GatewayLink

	// ReadHeaderTimeout bounds the reading of a request's header, ReadTimeout that of the header and the body. They
	// default to 5 s and 10 s.
	ReadHeaderTimeout, ReadTimeout time.Duration
	// RequestTimeout bounds what a request may make the daemon do, such as opening a session. It defaults to 15 s.
	RequestTimeout time.Duration
	// WriteTimeout bounds everything from the end of a request's header to the last byte of its answer. It defaults to 30 s
	// and must exceed RequestTimeout.
	WriteTimeout time.Duration
	// IdleTimeout closes connections without requests. It defaults to 60 s.
	IdleTimeout time.Duration
	// ShutdownTimeout is how long Run waits for the requests under way when it ends. It defaults to 5 s.
	ShutdownTimeout time.Duration

	// Ready, when set, is called once by Run, with the address, as soon as connections are accepted.
	Ready func(net.Addr)
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = defaultListen
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 256
	}
	if c.MaxConnectionsPerAddress == 0 {
		c.MaxConnectionsPerAddress = 64
	}
	c.Limits = c.Limits.withDefaults()
	if c.ProxyHeader == "" {
		c.ProxyHeader = ProxyXForwardedFor
	}
	if c.Reload == nil {
		c.Reload = func(time.Duration) (Reloaded, error) {
			return Reloaded{}, fmt.Errorf("%w: this daemon reads none", ErrBadConfiguration)
		}
	}
	if c.TLSClientRole == "" {
		c.TLSClientRole = string(grant.Viewer)
	}
	if c.Confirm == nil {
		c.Confirm = func() error { return ErrNothingToConfirm }
	}
	if c.Probe == nil {
		c.Probe = func() {}
	}
	for _, t := range []struct {
		field   *time.Duration
		initial time.Duration
	}{
		{&c.ReadHeaderTimeout, 5 * time.Second},
		{&c.ReadTimeout, 10 * time.Second},
		{&c.RequestTimeout, 15 * time.Second},
		{&c.WriteTimeout, 30 * time.Second},
		{&c.IdleTimeout, time.Minute},
		{&c.ShutdownTimeout, 5 * time.Second},
	} {
		if *t.field == 0 {
			*t.field = t.initial
		}
	}
	return c
}

// Validate tells what is wrong with c, with zero fields read as their defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("api: listen %q is not host:port", c.Listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("api: listen %q: %q is not a port", c.Listen, port)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fmt.Errorf("api: TLS takes a certificate and a key; got certificate %q and key %q", c.TLSCert, c.TLSKey)
	}
	if err := c.validateToken(); err != nil {
		return err
	}
	if err := c.validateClients(); err != nil {
		return err
	}
	if !isLoopback(host) && (c.TLSCert == "" || !c.locked()) {
		var missing []string
		if c.TLSCert == "" {
			missing = append(missing, "a TLS certificate and key")
		}
		if !c.locked() {
			missing = append(missing, "a configured token, grants or required client certificates")
		}
		return fmt.Errorf("api: listen %q can be reached from other machines: it takes %s (or listen on 127.0.0.1)",
			c.Listen, strings.Join(missing, " and "))
	}
	if err := c.validateAnonymous(); err != nil {
		return err
	}
	if !slices.Contains(ProxyHeaders(), c.ProxyHeader) {
		return fmt.Errorf("api: proxy header %q is none of %s", c.ProxyHeader, strings.Join(ProxyHeaders(), ", "))
	}
	for _, o := range c.AllowedOrigins {
		if err := validateOrigin(o); err != nil {
			return err
		}
	}
	for _, h := range c.AllowedHosts {
		if h == "" || strings.ContainsAny(h, "/:* ") {
			return fmt.Errorf("api: allowed host %q is not a bare host name", h)
		}
	}
	return c.validateLimits()
}

// validateAnonymous checks what clients without a credential may reach.
func (c Config) validateAnonymous() error {
	host, _, _ := net.SplitHostPort(c.Listen) // checked before
	if !c.locked() && len(c.AllowedHosts)+len(c.AllowedOrigins) > 0 {
		return errors.New("api: allowed hosts and origins require a configured credential: a token, grants or required client certificates")
	}
	switch c.AnonymousRole {
	case "", AnonymousNone:
		return nil
	case AnonymousViewer:
	default:
		return fmt.Errorf("api: anonymous role %q is neither none nor viewer", c.AnonymousRole)
	}
	if !isLoopback(host) || len(c.AllowedHosts)+len(c.AllowedOrigins) > 0 {
		return errors.New("api: anonymous viewers require a loopback address in listen, and no allowed hosts and origins: everybody who reaches the server would see the screen")
	}
	return nil
}

// locked tells whether there is a way to tell who asks that a public address may rely on. Certificates that are optional are none by themselves: that clients need not
// show one means that there is another way in, and a configuration without any has lost it.
func (c Config) locked() bool {
	return c.Token != "" || c.TokensFile != "" || c.Grants != nil || c.TLSClientAuth == ClientAuthRequired
}

// guarded reports whether a credential is configured.
func (c Config) guarded() bool {
	return c.Token != "" || c.TokensFile != "" || c.Grants != nil || c.asksClients()
}

// asksClients tells whether clients are asked for certificates.
func (c Config) asksClients() bool {
	return c.TLSClientAuth == ClientAuthOptional || c.TLSClientAuth == ClientAuthRequired
}

func (c Config) validateClients() error {
	switch c.TLSClientAuth {
	case "", ClientAuthOff:
		return nil
	case ClientAuthOptional, ClientAuthRequired:
	default:
		return fmt.Errorf("api: client certificates %q are none of off, optional and required", c.TLSClientAuth)
	}
	if c.TLSCert == "" || c.TLSClientCA == "" {
		return errors.New("api: client certificates take TLS, and a file of the authorities that they come from")
	}
	if _, err := grant.ParseRole(c.TLSClientRole); err != nil {
		return fmt.Errorf("api: client certificates: %w", err)
	}
	for _, r := range c.TLSClientRules {
		if err := r.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) validateToken() error {
	if c.Token == "" {
		return nil
	}
	if len(c.Token) < minTokenLength {
		return fmt.Errorf("api: the token has %d characters; it takes at least %d", len(c.Token), minTokenLength)
	}
	for _, r := range c.Token {
		// RFC 6750 section 2.1: a bearer token has no blanks.
		if r <= ' ' || r > '~' {
			return errors.New("api: the token holds a blank or a character that is not printable ASCII")
		}
	}
	return nil
}

func (c Config) validateLimits() error {
	if c.MaxBody < 0 {
		return fmt.Errorf("api: max body %d is not positive", c.MaxBody)
	}
	if c.MaxConnections < 0 {
		return fmt.Errorf("api: max connections %d is not positive", c.MaxConnections)
	}
	if c.MaxConnectionsPerAddress < 0 {
		return fmt.Errorf("api: max connections of an address %d is not positive", c.MaxConnectionsPerAddress)
	}
	if err := c.Limits.validate(); err != nil {
		return err
	}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{
		{"read header", c.ReadHeaderTimeout},
		{"read", c.ReadTimeout},
		{"request", c.RequestTimeout},
		{"write", c.WriteTimeout},
		{"idle", c.IdleTimeout},
		{"shutdown", c.ShutdownTimeout},
	} {
		if t.d < 0 {
			return fmt.Errorf("api: %s timeout %v is not positive", t.name, t.d)
		}
	}
	if c.WriteTimeout <= c.RequestTimeout {
		return fmt.Errorf("api: write timeout %v does not exceed request timeout %v", c.WriteTimeout, c.RequestTimeout)
	}
	return nil
}

func validateOrigin(o string) error {
	if o == "*" {
		return nil
	}
	u, err := url.Parse(o)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Scheme+"://"+u.Host != o {
		return fmt.Errorf(`api: allowed origin %q is not scheme://host[:port] or "*"`, o)
	}
	return nil
}

// isLoopback tells whether only this machine can reach host. Names other than localhost are not looked up: they count as
// reachable.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

package api

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"wavryhost/session/api/auth"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/handover"
)

const (
	defaultListen = "127.0.0.1:8470"
	// defaultMaxBody is ten times the offer of a browser that lists every codec it knows (about 7 kB).
	defaultMaxBody = 64 << 10
	// minTokenLength makes a token too long to be guessed over the network.
	minTokenLength = 16
)

// The values of Config.AnonymousRole.
const (
	AnonymousNone   = "none"
	AnonymousViewer = string(grant.Viewer)
)

// Config configures a Server. Zero fields take the defaults that are named here.
type Config struct {
	// Listen is host:port. It defaults to 127.0.0.1:8470. An address that is not loopback requires TLS and a
	// credential.
	Listen string
	// TLSCert and TLSKey are PEM files; both or none. They are read again when they change.
	TLSCert, TLSKey string
	// Token is the operator's bearer token.
	Token string
	// OwnToken is the operator's bearer token as long as no other credential is configured. Without either, the server
	// admits no operator.
	OwnToken string
	// AnonymousRole is the role of clients without a credential: AnonymousNone, the default, or AnonymousViewer, which
	// requires a loopback address in Listen.
	AnonymousRole string
	// TokensFile has further tokens, hashed, with names and roles. It is read again when it changes.
	TokensFile string
	// Grants verifies signed grants; nil accepts none. The caller calls its Run.
	Grants *grant.Verifier
	// RevocationsFile keeps revocations over a restart; empty for none. It is not used without Grants.
	RevocationsFile string
	// TLSClientAuth says whether clients may, or must, show a certificate of the authorities in TLSClientCA, a PEM
	// file. It defaults to off. TLSClientRole is the role of such clients; it defaults to viewer.
	TLSClientAuth, TLSClientCA, TLSClientRole string
	// TLSClientRevoked is a file with the lists of certificates that the authorities have revoked; it may be empty.
	// Both files are read again when they change.
	TLSClientRevoked string
	// TLSClientRules give roles to certificates. The first rule that matches replaces TLSClientRole.
	TLSClientRules []auth.ClientRule
	// Audit receives a line of JSON for each request that asks for a change; nil for none. There is one write at a
	// time.
	Audit io.Writer
	// TrustedProxies are the networks of reverse proxies that are trusted to name their clients, by ProxyHeader:
	// edge.ProxyXForwardedFor, the default, edge.ProxyForwarded, or edge.ProxyProtocol (versions 1 and 2), with which
	// each of their connections must begin. Limits, lockouts, the networks of grants and the audit log apply to the
	// client.
	TrustedProxies []netip.Prefix
	ProxyHeader    string
	// AllowedHosts are further names of the server. The loopback names, the host in Listen and the names in the
	// certificate are always allowed. A request with another Host header is refused, which defeats DNS rebinding.
	AllowedHosts []string
	// AllowedOrigins are the web origins ("https://example.net") whose pages may use the API, in addition to the
	// server's own; "*" allows all.
	AllowedOrigins []string
	// MaxBody bounds the body of a request, in bytes. It defaults to 65536.
	MaxBody int64
	// MaxConnections bounds the open connections. It defaults to 256. MaxConnectionsPerAddress bounds the connections
	// of one address, or IPv6 /64, except this machine. It defaults to 64.
	MaxConnections, MaxConnectionsPerAddress int
	Limits                                   edge.Limits
	// ID, Name, Platform and Version are shown in GET /v1/host: the permanent ID of the host, its name for people, its
	// system and architecture, and the version of the daemon.
	ID, Name, Platform, Version string
	// SourceURL is the address of the program's source code, for the page and GET /v1/host. Empty shows none.
	SourceURL string
	// RestartPending reports whether an update has replaced the program of the daemon. It may be nil.
	RestartPending func() bool
	// Try requests a trial of the program that is installed, and returns at once. Trial returns the last one, or nil if
	// that program was not tried. Both may be nil.
	Try   func()
	Trial func() *ProgramTrial
	// Listener is the socket of the daemon that this one takes over from; nil to listen on Listen.
	Listener net.Listener
	// Former is the daemon that this one takes over from; nil without one. Changing reports whether the daemon is being
	// replaced, or has not taken over yet: requests for a change of the host are refused then. It may be nil.
	Former   *handover.Former
	Changing func() bool
	// HandOver starts the program that is installed and leaves the host to it, and returns at once; the remaining
	// sessions end after the time, unless that is zero. Handover returns how far it has come, or nil before the first
	// one. Both may be nil.
	HandOver func(within time.Duration)
	Handover func() *Handover
	// SelfProbe requests a self-probe, and returns at once. LastProbe returns the last one, or nil before the first one.
	// Both may be nil.
	SelfProbe func()
	LastProbe func() *SelfProbe
	// PageURL returns the address of the viewer page; empty before the server listens. It may be nil.
	PageURL func() string
	// Labels are the operator's labels of the host, such as region and pool.
	Labels map[string]string
	// BootID identifies this run of the daemon. It defaults to a random text.
	BootID string
	// Fleet returns what GET /v1/host shows of the host's place in a fleet; nil if it has none. It may be nil.
	Fleet func() *FleetLink
	// Gateway returns what GET /v1/host shows of the link to a gateway. It is nil if there is no link.
	Gateway func() GatewayLink
	// Reload reads the daemon's configuration again. With a time to confirm, the change is reverted unless Confirm is
	// called in time. The errors are ErrBadConfiguration, and for Confirm ErrNothingToConfirm.
	Reload  func(confirm time.Duration) (Reloaded, error)
	Confirm func() error
	// Probe requests a new trial of all encoders, and returns at once. It is nil if there are none to try.
	Probe func()

	// ReadHeaderTimeout bounds the time to read the header of a request, ReadTimeout that for header and body. They
	// default to 5 s and 10 s.
	ReadHeaderTimeout, ReadTimeout time.Duration
	// RequestTimeout bounds the work for a request, such as opening a session. It defaults to 15 s.
	RequestTimeout time.Duration
	// WriteTimeout bounds the time from the end of a request's header to the last byte of its answer. It defaults to
	// 30 s and must exceed RequestTimeout.
	WriteTimeout time.Duration
	// IdleTimeout closes connections without requests. It defaults to 60 s.
	IdleTimeout time.Duration
	// ShutdownTimeout is how long Run waits at its end for the requests in progress. It defaults to 5 s.
	ShutdownTimeout time.Duration

	// Ready, if set, is called once by Run, with the address, as soon as connections are accepted.
	Ready func(net.Addr)
}

func (c Config) withDefaults() Config {
	if c.BootID == "" {
		c.BootID = rand.Text()
	}
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
	c.Limits = c.Limits.WithDefaults()
	if c.ProxyHeader == "" {
		c.ProxyHeader = edge.ProxyXForwardedFor
	}
	if c.TLSClientRole == "" {
		c.TLSClientRole = string(grant.Viewer)
	}
	if c.Reload == nil {
		c.Reload = func(time.Duration) (Reloaded, error) {
			return Reloaded{}, fmt.Errorf("%w: this daemon reads none", ErrBadConfiguration)
		}
	}
	if c.Confirm == nil {
		c.Confirm = func() error { return ErrNothingToConfirm }
	}
	if c.SelfProbe == nil {
		c.SelfProbe = func() {}
	}
	if c.HandOver == nil {
		c.HandOver = func(time.Duration) {}
	}
	if c.Changing == nil {
		c.Changing = func() bool { return false }
	}
	if c.Try == nil {
		c.Try = func() {}
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

// auth returns the part of c that says which credentials are accepted.
func (c Config) auth() auth.Config {
	return auth.Config{
		TokensFile: c.TokensFile, Grants: c.Grants, RevocationsFile: c.RevocationsFile,
		ClientAuth: c.TLSClientAuth, ClientCA: c.TLSClientCA, ClientRevoked: c.TLSClientRevoked,
		ClientRole: grant.Role(c.TLSClientRole), ClientRules: c.TLSClientRules,
	}
}

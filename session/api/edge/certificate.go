package edge

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"wavryhost/session/api/custody"
	"wavryhost/session/api/watched"
)

// maxPair bounds the files of a certificate and its key, in bytes.
const maxPair = 1 << 20

// Certificate is the server's TLS certificate. It is read again when its files change.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	expires           func(time.Time)

	mu      sync.Mutex // guards all following fields
	current *tls.Certificate
	files   watched.Files
}

// NewCertificate reads a certificate and its key. It calls expires with the end of each certificate that it reads.
func NewCertificate(certFile, keyFile string, log *slog.Logger, expires func(time.Time)) (*Certificate, error) {
	c := &Certificate{
		certFile: certFile, keyFile: keyFile, log: log, expires: expires, files: watched.New(certFile, keyFile),
	}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return c, nil
}

// Config returns the TLS configuration of the server. If clients is not nil, it adds the request for client
// certificates to the configuration of each handshake.
func (c *Certificate) Config(clients func(*tls.Config) *tls.Config) *tls.Config {
	base := &tls.Config{
		MinVersion: tls.VersionTLS13,
		// net/http sets these on the server's configuration, but not on that of a single handshake.
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.Current(), nil
		},
	}
	if clients == nil {
		return base
	}
	own := base.Clone()
	own.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return clients(base), nil }
	return own
}

// Current returns the certificate in the files, or the last valid one while the files are not valid.
func (c *Certificate) Current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.files.Changed(time.Now()) {
		return c.current
	}
	if err := c.load(); err != nil {
		c.log.Warn("tls certificate not reloaded; the old one stays in use", "err", err)
		return c.current
	}
	c.log.Info("tls certificate reloaded", "file", c.certFile, "expires", c.current.Leaf.NotAfter)
	return c.current
}

// load reads both files, or changes nothing.
func (c *Certificate) load() error {
	text, warning, err := custody.Read(c.keyFile, maxPair, custody.Secret)
	if err != nil {
		return fmt.Errorf("load key of TLS certificate: %w", err)
	}
	custody.Warn(c.log, warning)
	chain, warning, err := custody.Read(c.certFile, maxPair, custody.Decisive)
	if err != nil {
		return fmt.Errorf("load TLS certificate: %w", err)
	}
	custody.Warn(c.log, warning)
	pair, err := tls.X509KeyPair(chain, text)
	if err != nil {
		return fmt.Errorf("load TLS certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current = &pair
	c.expires(pair.Leaf.NotAfter)
	return nil
}

// Valid reports whether the certificate is valid for a host name.
func (c *Certificate) Valid(host string) bool {
	return c.Current().Leaf.VerifyHostname(host) == nil
}

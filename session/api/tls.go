package api

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

// certificate is a certificate that follows its files.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	metrics           *Metrics // nil counts nothing
	clients           *clients // nil asks for no certificates of theirs

	mu      sync.Mutex // guards all following fields
	current *tls.Certificate
	files   watched.Files
}

func newCertificate(certFile, keyFile string, log *slog.Logger, m *Metrics) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, metrics: m, files: watched.New(certFile, keyFile)}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return c, nil
}

func (c *certificate) config() *tls.Config {
	base := &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The server's own for HTTP, which the configuration of a single handshake has to have too.
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.get(), nil
		},
	}
	if c.clients == nil {
		return base
	}
	own := base.Clone()
	own.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.clients.config(base), nil }
	return own
}

// get returns the certificate in the files, or the last good one while they hold none.
func (c *certificate) get() *tls.Certificate {
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

// load takes the files' content, or nothing of it.
func (c *certificate) load() error {
	text, warning, err := custody.Read(c.keyFile, maxPair, custody.Secret)
	if err != nil {
		return fmt.Errorf("load key of TLS certificate: %w", err)
	}
	warn(c.log, warning)
	chain, warning, err := custody.Read(c.certFile, maxPair, custody.Decisive)
	if err != nil {
		return fmt.Errorf("load TLS certificate: %w", err)
	}
	warn(c.log, warning)
	pair, err := tls.X509KeyPair(chain, text)
	if err != nil {
		return fmt.Errorf("load TLS certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current = &pair
	if c.metrics != nil {
		c.metrics.certificateEnd.Set(float64(pair.Leaf.NotAfter.Unix()))
	}
	return nil
}

// names tells whether the certificate is good for host.
func (c *certificate) names(host string) bool {
	return c.get().Leaf.VerifyHostname(host) == nil
}

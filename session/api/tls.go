package api

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// recheck is how often the certificate's files are looked at: at most once in a second of handshakes.
const recheck = time.Second

// certificate is a certificate that follows its files.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	authorities       *x509.CertPool // of clients; nil asks for none
	clients           tls.ClientAuthType

	mu      sync.Mutex // guards all following fields
	current *tls.Certificate
	stamp   stamp
	next    time.Time // when the files are looked at again
}

// stamp tells one state of the two files from another.
type stamp struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	st, err := c.look()
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if err := c.load(st); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return c, nil
}

// The values of Config.TLSClientAuth.
const (
	ClientAuthOff      = "off"
	ClientAuthOptional = "optional"
	ClientAuthRequired = "required"
)

// ask makes the server ask clients for certificates of the authorities in a PEM file.
func (c *certificate) ask(authorities, how string) error {
	if how == "" || how == ClientAuthOff {
		return nil
	}
	text, err := os.ReadFile(authorities)
	if err != nil {
		return fmt.Errorf("api: read the authorities of client certificates: %w", err)
	}
	c.authorities = x509.NewCertPool()
	if !c.authorities.AppendCertsFromPEM(text) {
		return fmt.Errorf("api: %s holds no certificate of an authority", authorities)
	}
	c.clients = tls.VerifyClientCertIfGiven
	if how == ClientAuthRequired {
		c.clients = tls.RequireAndVerifyClientCert
	}
	return nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		ClientAuth: c.clients, ClientCAs: c.authorities,
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.get(), nil
		},
	}
}

// get returns the certificate in the files, or the last good one while they hold none.
func (c *certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Before(c.next) {
		return c.current
	}
	c.next = now.Add(recheck)
	st, err := c.look()
	if err == nil && st == c.stamp {
		return c.current
	}
	if err == nil {
		err = c.load(st)
	}
	if err != nil {
		c.log.Warn("tls certificate not reloaded; the old one stays in use", "err", err)
		return c.current
	}
	c.log.Info("tls certificate reloaded", "file", c.certFile, "expires", c.current.Leaf.NotAfter)
	return c.current
}

func (c *certificate) look() (stamp, error) {
	cert, err := os.Stat(c.certFile)
	if err != nil {
		return stamp{}, fmt.Errorf("look at TLS certificate: %w", err)
	}
	key, err := os.Stat(c.keyFile)
	if err != nil {
		return stamp{}, fmt.Errorf("look at TLS key: %w", err)
	}
	return stamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}

// load takes the files' content in state st. The state counts as seen even when it is broken, so that each broken state is
// logged once.
func (c *certificate) load(st stamp) error {
	c.stamp = st
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load TLS certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current = &pair
	return nil
}

// names tells whether the certificate is good for host.
func (c *certificate) names(host string) bool {
	return c.get().Leaf.VerifyHostname(host) == nil
}

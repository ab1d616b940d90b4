package api

import (
	"crypto/tls"
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
	clients           *clients // nil asks for no certificates of theirs

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

package auth

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/custody"
	"wavryhost/session/api/watched"
)

// maxAuthorities bounds the files of authorities and of revoked certificates, in bytes: about 50,000 revoked
// certificates.
const maxAuthorities = 4 << 20

// clients verifies client certificates: it has the authorities that issue them, and the certificates that these have
// revoked. Both are read again when their files change.
type clients struct {
	authoritiesFile, revokedFile string // revokedFile is empty for none
	request                      tls.ClientAuthType
	log                          *slog.Logger

	mu      sync.Mutex // guards all following fields
	pool    *x509.CertPool
	known   map[string]bool // the authorities in pool, in DER
	revoked map[serial]bool
	files   watched.Files
}

// serial identifies a certificate.
type serial struct{ issuer, number string }

func newClients(authoritiesFile, revokedFile, clientAuth string, log *slog.Logger) (*clients, error) {
	c := &clients{
		authoritiesFile: authoritiesFile, revokedFile: revokedFile, request: tls.VerifyClientCertIfGiven, log: log,
	}
	if clientAuth == ClientAuthRequired {
		c.request = tls.RequireAndVerifyClientCert
	}
	c.files = watched.New(authoritiesFile, revokedFile)
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("api: client certificates: %w", err)
	}
	return c, nil
}

// config returns the configuration of one handshake: base with the request for a client certificate.
func (c *clients) config(base *tls.Config) *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow(time.Now())
	own := base.Clone()
	own.ClientAuth, own.ClientCAs = c.request, c.pool
	// A session ticket would admit a client whose certificate has been revoked since.
	own.SessionTicketsDisabled = true
	own.VerifyConnection = func(st tls.ConnectionState) error {
		if len(st.VerifiedChains) == 0 {
			return nil
		}
		_, err := c.valid(st.VerifiedChains[0], time.Now())
		return err
	}
	return own
}

// valid reports whether a chain that was verified at a handshake is still valid: connections live longer than
// certificates. If not, it returns the reason for which the sessions end that it opened, and an error for the client.
func (c *clients) valid(chain []*x509.Certificate, now time.Time) (session.EndReason, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow(now)
	last := len(chain) - 1
	if !c.known[string(chain[last].Raw)] {
		return session.EndRevoked, invalid("the certificate's authority is no longer accepted")
	}
	for i, cert := range chain {
		switch {
		case now.After(cert.NotAfter):
			return session.EndExpired, invalid("the certificate has expired")
		case i < last && c.revoked[serial{string(cert.RawIssuer), cert.SerialNumber.String()}]:
			return session.EndRevoked, invalid("the certificate was revoked")
		}
	}
	return 0, nil
}

// follow reads the files again if they have changed. If they are not valid, the old content stays in use. The caller
// holds mu.
func (c *clients) follow(now time.Time) {
	if !c.files.Changed(now) {
		return
	}
	if err := c.load(); err != nil {
		c.log.Warn("authorities of client certificates not reloaded; the old ones stay in use", "err", err)
		return
	}
	c.log.Info("authorities of client certificates reloaded", "authorities", len(c.known), "revoked", len(c.revoked))
}

// load reads both files, or changes nothing.
func (c *clients) load() error {
	authorities, err := readCertificates(c.authoritiesFile)
	if err != nil {
		return err
	}
	pool, known := x509.NewCertPool(), make(map[string]bool)
	for _, a := range authorities {
		pool.AddCert(a)
		known[string(a.Raw)] = true
	}
	revoked := make(map[serial]bool)
	if c.revokedFile != "" {
		if err := c.readRevoked(authorities, revoked); err != nil {
			return fmt.Errorf("%s: %w", c.revokedFile, err)
		}
	}
	c.pool, c.known, c.revoked = pool, known, revoked
	return nil
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	text, err := readBounded(path, maxAuthorities)
	if err != nil {
		return nil, err
	}
	var list []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s holds no certificate of an authority", path)
	}
	return list, nil
}

// readRevoked reads the lists of revoked certificates (RFC 5280 section 5): any number in PEM, or one in DER. One of
// the authorities must have signed each list.
func (c *clients) readRevoked(authorities []*x509.Certificate, into map[serial]bool) error {
	text, err := readBounded(c.revokedFile, maxAuthorities)
	if err != nil {
		return err
	}
	var lists [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "X509 CRL" {
			lists = append(lists, block.Bytes)
		}
	}
	if len(lists) == 0 {
		lists = [][]byte{text}
	}
	for _, der := range lists {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return fmt.Errorf("it is not a list of revoked certificates: %w", err)
		}
		signed := false
		for _, a := range authorities {
			signed = signed || bytes.Equal(a.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(a) == nil
		}
		if !signed {
			return fmt.Errorf("none of the authorities in %s has signed the list of %q", c.authoritiesFile, list.Issuer)
		}
		if !list.NextUpdate.IsZero() && time.Now().After(list.NextUpdate) {
			c.log.Warn("a list of revoked certificates is out of date, and stays in use",
				"issuer", list.Issuer.String(), "next_update", list.NextUpdate)
		}
		for _, e := range list.RevokedCertificateEntries {
			into[serial{string(list.RawIssuer), e.SerialNumber.String()}] = true
		}
	}
	return nil
}

// readBounded reads a file of at most so many bytes, which other users must not be able to change.
func readBounded(path string, most int64) ([]byte, error) {
	text, _, err := custody.Read(path, most, custody.Decisive)
	if err != nil && !errors.Is(err, custody.ErrExposed) && !errors.Is(err, custody.ErrLarge) {
		err = fmt.Errorf("read %s: %w", path, err)
	}
	return text, err
}

package api

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

// The values of Config.TLSClientAuth.
const (
	ClientAuthOff      = "off"
	ClientAuthOptional = "optional"
	ClientAuthRequired = "required"
)

// maxAuthorities bounds the files of authorities and of what they revoked, in bytes: some 50,000 revoked certificates.
const maxAuthorities = 4 << 20

// clients are the authorities that clients' certificates come from, and the certificates that these have revoked. They follow their files.
type clients struct {
	authoritiesFile, revokedFile string // revokedFile is empty for none
	ask                          tls.ClientAuthType
	log                          *slog.Logger

	mu      sync.Mutex // guards all following fields
	pool    *x509.CertPool
	known   map[string]bool // the authorities in pool, as they are encoded
	revoked map[serial]bool
	files   watched.Files
}

// serial names a certificate.
type serial struct{ issuer, number string }

func newClients(authoritiesFile, revokedFile, how string, log *slog.Logger) (*clients, error) {
	c := &clients{authoritiesFile: authoritiesFile, revokedFile: revokedFile, ask: tls.VerifyClientCertIfGiven, log: log}
	if how == ClientAuthRequired {
		c.ask = tls.RequireAndVerifyClientCert
	}
	c.files = watched.New(authoritiesFile, revokedFile)
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("api: client certificates: %w", err)
	}
	return c, nil
}

// config returns what a TLS server asks clients for. It goes for one handshake.
func (c *clients) config(base *tls.Config) *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow(time.Now())
	own := base.Clone()
	own.ClientAuth, own.ClientCAs = c.ask, c.pool
	// A ticket would let in who showed a certificate earlier, whatever has become of it.
	own.SessionTicketsDisabled = true
	own.VerifyConnection = func(st tls.ConnectionState) error {
		if len(st.VerifiedChains) == 0 {
			return nil
		}
		_, err := c.stands(st.VerifiedChains[0], time.Now())
		return err
	}
	return own
}

// stands tells whether a chain that was verified at a handshake still is good: connections live longer than certificates. Else it tells why a session
// ends that was opened by it, and why it is refused.
func (c *clients) stands(chain []*x509.Certificate, now time.Time) (session.EndReason, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow(now)
	last := len(chain) - 1
	if !c.known[string(chain[last].Raw)] {
		return session.EndRevoked, invalid("the certificate's authority is no longer taken")
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

// follow reads the files again when they have changed. Broken ones leave the old ones in use. The caller holds mu.
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

// load takes in the files' content, or nothing of it.
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

// readRevoked reads the lists of revoked certificates (RFC 5280 section 5), in PEM or one in DER, each of which one of the authorities has to have signed.
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
			return fmt.Errorf("it is no list of revoked certificates: %w", err)
		}
		signed := false
		for _, a := range authorities {
			signed = signed || bytes.Equal(a.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(a) == nil
		}
		if !signed {
			return fmt.Errorf("the list of %q is signed by none of the authorities in %s", list.Issuer, c.authoritiesFile)
		}
		if !list.NextUpdate.IsZero() && time.Now().After(list.NextUpdate) {
			c.log.Warn("a list of revoked certificates is out of date, and used all the same", "issuer", list.Issuer.String(), "next_update", list.NextUpdate)
		}
		for _, e := range list.RevokedCertificateEntries {
			into[serial{string(list.RawIssuer), e.SerialNumber.String()}] = true
		}
	}
	return nil
}

// readBounded reads a file of at most so many bytes, which others must not be able to change.
func readBounded(path string, most int64) ([]byte, error) {
	text, _, err := custody.Read(path, most, custody.Decisive)
	if err != nil && !errors.Is(err, custody.ErrExposed) && !errors.Is(err, custody.ErrLarge) {
		err = fmt.Errorf("read %s: %w", path, err)
	}
	return text, err
}

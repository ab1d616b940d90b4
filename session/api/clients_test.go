package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/session/api/auth"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// client issues a certificate with that serial number.
func (a *authority) client(t *testing.T, name string, number int64) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// revoke makes a list of revoked certificates.
func (a *authority) revoke(t *testing.T, numbers ...int64) []byte {
	t.Helper()
	list := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour),
		NextUpdate: time.Now().Add(-time.Minute),
	}
	for _, n := range numbers {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// certified is a server that requests client certificates.
type certified struct {
	*Server
	addr        string
	ca, revoked string
}

// newCertified starts a certified server.
func newCertified(t *testing.T, how string, ours *authority) *certified {
	t.Helper()
	c, cfg := certify(t, how, ours)
	c.Server, c.addr, _ = start(t, cfg, healthy())
	return c
}

// certify writes the files of a certified server, and returns its configuration.
func certify(t *testing.T, how string, ours *authority) (*certified, Config) {
	t.Helper()
	dir := t.TempDir()
	c := &certified{ca: filepath.Join(dir, "ca.pem"), revoked: filepath.Join(dir, "crl")}
	c.write(t, c.ca, ours.pem)
	c.write(t, c.revoked, ours.revoke(t))
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writePair(t, cert, key, "host.example")
	return c, Config{
		Token: token, TLSCert: cert, TLSKey: key, TLSClientCA: c.ca, TLSClientRevoked: c.revoked,
		TLSClientAuth: how, TLSClientRole: "metrics",
	}
}

// write replaces a file, and makes the server read it.
func (c *certified) write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if c.Server == nil {
		return
	}
	c.auth.Reread()
}

// certifiedClient connects with certificates.
func certifiedClient(t *testing.T, certs ...tls.Certificate) *http.Client {
	//nolint:gosec // who the server is does not matter here
	c := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, Certificates: certs, ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// ask returns the status of the answer; 0 without an answer.
func (c *certified) ask(t *testing.T, by *http.Client, path, token string, more ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+c.addr+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	resp, err := by.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestClientCertificates(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	for _, how := range []string{auth.ClientAuthOptional, auth.ClientAuthRequired} {
		c := newCertified(t, how, ours)
		mine := certifiedClient(t, ours.client(t, "gateway", 2))
		if got := c.ask(t, mine, "/v1/host", ""); got != http.StatusOK {
			t.Errorf("%s: with a certificate: %d", how, got)
		}
		if got := c.ask(t, mine, "/v1/sessions", ""); got != http.StatusForbidden {
			t.Errorf("%s: beyond its role: %d", how, got)
		}
		if got := c.ask(t, mine, "/v1/sessions", token); got != http.StatusOK {
			t.Errorf("%s: a token goes before the certificate: %d", how, got)
		}
		if got := c.ask(t, certifiedClient(t, theirs.client(t, "gateway", 2)), "/v1/host", ""); got != 0 &&
			got != http.StatusUnauthorized {
			t.Errorf("%s: with another authority's certificate: %d", how, got)
		}
		want := http.StatusUnauthorized
		if how == auth.ClientAuthRequired {
			want = 0
		}
		if got := c.ask(t, certifiedClient(t), "/v1/host", ""); got != want {
			t.Errorf("%s: without one: %d; want %d", how, got, want)
		}
	}
}

// Expiry and revocation of a certificate, and removal of its authority, also affect open and resumed connections.
func TestClientCertificatesFollowTheirFiles(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	c := newCertified(t, auth.ClientAuthRequired, ours)
	first, second := certifiedClient(t, ours.client(t, "first", 2)), certifiedClient(t, ours.client(t, "second", 3))
	stranger := certifiedClient(t, theirs.client(t, "stranger", 2))
	check := func(when string, want ...int) {
		t.Helper()
		for i, by := range []*http.Client{first, second, stranger} {
			if got := c.ask(t, by, "/v1/host", ""); got != want[i] {
				t.Errorf("%s, client %d: %d; want %d", when, i, got, want[i])
			}
		}
	}
	check("at first", 200, 200, 0)
	c.write(t, c.revoked, ours.revoke(t, 2))
	check("with one revoked", 401, 200, 0)
	first.CloseIdleConnections()
	check("with one revoked, anew", 0, 200, 0)
	for _, broken := range [][]byte{
		nil, []byte("nothing"), theirs.revoke(t),
		pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("x")}),
	} {
		c.write(t, c.revoked, broken)
		check(fmt.Sprintf("with a broken list %.20q", broken), 0, 200, 0)
	}
	c.write(t, c.revoked, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: ours.revoke(t, 9)}))
	check("with it taken back", 200, 200, 0)
	c.write(t, c.ca, slices.Concat(ours.pem, theirs.pem))
	check("with another authority", 200, 200, 200)
	for _, broken := range [][]byte{nil, []byte("nothing"), pem.EncodeToMemory(&pem.Block{
		Type:  "CERTIFICATE",
		Bytes: []byte("x"),
	}), make([]byte, 4<<20+1)} {
		c.write(t, c.ca, broken)
		check(fmt.Sprintf("with a broken file %.20q", broken), 200, 200, 200)
	}
	c.write(t, c.revoked, theirs.revoke(t, 9))
	c.write(t, c.ca, theirs.pem)
	check("without the first authority", 401, 401, 200)
	first.CloseIdleConnections()
	check("without the first authority, anew", 0, 401, 200)
}

// A browser shows its certificate to any page's requests. A page that is allowed because all origins are must not act
// with it.
func TestPagesDoNotBorrowCertificates(t *testing.T) {
	ours := newAuthority(t)
	c := newCertified(t, auth.ClientAuthOptional, ours)
	apply, err := c.Prepare(Config{Token: token, AllowedOrigins: []string{"*", "https://ours.example"}})
	if err != nil {
		t.Fatal(err)
	}
	apply()
	mine := certifiedClient(t, ours.client(t, "ann", 2))
	for origin, want := range map[string]int{
		"": 200, "https://" + c.addr: 200, "https://ours.example": 200, "https://evil.example": 401, "null": 401,
	} {
		var header []string
		if origin != "" {
			header = []string{"Origin", origin}
		}
		if got := c.ask(t, mine, "/v1/host", "", header...); got != want {
			t.Errorf("a page of %q: %d; want %d", origin, got, want)
		}
		if got := c.ask(t, mine, "/v1/host", token, header...); got != http.StatusOK {
			t.Errorf("a page of %q with the token: %d", origin, got)
		}
	}
}

func TestClientCertificateSettings(t *testing.T) {
	dir := t.TempDir()
	ca, bad := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "bad.pem")
	for path, content := range map[string][]byte{ca: newAuthority(t).pem, bad: []byte("nothing")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []Config{
		{TLSClientAuth: "maybe"},
		{TLSClientAuth: auth.ClientAuthRequired},
		{TLSClientAuth: auth.ClientAuthRequired, TLSCert: "a", TLSKey: "b"},
		{TLSClientAuth: auth.ClientAuthRequired, TLSCert: "a", TLSKey: "b", TLSClientCA: ca, TLSClientRole: "root"},
	} {
		if err := c.Validate(); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	public := Config{
		Listen: "0.0.0.0:1", TLSCert: "a", TLSKey: "b", TLSClientCA: ca,
		TLSClientAuth: auth.ClientAuthOptional,
	}
	if err := public.Validate(); err == nil || !strings.Contains(err.Error(), "required client certificates") {
		t.Errorf("a public address whose only way in is optional: %v", err)
	}
	public.TLSClientAuth = auth.ClientAuthRequired
	if err := public.Validate(); err != nil {
		t.Errorf("a public address with required certificates: %v", err)
	}
	public.TLSClientAuth, public.Token = auth.ClientAuthOptional, token
	if err := public.Validate(); err != nil {
		t.Errorf("a public address with a token and optional certificates: %v", err)
	}
	for _, files := range [][2]string{{bad, ""}, {ca, bad}, {ca + "x", ""}, {ca, ca + "x"}} {
		cfg := auth.Config{ClientAuth: auth.ClientAuthRequired, ClientCA: files[0], ClientRevoked: files[1]}
		if _, err := auth.New(cfg, auth.Environment{}, nil, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%v are taken", files)
		}
	}
}

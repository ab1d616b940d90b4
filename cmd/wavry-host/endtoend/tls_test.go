//go:build integration

package endtoend

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sslscan returns sslscan's findings on a server's TLS.
func sslscan(t *testing.T, address, name string) (faults []string) {
	t.Helper()
	need(t, "sslscan")
	cmd := exec.CommandContext(t.Context(), "sslscan", "--xml=-", "--no-colour", "--sni-name="+name, address)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sslscan: %v\n%s", err, out)
	}
	// Text for people may precede the document.
	out = out[max(bytes.Index(out, []byte("<?xml")), 0):]
	var document struct {
		Test struct {
			Protocols []struct {
				Type    string `xml:"type,attr"`
				Version string `xml:"version,attr"`
				Enabled bool   `xml:"enabled,attr"`
			} `xml:"protocol"`
			Ciphers []struct {
				Name     string `xml:"cipher,attr"`
				Version  string `xml:"sslversion,attr"`
				Strength string `xml:"strength,attr"`
				Bits     int    `xml:"bits,attr"`
			} `xml:"cipher"`
			Renegotiation struct {
				Supported bool `xml:"supported,attr"`
				Secure    bool `xml:"secure,attr"`
			} `xml:"renegotiation"`
			Compression struct {
				Supported bool `xml:"supported,attr"`
			} `xml:"compression"`
			Heartbleed []struct {
				Vulnerable bool `xml:"vulnerable,attr"`
			} `xml:"heartbleed"`
			Certificates []struct {
				Subject string `xml:"subject"`
				Expired bool   `xml:"expired"`
				Key     struct {
					Error bool `xml:"error,attr"`
				} `xml:"pk"`
				Algorithm string `xml:"signature-algorithm"`
			} `xml:"certificates>certificate"`
		} `xml:"ssltest"`
	}
	if err := xml.Unmarshal(out, &document); err != nil {
		t.Fatalf("sslscan: %v\n%s", err, out)
	}
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	d := document.Test
	if len(d.Protocols) == 0 || len(d.Ciphers) == 0 || len(d.Certificates) == 0 {
		t.Fatalf("sslscan found no TLS:\n%s", out)
	}
	for _, p := range d.Protocols {
		if p.Enabled && (p.Type != "tls" || p.Version != "1.2" && p.Version != "1.3") {
			fault("protocol %s %s", p.Type, p.Version)
		}
	}
	for _, c := range d.Ciphers {
		if c.Strength != "strong" && c.Strength != "acceptable" || c.Bits < 128 {
			fault("%s cipher %s of %s, %d bits", c.Strength, c.Name, c.Version, c.Bits)
		}
	}
	if d.Renegotiation.Supported && !d.Renegotiation.Secure {
		fault("renegotiation that is not secure")
	}
	if d.Compression.Supported {
		fault("compression")
	}
	for _, h := range d.Heartbleed {
		if h.Vulnerable {
			fault("heartbleed")
		}
	}
	for _, c := range d.Certificates {
		weak := strings.Contains(c.Algorithm, "sha1") || strings.Contains(c.Algorithm, "md5")
		if c.Expired || c.Key.Error || weak || c.Subject != name {
			fault("certificate of %s, by %s, expired %v, weak key %v", c.Subject, c.Algorithm, c.Expired, c.Key.Error)
		}
	}
	return faults
}

// authority writes a certificate issued by an intermediate authority, its key, and the root certificate.
func authority(t *testing.T, name string) (cert, key, root string) {
	t.Helper()
	dir := t.TempDir()
	write := func(file, kind string, all ...[]byte) string {
		var text []byte
		for _, der := range all {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
		}
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var signer *ecdsa.PrivateKey
	var parent *x509.Certificate
	var chain [][]byte // the root first
	for i, subject := range []string{"root", "intermediate", name} {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: subject},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		if subject == name {
			template.IsCA, template.KeyUsage = false, x509.KeyUsageDigitalSignature
			template.DNSNames, template.ExtKeyUsage = []string{name}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
		if signer == nil {
			signer, parent = own, template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		signer, chain = own, append(chain, der)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	root = write("root.pem", "CERTIFICATE", chain[0])
	slices.Reverse(chain)
	return write("cert.pem", "CERTIFICATE", chain[:2]...), write("key.pem", "PRIVATE KEY", private), root
}

// sslscan finds no fault in the daemon's TLS, and OpenSSL verifies the chain over HTTP/2 and HTTP/1.1.
func TestTLSOfTheListener(t *testing.T) {
	t.Parallel()
	const name = "host7.example.net"
	cert, key, root := authority(t, name)
	const token = "for-this-test-and-no-other"
	h := startHost(t, hostOptions{
		token: token, env: []string{"WAVRY_HOST_AUTH__TOKEN=" + token}, secure: true,
		args: []string{"--display", "synthetic", "--tls-cert", cert, "--tls-key", key},
	})
	address := strings.TrimPrefix(h.url, "https://")
	for _, fault := range sslscan(t, address, name) {
		t.Errorf("sslscan finds %s", fault)
	}
	need(t, "openssl")
	for _, protocol := range []string{"h2", "http/1.1"} {
		out, err := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", address, "-servername", name,
			"-CAfile", root, "-verify_hostname", name, "-verify_return_error", "-alpn", protocol).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "ALPN protocol: "+protocol) {
			t.Errorf("openssl s_client for %s: %v\n%s", protocol, err, out)
		}
	}
	if status, _, err := h.request(http.MethodGet, "/readyz"); err != nil || status != http.StatusOK {
		t.Errorf("GET /readyz after that: status %d, %v", status, err)
	}
	if strings.Contains(h.out.String(), `"level":"WARN"`) || strings.Contains(h.out.String(), `"level":"ERROR"`) {
		t.Errorf("broken handshakes are told of in the log:\n%s", tail(h.out.String(), 2000))
	}
}

// The check detects a server with old protocols and ciphers.
func TestSSLScanFindsWeakTLS(t *testing.T) {
	t.Parallel()
	weak := httptest.NewUnstartedServer(http.NotFoundHandler())
	weak.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	weak.TLS = &tls.Config{MinVersion: tls.VersionTLS10, CipherSuites: []uint16{
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA,
	}}
	weak.StartTLS()
	defer weak.Close()
	faults := strings.Join(sslscan(t, weak.Listener.Addr().String(), "example.com"), "\n")
	for _, want := range []string{"protocol tls 1.0", "RC4"} {
		if !strings.Contains(faults, want) {
			t.Errorf("sslscan finds %q; want %s among it", faults, want)
		}
	}
}

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair writes a certificate for desk.example.net and its key.
func pair(t *testing.T, end time.Time) (cert, key string) {
	t.Helper()
	const name = "desk.example.net"
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(
			1,
		),
		Subject:   pkix.Name{CommonName: name},
		DNSNames:  []string{name},
		NotBefore: end.Add(-1000 * time.Hour),
		NotAfter:  end,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bytes})))
}

// What cannot start is not right: config check says so, and run ends with the same words and the code after which no
// service manager tries again.
func TestConfigurationThatCannotStart(t *testing.T) {
	cert, key := pair(t, time.Now().Add(1000*time.Hour))
	_, other := pair(t, time.Now().Add(1000*time.Hour))
	broken, folder := write(t, "broken", "nonsense"), t.TempDir()
	gone := filepath.Join(folder, "gone")
	for _, c := range []struct {
		name string
		file string
		want string
	}{
		{"no certificate", "api.tls.cert_file: " + gone + "\napi.tls.key_file: " + key, "api.tls.cert_file: " + gone +
			": stat: no such file or directory"},
		{"no key", "api.tls.cert_file: " + cert + "\napi.tls.key_file: " + gone, "api.tls.key_file: " +
			"" + gone + ": stat: no such file or directory"},
		{"key of another certificate", "api.tls.cert_file: " + cert + "\napi.tls.key_file: " + other, "private " +
			"key does not match"},
		{"broken certificate", "api.tls.cert_file: " + broken + "\napi.tls.key_file: " +
			"" + key, "api.tls.cert_file: " + broken},
		{"no file of tokens", "auth.tokens_file: " + gone, "auth.tokens_file: "},
		{"broken tokens", "auth.tokens_file: " + broken, "auth.tokens_file: "},
		{"no keys of grants", "auth.grants: [{keys: " + gone + ", audience: host7}]", "auth.grants: "},
		{"broken keys of grants", "auth.grants: [{keys: " + broken + ", audience: host7}]", "auth.grants: "},
		{"no authorities", "api.tls.cert_file: " + cert + "\napi.tls.key_file: " +
			"" + key + "\nauth.certificates.mode: required\nauth.certificates.ca_file: " +
			gone, "auth.certificates.ca_file: "},
		{"audit log in no folder", "api.audit_file: " + gone + "/audit.jsonl", "api.audit_file: " + gone +
			"/audit.jsonl cannot be written"},
		{"audit log is a folder", "api.audit_file: " + folder, "api.audit_file: " + folder + " cannot be " +
			"written: it is a folder"},
		{"revocations in no folder", "auth.token: 0123456789abcdef\nauth.revocations_file: " + gone +
			"/r.json\nauth.grants: [{audience: host7, keys: 'https://gw.example/jwks'}]", "auth.revocations_file: "},
		{"no headers for the collector", "tracing.endpoint: http://127.0.0.1:4318\ntracing.headers_file: " +
			gone, "tracing.headers_file: "},
		{"broken headers for the collector", "tracing.endpoint: http://127.0.0.1:4318\ntracing.headers_file: " +
			broken, "line 1 is not of the form Name: value"},
		{
			"no token for the gateway", "gateway.url: wss://gw.example/ws\ngateway.allow: " +
				"[ann]\ngateway.token_file: " + gone,
			"gateway.token_file: ",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, "c.yaml", nested(c.file))
			for _, command := range [][]string{{"config", "check", "--deep"}, {"run", "--display=synthetic"}} {
				got := try(t, nil, append(command, "--config", path, "--listen=127.0.0.1:0")...)
				if got.code != exitConfig || !strings.Contains(got.errout, c.want) ||
					!strings.Contains(got.errout, path+":") ||
					strings.Contains(got.out, "is right") {
					t.Errorf("%v: got %+v; want %q", command, got, c.want)
				}
			}
		})
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("the checks left %v, %v", left, err)
	}
}

func TestConfigurationThatShouldNotStay(t *testing.T) {
	soon, soonKey := pair(t, time.Now().Add(time.Hour))
	old, oldKey := pair(t, time.Now().Add(-time.Hour))
	audit := filepath.Join(t.TempDir(), "audit.jsonl")
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--listen=127.0.0.1:0", "--tls-cert=" + soon, "--tls-key=" + soonKey}, "expires at"},
		{[]string{"--listen=127.0.0.1:0", "--tls-cert=" + old, "--tls-key=" + oldKey}, "has expired"},
		{
			[]string{
				"--listen=127.0.0.1:0", "--tls-cert=" + soon, "--tls-key=" + soonKey,
				"--config=" + write(t, "c.yaml", "auth: {token: 0123456789abcdef}\napi: {hosts: [other.example.net]}"),
			},
			"other.example.net is not among the names of the certificate",
		},
		{[]string{"--listen=" + taken.Addr().String()}, "is in use"},
		{[]string{"--listen=127.0.0.1:0", "--config=" + write(t, "c.yaml", "api: {audit_file: "+audit+"}")}, ""},
	} {
		got := try(t, nil, append([]string{"config", "check", "--deep"}, c.args...)...)
		if got.code != 0 || !strings.Contains(got.errout, c.want) || c.want == "" && got.errout != "" {
			t.Errorf("%v: got %+v; want a warning of %q", c.args, got, c.want)
		}
	}
	if _, err := os.Stat(audit); err == nil {
		t.Error("the check made the audit log, as another user than the daemon's perhaps")
	}
}

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
		{"no certificate", "tls_cert: " + gone + "\ntls_key: " + key, "tls_cert: " + gone +
			": open: no such file or directory"},
		{"no key", "tls_cert: " + cert + "\ntls_key: " + gone, "tls_key: " + gone + ": open: no such file or directory"},
		{"key of another certificate", "tls_cert: " + cert + "\ntls_key: " + other, "private key does not match"},
		{"broken certificate", "tls_cert: " + broken + "\ntls_key: " + key, "tls_cert: " + broken},
		{"no file of tokens", "tokens_file: " + gone, "tokens_file: "},
		{"broken tokens", "tokens_file: " + broken, "tokens_file: "},
		{"no keys of grants", "grant_keys: " + gone + "\ngrant_audience: host7", "grant_keys: "},
		{"broken keys of grants", "grant_keys: " + broken + "\ngrant_audience: host7", "grant_keys: "},
		{"no authorities", "tls_cert: " + cert + "\ntls_key: " + key + "\ntls_client_auth: required\ntls_client_ca: " +
			gone, "tls_client_ca: "},
		{"audit log in no folder", "audit_log: " + gone + "/audit.jsonl", "audit_log: " + gone +
			"/audit.jsonl cannot be written"},
		{"audit log is a folder", "audit_log: " + folder, "audit_log: " + folder + " cannot be written: it is a folder"},
		{"revocations in no folder", "token: 0123456789abcdef\nrevocations_file: " + gone +
			"/r.json\ngrant_audience: host7\ngrant_keys: https://gw.example/jwks", "revocations_file: "},
		{
			"no token for the gateway", "gateway_url: wss://gw.example/ws\ngateway_allow: [ann]\ngateway_token_file: " + gone,
			"gateway_token_file: ",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, "c.yaml", c.file+"\n")
			for _, command := range [][]string{{"config", "check"}, {"run", "--display=synthetic"}} {
				got := try(t, nil, append(command, "--config", path, "--listen=127.0.0.1:0")...)
				if got.code != exitConfig || !strings.Contains(got.errout, c.want) || !strings.Contains(got.errout, path+":") ||
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
				"--listen=127.0.0.1:0", "--tls-cert=" + soon, "--tls-key=" + soonKey, "--token=0123456789abcdef",
				"--allowed-hosts=other.example.net",
			},
			"other.example.net is not among the names of the certificate",
		},
		{[]string{"--listen=" + taken.Addr().String()}, "is in use"},
		{[]string{"--listen=127.0.0.1:0", "--audit-log=" + audit}, ""},
	} {
		got := try(t, nil, append([]string{"config", "check"}, c.args...)...)
		if got.code != 0 || !strings.Contains(got.errout, c.want) || c.want == "" && got.errout != "" {
			t.Errorf("%v: got %+v; want a warning of %q", c.args, got, c.want)
		}
	}
	if _, err := os.Stat(audit); err == nil {
		t.Error("the check made the audit log, as another user than the daemon's perhaps")
	}
}

// Kubernetes sets variables for every service, and one may be called wavry-host.
func TestInjectedVariablesAreNotSettings(t *testing.T) {
	env := []string{
		"WAVRY_HOST_SERVICE_HOST=10.96.0.7",
		"WAVRY_HOST_SERVICE_PORT=8470",
		"WAVRY_HOST_SERVICE_PORT_HTTP=8470",
		"WAVRY_HOST_PORT=tcp://10.96.0.7:8470",
		"WAVRY_HOST_PORT_8470_TCP=tcp://10.96.0.7:8470",
		"WAVRY_HOST_PORT_8470_TCP_PROTO=tcp",
		"WAVRY_HOST_PORT_8470_TCP_PORT=8470",
		"WAVRY_HOST_PORT_8470_TCP_ADDR=10.96.0.7",
		"WAVRY_HOST_METRICS_SERVICE_HOST=10.96.0.8",
		"WAVRY_HOST_METRICS_PORT=tcp://10.96.0.8:9000",
		"WAVRY_HOST_MEDIA_PORT=udp://10.96.0.9:3478", // of a service wavry-host-media: not the setting
		"WAVRY_HOST_FPS=30",
	}
	got := try(t, env, "config", "print")
	if got.code != 0 || !strings.Contains(got.out, "fps: 30 # WAVRY_HOST_FPS") ||
		!strings.Contains(got.out, "media_port: 0 # default") ||
		got.errout != "" {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{
		"WAVRY_HOST_FSP=30", "WAVRY_HOST_MEDIA_PORTS=1-2", "WAVRY_HOST_SERVICE=x",
		"WAVRY_HOST_MEDIA_PORT=x",
	} {
		if got := try(t, []string{bad}, "config", "check"); got.code != exitConfig {
			t.Errorf("%s: got %+v", bad, got)
		}
	}
}

// Ansible and others write YAML 1.1, where off is a boolean.
func TestOffOfYAML11(t *testing.T) {
	for text, want := range map[string]string{
		"input: false": `input: "off"`, "input: off": `input: "off"`, "input: no": `input: "off"`, "tls_client_auth: false": `tls_client_auth: "off"`, //nolint:lll // a raw string
		"anonymous_role: false": "anonymous_role: none", "cursor: false": "cursor: false",
	} {
		got := try(t, nil, "config", "print", "--config", write(t, "c.yaml", text+"\n"))
		if got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("%s: got %+v; want %s", text, got, want)
		}
	}
	for _, text := range []string{"input: true", "prefer: false", "log_level: off"} {
		if got := try(t, nil, "config", "check", "--config", write(t, "c.yaml", text+"\n")); got.code != exitConfig {
			t.Errorf("%s is taken", text)
		}
	}
}

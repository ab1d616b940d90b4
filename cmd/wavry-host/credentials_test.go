package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session/api/auth"
	"wavryhost/session/fleet/bus"
)

// notSecret lists the settings of files that hold no secret, or that the daemon writes.
var notSecret = []string{
	"fleet.outbox_file",
	"api.audit_file", "api.tls.cert_file", "auth.certificates.ca_file", "auth.certificates.crl_file",
	"auth.revocations_file", "fleet.ca_file", "gateway.ca_file", "webhook.outbox_file",
}

// systemd gives a service its credentials as files of mode 0400 in a folder of mode 0500, CREDENTIALS_DIRECTORY, or of
// mode 0440 with an access control list. Each setting of a secret file accepts such a file without a warning.
func TestCredentialsOfSystemd(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode says nothing on Windows")
	}
	cert, key := pair(t, time.Now().Add(1000*time.Hour))
	keyText, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	_, line, err := auth.NewToken("gateway", "operator")
	if err != nil {
		t.Fatal(err)
	}
	_, identity, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	// By setting: the content of the file, and the other settings that it requires. F is the file.
	secrets := map[string][2]string{
		"auth.token_file":  {"0123456789abcdef\n", "auth.token_file: F"},
		"auth.tokens_file": {line + "\n", "auth.tokens_file: F"},
		"api.tls.key_file": {string(keyText), "api.tls.cert_file: " + cert + "\napi.tls.key_file: F"},
		"ice.servers":      {"secret", "ice.servers: [{urls: ['turn:t'], secret_file: F}]\nauth.token: 0123456789abcdef"},
		"webhook.secret_file": {
			"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
			"webhook.url: https://w.example/e\nwebhook.secret_file: F\nwebhook.outbox_file: none",
		},
		"tracing.headers_file": {
			"Authorization: Bearer 0123456789abcdef\n",
			"tracing.endpoint: http://127.0.0.1:4318\ntracing.headers_file: F",
		},
		"gateway.token_file":     {"token", "gateway.url: wss://g.example/ws\ngateway.token_file: F"},
		"gateway.account_file":   {"1234123412341234", "gateway.url: wss://g.example/ws\ngateway.account_file: F"},
		"fleet.credentials_file": {"", "fleet.url: tls://n.example:4222\nfleet.credentials_file: F"},
		"fleet.key_file":         {string(identity), "fleet.url: tls://n.example:4222\nfleet.key_file: F"},
	}
	for _, s := range config.Settings() {
		_, known := secrets[s.Name]
		if strings.HasSuffix(s.Name, "_file") && !known && !slices.Contains(notSecret, s.Name) {
			t.Errorf("%s is neither a secret of this test nor in notSecret", s.Name)
		}
	}
	for name, c := range secrets {
		folder := filepath.Join(t.TempDir(), "credentials")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(c[0]), 0o400); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(folder, 0o500); err != nil { //nolint:gosec // it is a folder
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(folder, 0o700) }) //nolint:gosec // it is a folder
		env := []string{"STATE_DIRECTORY=" + t.TempDir(), "CREDENTIALS_DIRECTORY=" + folder}
		for one := range strings.SplitSeq(strings.ReplaceAll(c[1], ": F", ": "+path), "\n") {
			setting, value, _ := strings.Cut(one, ": ")
			env = append(env, "WAVRY_HOST_"+strings.ToUpper(strings.ReplaceAll(setting, ".", "__"))+"="+value)
		}
		check := func() (string, error) {
			l, err := config.Load(config.Sources{Env: env})
			if err != nil {
				return "", err
			}
			all := &loaded{Loaded: l}
			return strings.Join(all.Warnings, "\n"), all.inspect(env)
		}
		for _, mode := range []os.FileMode{0o400, 0o440} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if warned, err := check(); err != nil || strings.Contains(warned, path) {
				t.Errorf("%s with mode %04o: %v, %q", name, mode, err, warned)
			}
		}
	}
}

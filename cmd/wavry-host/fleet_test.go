package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"wavryhost/cmd/wavry-host/config"

	"github.com/prometheus/client_golang/prometheus"
)

func TestIdentityIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", fleetKeyFile)
	first, err := fleetIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := fleetIdentity(path)
	if err != nil || again.ID() != first.ID() {
		t.Errorf("got %v, %v; want %s", again, err, first.ID())
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v; want 0600", info.Mode(), err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := fleetIdentity(path); err == nil || !strings.Contains(err.Error(), "chmod") {
			t.Errorf("a key that all can read: %v", err)
		}
	}
	bad := filepath.Join(t.TempDir(), "bad.key")
	if err := os.WriteFile(bad, []byte("SAABC"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fleetIdentity(bad); err == nil || strings.Contains(err.Error(), "SAABC") {
		t.Errorf("a file that is no key: %v", err)
	}
}

func TestAddressOfTheFleet(t *testing.T) {
	for _, c := range []struct{ set, listen, want string }{
		{config.Auto, "127.0.0.1:8470", ""},
		{config.Auto, "localhost:8470", ""},
		{config.Auto, "0.0.0.0:8470", "rack-7:8470"},
		{config.Auto, ":8470", "rack-7:8470"},
		{config.Auto, "192.0.2.7:8470", "192.0.2.7:8470"},
		{config.Auto, "192.0.2.7:0", ""},
		{"", "192.0.2.7:8470", ""},
		{"host7.example.net:443", "127.0.0.1:8470", "host7.example.net:443"},
	} {
		got := fleetAddress(&config.Config{API: config.API{Listen: c.listen}, Fleet: config.Fleet{Address: c.set}}, "rack-7")
		if got != c.want {
			t.Errorf("%s, listening on %s: %q; want %q", c.set, c.listen, got, c.want)
		}
	}
}

// A host that is in no fleet has no metrics of one.
func TestMetricsOfTheFleetComeAndGo(t *testing.T) {
	reg := prometheus.NewRegistry()
	count := func() int {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return len(families)
	}
	c := newFleetCounters(reg)
	if n := count(); n == 0 {
		t.Error("there are none")
	}
	c.unregister(reg)
	if n := count(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

func TestSettingsOfTheFleetAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"fleet: {url: 'http://nats:4222'}":                                            "fleet.url",
		"fleet: {url: 'nats://user:secret@nats:4222'}":                                "fleet.url",
		"fleet: {role: king}":                                                         "fleet.role",
		"fleet: {url: 'tls://nats:4222', ca_file: /nonexistent}":                      "fleet.ca_file",
		"fleet: {url: 'tls://nats:4222', credentials_file: /nonexistent/host7.creds}": "fleet.credentials_file",
	} {
		l, err := load(config.Sources{Path: write(t, "c.yaml", text)})
		if err == nil {
			err = l.inspect(nil)
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := load(config.Sources{Path: write(t, "c.yaml", "fleet: {url: 'tls://a:4222,tls://b:4222'}")}); err != nil {
		t.Errorf("two servers: %v", err)
	}
}

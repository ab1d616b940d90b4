package api

import (
	"strings"
	"testing"
	"time"
)

const token = "0123456789abcdef"

func TestConfigValidate(t *testing.T) {
	pair := Config{TLSCert: "c.pem", TLSKey: "k.pem", Token: token}
	with := func(change func(*Config)) Config {
		c := pair
		change(&c)
		return c
	}
	for _, c := range []struct {
		name string
		cfg  Config
		want string // part of the error; empty for none
	}{
		{"defaults", Config{}, ""},
		{"other loopback addresses", Config{Listen: "127.3.2.1:0"}, ""},
		{"IPv6 loopback", Config{Listen: "[::1]:80"}, ""},
		{"localhost", Config{Listen: "localhost:8470"}, ""},
		{"everything with TLS and a token", with(func(c *Config) { c.Listen = ":8470" }), ""},
		{"every interface", Config{Listen: ":8470"}, "a TLS certificate and key and a configured token"},
		{"wildcard", Config{Listen: "0.0.0.0:8470", Token: token}, "a TLS certificate and key (or"},
		{"TLS alone", Config{Listen: "[::]:8470", TLSCert: "c", TLSKey: "k"}, "requires a configured token"},
		{"a name", Config{Listen: "desk.example.net:8470"}, "other machines can reach"},
		{"no port", Config{Listen: "127.0.0.1"}, "is not host:port"},
		{"wrong port", Config{Listen: "127.0.0.1:99999"}, `"99999" is not a port`},
		{"key missing", Config{TLSCert: "c.pem"}, "requires a certificate and a key"},
		{"short token", Config{Token: "short"}, "has 5 characters"},
		{"token with a line break", Config{Token: token + "\nx"}, "contains a blank"},
		{"token with a blank", Config{Token: token + " x"}, "contains a blank"},
		{"token outside ASCII", Config{Token: token + "é"}, "not printable ASCII"},
		{"any origin without a credential", Config{AllowedOrigins: []string{"*"}}, "require a configured credential"},
		{
			"hosts without a credential",
			Config{AllowedHosts: []string{"a"}, OwnToken: token},
			"require a configured credential",
		},
		{"any origin with a token", Config{AllowedOrigins: []string{"*"}, Token: token}, ""},
		{"origins", Config{Token: token, AllowedOrigins: []string{"https://a.example:8443", "http://b"}}, ""},
		{
			"origin with a path",
			Config{Token: token, AllowedOrigins: []string{"https://a.example/"}},
			"is not scheme://host",
		},
		{"origin without scheme", Config{Token: token, AllowedOrigins: []string{"a.example"}}, "is not scheme://host"},
		{"host with a port", Config{Token: token, AllowedHosts: []string{"a:80"}}, "is not a bare host name"},
		{"anonymous viewers", Config{AnonymousRole: "viewer"}, ""},
		{"anonymous operators", Config{AnonymousRole: "operator"}, "neither none nor viewer"},
		{"anonymous controllers", Config{AnonymousRole: "controller"}, "neither none nor viewer"},
		{"anonymous viewers from elsewhere", with(func(c *Config) {
			c.Listen, c.AnonymousRole = ":8470",
				"viewer"
		}), "require a loopback address"},
		{"anonymous viewers through a proxy", Config{
			Token: token, AnonymousRole: "viewer",
			AllowedHosts: []string{"a"},
		}, "no allowed hosts"},
		{"anonymous viewers on others' pages", Config{
			Token: token, AnonymousRole: "viewer",
			AllowedOrigins: []string{"*"},
		}, "no allowed hosts"},
		{
			"public with its own token",
			Config{Listen: ":8470", TLSCert: "c", TLSKey: "k", OwnToken: token},
			"requires a configured token",
		},
		{"body", Config{MaxBody: -1}, "max body -1"},
		{"connections", Config{MaxConnections: -1}, "max connections -1"},
		{"timeout", Config{IdleTimeout: -1}, "idle timeout"},
		{"answer cut off", Config{RequestTimeout: time.Minute}, "does not exceed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.cfg.Validate()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v; want %q in it", err, c.want)
			case err != nil && (strings.Contains(err.Error(), token) || !strings.HasPrefix(err.Error(), "api: ")):
				t.Errorf("error %q shows the token or lacks the package", err)
			}
		})
	}
}

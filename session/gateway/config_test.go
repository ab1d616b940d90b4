package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func redirect(to string) http.Handler {
	return http.RedirectHandler(to, http.StatusTemporaryRedirect)
}

func TestConfigsThatCannotWorkAreRefused(t *testing.T) {
	good := Config{URL: "wss://gateway.example.net/ws", TokenFile: "/run/token", Allow: []string{"alice"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"URL":            func(c *Config) { c.URL = "https://gateway.example.net/ws" },
		"of the form":    func(c *Config) { c.URL = "wss://user:secret@gateway.example.net/ws" },
		"wss://host/ws":  func(c *Config) { c.URL = "wss://gateway.example.net/ws?token=secret" },
		"show the token": func(c *Config) { c.URL = "ws://gateway.example.net/ws" },
		"either":         func(c *Config) { c.AccountFile = "/run/account" },
		"no login":       func(c *Config) { c.TokenFile, c.AccountFile, c.Dialect = "", "/run/account", Master{} },
		"user name":      func(c *Config) { c.Username = "a b" },
		"callers":        func(c *Config) { c.MaxCallers = -1 },
		"pin":            func(c *Config) { c.Pins = []string{"abc"} },
		"pinned":         func(c *Config) { c.URL, c.Pins = "ws://127.0.0.1/ws", []string{strings.Repeat("0", 64)} },
		"is empty":       func(c *Config) { c.Allow = nil },
		"neither":        func(c *Config) { c.Allow = []string{"team-*"} },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v; want an error that says %q", err, want)
		}
	}
	for _, u := range []string{"ws://127.0.0.1:3000/ws", "ws://[::1]:3000/ws", "ws://localhost:3000/ws"} {
		c := good
		c.URL = u
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
	good.URL, good.Insecure = "ws://gateway.test/ws", true
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTheLoginIsBesideTheSocket(t *testing.T) {
	for in, want := range map[string]string{
		"wss://gw.example.net/ws":      "https://gw.example.net/auth/login",
		"ws://127.0.0.1:3000/ws":       "http://127.0.0.1:3000/auth/login",
		"wss://example.net/wavry/ws/":  "https://example.net/wavry/auth/login",
		"wss://example.net:8443/other": "https://example.net:8443/other/auth/login",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := loginURL(u); got != want {
			t.Errorf("%s: got %s; want %s", in, got, want)
		}
	}
}

func TestWaitsGrowAndSpread(t *testing.T) {
	for n, seconds := range []int{4, 8, 16, 32, 64, 120, 120, 120} {
		limit := time.Duration(seconds) * time.Second
		least, most := time.Hour, time.Duration(0)
		for range 300 {
			b := backoff{failures: n}
			wait, blocked := b.after(ClassNetwork)
			if blocked || wait < leastWait || wait > leastWait+limit {
				t.Fatalf("failure %d: waits %v, blocked %v; want %v to %v",
					n, wait, blocked, leastWait, leastWait+limit)
			}
			least, most = min(least, wait), max(most, wait)
		}
		if most-least < limit*3/4 {
			t.Errorf("failure %d: waits from %v to %v do not spread over %v", n, least, most, limit)
		}
	}
	for _, c := range Classes() {
		var b backoff
		wait, blocked := b.after(c)
		if blocked != c.fatal() || blocked != (wait >= blockedWait) {
			t.Errorf("%v: waits %v, blocked %v", c, wait, blocked)
		}
	}
	var b backoff
	for range 1000 { // no overflow
		if wait, _ := b.after(ClassRate); wait < rateWait || wait > rateWait+longestWait {
			t.Fatalf("waits %v after a rate limit", wait)
		}
	}
}

// Package client is a typed client of the HTTP API of a host, for gateways and other programs that place viewers. Its
// types are generated from the OpenAPI document.
//
// Methods return an *Error for an answer that is not a success. Requests that failed on the way, or that a host asks to
// repeat later, are repeated where that cannot do anything twice: see Config.Attempts.
package client

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client asks one host. Its methods may be called concurrently.
type Client struct {
	Host         Hosts
	Sessions     Sessions
	Reservations Reservations
	Events       Events
	WHEP         WHEP
}

// New returns a client.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("client: %q is not the address of a host, such as https://host7.example.net:8470",
			cfg.URL)
	}
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	if cfg.HTTP == nil {
		stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		cfg.HTTP = &http.Client{CheckRedirect: stay}
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 4
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = 10 * time.Second
	}
	t := &transport{cfg}
	return &Client{Hosts{t}, Sessions{t}, Reservations{t}, Events{c: t}, WHEP{t}}, nil
}

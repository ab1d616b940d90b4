// Package webhook delivers events to a URL: in order, signed, and each at least once; see package outbox.
//
// Requests follow the Standard Webhooks specification, version 1.0.0, with symmetric signatures.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"wavryhost/platform/guard"
	"wavryhost/session"
	"wavryhost/session/outbox"
)

const (
	// answerTimeout bounds one attempt: a receiver should store an event and answer.
	answerTimeout = 10 * time.Second
	// maxPause bounds the pauses after failures.
	maxPause = 5 * time.Minute
)

// Config says what is delivered, and where.
type Config struct {
	// URL receives the events; empty for none. Host identifies this host in requests.
	URL, Host string
	// SecretFile has the secrets for signatures, one a line. Each is text that begins with whsec_, and base64. A request
	// has a signature for each secret, so that a secret can be replaced without a break.
	SecretFile string
	// Outbox is the file for events that wait.
	Outbox string
	// Kinds are the kinds of events that are delivered. Empty means all.
	Kinds []string
	// ReadFile reads the secrets; it refuses files that others can read.
	ReadFile func(path string) ([]byte, error)
	// Guard catches panics.
	Guard *guard.Guard
}

// Validate returns what is wrong with c. Without a URL nothing is.
func (c Config) Validate() error {
	if c.URL == "" {
		return nil
	}
	if err := CheckURL(c.URL); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	for _, k := range c.Kinds {
		if !slices.Contains(Kinds(), k) {
			return fmt.Errorf("webhook: there is no kind of event %q", k)
		}
	}
	if c.Outbox == "" {
		return errors.New("webhook: events need a file to wait in")
	}
	_, err := readSecrets(c)
	return err
}

// CheckURL returns an error for an address to which no events may go. Without TLS they stay on this machine.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%.200q is not an address such as https://gateway.example.net/events", text)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("%.200q would show events to the network: use https", text)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Kinds lists the kinds of events.
func Kinds() []string {
	var list []string
	for _, k := range session.EventKinds() {
		list = append(list, k.String())
	}
	return list
}

// Sender delivers the events of a journal.
type Sender struct {
	courier *outbox.Courier
	met     *Metrics
	http    *http.Client

	mu  sync.Mutex // guards cfg
	cfg Config
}

// New returns a Sender. It reads the outbox of the daemon before.
func New(cfg Config, from outbox.Journal, m *Metrics, log *slog.Logger) (*Sender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Sender{met: m, cfg: cfg, http: &http.Client{
		Timeout:       answerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}}
	s.courier = outbox.New(outbox.Setup{
		Receiver: "webhook", Runbook: "docs/operate/runbooks/webhook.md", From: from, Deliver: s.attempt,
		LongestPause: maxPause, Guard: cfg.Guard, Metrics: m.outbox, Log: log,
	}, cfg.kept())
	return s, nil
}

// kept returns which events are kept: none without a URL.
func (c Config) kept() outbox.Config {
	if c.URL == "" {
		return outbox.Config{}
	}
	return outbox.Config{Path: c.Outbox, Kinds: c.Kinds}
}

// Reconfigure changes what is delivered, and where. The outbox stays the same. cfg is valid.
func (s *Sender) Reconfigure(cfg Config) {
	s.mu.Lock()
	s.cfg = cfg
	s.mu.Unlock()
	s.courier.Reconfigure(cfg.kept())
}

// current returns the configuration.
func (s *Sender) current() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

// Run delivers events until ctx ends. Then it collects events no longer; see Flush.
func (s *Sender) Run(ctx context.Context) error { return s.courier.Run(ctx) }

// Flush collects the last events, and tries to deliver what waits until ctx ends. The rest waits for the next daemon.
// It is called after Run, when the other parts of the daemon have ended.
func (s *Sender) Flush(ctx context.Context) {
	s.courier.Flush(ctx)
	s.http.CloseIdleConnections()
}

// safeURL returns the URL without its query, which may have a secret of the receiver.
func (c Config) safeURL() string {
	text, _, _ := strings.Cut(c.URL, "?")
	return text
}

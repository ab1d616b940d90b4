// Package webhook delivers events to a URL: in order, signed, and each at least once. Events wait in an outbox, a file
// that survives the daemon. The outbox is bounded: when a receiver is away for too long, the oldest events are replaced
// by one event of the kind "gap".
//
// Requests follow the Standard Webhooks specification, version 1.0.0, with symmetric signatures.
package webhook

import (
	"context"
	"encoding/json"
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

	"wavryhost/session"
	"wavryhost/session/guard"
)

const (
	// answerTimeout bounds one attempt: a receiver should store an event and answer.
	answerTimeout = 10 * time.Second
	// firstPause and maxPause are the pauses after failures; each is twice the one before.
	firstPause, maxPause = time.Second, 5 * time.Minute
	// maxAsked bounds the pause that a receiver may ask for by Retry-After.
	maxAsked = time.Hour
	// tidyInterval is the time after which the outbox file knows of deliveries, and after which a file that could not be
	// written is tried again.
	tidyInterval = 5 * time.Second
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

// journal has the events of this run of the daemon; see session.Journal.
type journal interface {
	Events(after uint64) (list []session.EventRecord, lost bool, more <-chan struct{})
}

// Sender delivers the events of a journal.
type Sender struct {
	guard *guard.Guard
	log   *slog.Logger
	met   *Metrics
	from  journal
	http  *http.Client

	taking sync.Mutex // held while events are taken from the journal, and taken before mu
	after  uint64     // number of the last event that was taken; guarded by taking

	mu      sync.Mutex // guards all following fields
	cfg     Config
	box     *outbox       // nil as long as there was no URL
	changed chan struct{} // closed when cfg changes
}

// New returns a Sender. It reads the outbox of the daemon before.
func New(cfg Config, from journal, m *Metrics, log *slog.Logger) (*Sender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Sender{guard: cfg.Guard, log: log, met: m, from: from, changed: make(chan struct{}), http: &http.Client{
		Timeout:       answerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}}
	s.Reconfigure(cfg)
	return s, nil
}

// Reconfigure changes what is delivered, and where. The outbox stays the same. cfg is valid.
func (s *Sender) Reconfigure(cfg Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg = cfg
	close(s.changed)
	s.changed = make(chan struct{})
	if cfg.URL == "" || s.box != nil {
		return
	}
	box, err := openOutbox(cfg.Outbox, s.met, s.report)
	if err != nil {
		s.log.Error("events of the daemon before are lost: the webhook's outbox is not understood", "err", err,
			"remedy", "compare the receiver's sessions with GET /v1/sessions; the file was kept beside the outbox")
	}
	if n := box.len(); n > 0 {
		s.log.Info("events of the daemon before wait for the webhook", "events", n)
	}
	s.box = box
}

// current returns the configuration, the outbox (nil while there is no URL), and a channel that is closed when the
// configuration changes.
func (s *Sender) current() (Config, *outbox, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.URL == "" {
		return s.cfg, nil, s.changed
	}
	return s.cfg, s.box, s.changed
}

// Run delivers events until ctx ends. Then it collects events no longer; see Flush.
func (s *Sender) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		for ctx.Err() == nil {
			// After a panic the next round continues with the same event.
			_ = s.guard.Run("webhook", func() { s.deliver(ctx) })
			sleep(ctx, firstPause)
		}
	})
	tidy := time.NewTicker(tidyInterval)
	defer tidy.Stop()
	for {
		more := s.collect()
		select {
		case <-more:
		case <-tidy.C:
			if _, box, _ := s.current(); box != nil {
				box.save()
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Flush collects the last events, and tries to deliver what waits until ctx ends. The rest waits for the next daemon.
// It is called after Run, when the other parts of the daemon have ended.
func (s *Sender) Flush(ctx context.Context) {
	s.collect()
	cfg, box, _ := s.current()
	if box == nil {
		return
	}
	for ctx.Err() == nil {
		one, ok := box.first()
		if !ok || s.attempt(ctx, cfg, one) != nil {
			break
		}
		box.done(one)
	}
	s.taking.Lock()
	defer s.taking.Unlock()
	box.end(s.after)
	s.http.CloseIdleConnections()
	if n := box.len(); n > 0 {
		s.log.Warn("events wait for the next daemon", "events", n)
	}
}

// collect takes new events from the journal into the outbox. It returns a channel that is closed when there are more.
func (s *Sender) collect() <-chan struct{} {
	s.taking.Lock()
	defer s.taking.Unlock()
	cfg, box, _ := s.current()
	list, lost, more := s.from.Events(s.after)
	if len(list) == 0 {
		return more
	}
	if box == nil {
		s.after = list[len(list)-1].ID
		return more
	}
	var items []item
	if lost || box.gap(list[0].ID-1) {
		items = append(items, gapItem(max(s.after, box.last()), list[0].ID, list[0].At))
	}
	for _, e := range list {
		s.after = e.ID
		if len(cfg.Kinds) > 0 && !slices.Contains(cfg.Kinds, e.Kind) {
			continue
		}
		data, err := json.Marshal(e)
		if err != nil {
			continue // it has nothing that cannot be encoded
		}
		items = append(items, item{ID: e.ID, Kind: e.Kind, At: e.At, Data: data})
	}
	if len(items) > 0 {
		box.add(items)
	}
	return more
}

// report logs that the outbox file cannot be written, or is written again.
func (s *Sender) report(err error) {
	if err == nil {
		s.log.Info("webhook's outbox is written again")
		return
	}
	s.log.Error("webhook's outbox cannot be written: events that wait are lost if the daemon ends now", "err", err,
		"remedy", "free or repair the disk; docs/operate/runbooks/webhook.md")
}

// deliver delivers what waits, in order, until ctx ends.
func (s *Sender) deliver(ctx context.Context) {
	failures := 0
	for {
		cfg, box, changed := s.current()
		one, ok := item{}, false
		var more <-chan struct{}
		if box != nil {
			more = box.more()
			one, ok = box.first()
		}
		if !ok {
			select {
			case <-more:
			case <-changed:
			case <-ctx.Done():
				return
			}
			continue
		}
		err := s.attempt(ctx, cfg, one)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			box.done(one)
			if failures > 0 {
				s.log.Info("webhook delivers again", "failures", failures)
			}
			failures = 0
			continue
		case failures == 0:
			s.log.Warn("webhook does not deliver; events wait", "err", err, "url", cfg.safeURL(),
				"remedy", "docs/operate/runbooks/webhook.md")
		}
		failures++
		pause := time.NewTimer(pauseAfter(err, failures))
		select {
		case <-pause.C:
		case <-changed:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// safeURL returns the URL without its query, which may have a secret of the receiver.
func (c Config) safeURL() string {
	text, _, _ := strings.Cut(c.URL, "?")
	return text
}

// sleep waits, or returns when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

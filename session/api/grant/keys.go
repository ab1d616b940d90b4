package grant

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"wavryhost/platform/guard"
	"wavryhost/session/api/custody"
	"wavryhost/session/api/watched"
)

const (
	// refreshEvery is how often the keys are fetched while the address answers. A key that is removed from the set
	// stops working after that.
	refreshEvery = 10 * time.Minute
	// retryFirst and retryMost bound the wait after a failed fetch; it doubles.
	retryFirst, retryMost = 5 * time.Second, 5 * time.Minute
	// unknownEvery bounds how often tokens with an unknown key cause a fetch, because anybody can send such tokens.
	unknownEvery = time.Minute
	fetchTimeout = 10 * time.Second
)

// keys are the keys that may sign grants.
type keys struct {
	cfg Config
	log *slog.Logger
	// fetch fetches the set from its address.
	fetch func(ctx context.Context) ([]byte, error)
	// nudge has room for one request to fetch the set early.
	nudge chan struct{}

	mu      sync.Mutex // guards all following fields
	set     map[string]key
	files   watched.Files
	fetched time.Time // time of the last answer
	nudged  time.Time
}

func newKeys(cfg Config, log *slog.Logger) (*keys, error) {
	k := &keys{cfg: cfg, log: log, nudge: make(chan struct{}, 1)}
	k.fetch = k.get
	if cfg.KeysFile == "" {
		return k, nil
	}
	k.files = watched.New(cfg.KeysFile)
	if err := k.load(); err != nil {
		return nil, fmt.Errorf("grant: read keys %s: %w", cfg.KeysFile, err)
	}
	return k, nil
}

// find returns the key with that kid. It never waits for the network.
func (k *keys) find(kid string) (key, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if k.cfg.KeysFile != "" {
		k.reread(now)
		one, ok := k.set[kid]
		return one, ok
	}
	if k.set != nil && now.Sub(k.fetched) > k.cfg.MaxStale {
		k.set = nil
		k.log.Error("keys of grants are too old: grants are refused until their address answers", "age",
			now.Sub(k.fetched))
	}
	one, ok := k.set[kid]
	if !ok && now.Sub(k.nudged) >= unknownEvery {
		k.nudged = now
		select {
		case k.nudge <- struct{}{}:
		default:
		}
	}
	return one, ok
}

// hold reports whether a key is still the one with that kid, as far as that is known.
func (k *keys) hold(kid string, one key) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cfg.KeysFile != "" {
		k.reread(time.Now())
	}
	if k.set == nil {
		return true
	}
	now, ok := k.set[kid]
	return ok && now.same(one)
}

// reread reads the file if it has changed. An invalid file leaves the old keys in use.
func (k *keys) reread(now time.Time) {
	if !k.files.Changed(now) {
		return
	}
	if err := k.load(); err != nil {
		k.log.Warn("keys of grants not reloaded; the old ones stay in use", "file", k.cfg.KeysFile, "err", err)
		return
	}
	k.log.Info("keys of grants reloaded", "file", k.cfg.KeysFile, "keys", len(k.set))
}

// load reads the file, or changes nothing.
func (k *keys) load() error {
	text, warning, err := custody.Read(k.cfg.KeysFile, maxSet, custody.Decisive)
	if err != nil {
		return err
	}
	if warning != "" {
		k.log.Warn("keys of grants", "problem", warning)
	}
	set, err := parseSet(text)
	if err != nil {
		return err
	}
	k.set = set
	return nil
}

// run fetches the set regularly until ctx ends.
func (k *keys) run(ctx context.Context) {
	if k.cfg.KeysURL == "" {
		<-ctx.Done()
		return
	}
	wait, retry := time.Duration(0), retryFirst
	guarded := guard.New(k.log, nil, nil)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-k.nudge:
			timer.Stop()
		}
		var err error
		if p := guarded.Run("keys", func() { err = k.refresh(ctx) }); p != nil {
			err = p
		}
		if err != nil && ctx.Err() != nil {
			return
		}
		if k.cfg.OnFetch != nil {
			k.cfg.OnFetch(err)
		}
		if err != nil {
			k.log.Warn("keys of grants not fetched; the old ones stay in use for a time", "err", err)
			wait, retry = scatter(retry), min(2*retry, retryMost)
			continue
		}
		wait, retry = scatter(refreshEvery), retryFirst
	}
}

// scatter randomizes the interval, so that many hosts do not fetch at the same time.
func scatter(d time.Duration) time.Duration {
	return time.Duration((0.9 + 0.2*rand.Float64()) * float64(d))
}

func (k *keys) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	text, err := k.fetch(ctx)
	if err != nil {
		return err
	}
	set, err := parseSet(text)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(set) != len(k.set) {
		k.log.Info("keys of grants fetched", "keys", len(set))
	}
	k.set, k.fetched = set, time.Now()
	return nil
}

// get fetches the set over https. The address may contain a secret, so no error contains it.
func (k *keys) get(ctx context.Context) ([]byte, error) {
	client := &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: k.cfg.Roots},
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxSet,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("it redirects") },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.cfg.KeysURL, nil)
	if err != nil {
		return nil, errors.New("fetch keys: the address is not valid")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch keys from %s: %w", req.URL.Host, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch keys from %s: status %d", req.URL.Host, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
	if err != nil {
		return nil, fmt.Errorf("fetch keys from %s: %w", req.URL.Host, err)
	}
	return text, nil
}

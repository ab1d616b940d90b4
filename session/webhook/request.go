package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"wavryhost/session/outbox"
)

// secretPrefix is at the beginning of a secret, so that tools recognize it.
const secretPrefix = "whsec_"

// The bounds of a secret, in bytes, by the specification.
const minSecret, maxSecret = 24, 64

// readSecrets reads the secrets of the file.
func readSecrets(c Config) ([][]byte, error) {
	text, err := c.ReadFile(c.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("webhook: read the secret: %w", err)
	}
	keys, err := ParseSecrets(string(text))
	if err != nil {
		return nil, fmt.Errorf("webhook: %s: %w", c.SecretFile, err)
	}
	return keys, nil
}

// ParseSecrets reads secrets, one a line.
func ParseSecrets(text string) ([][]byte, error) {
	var keys [][]byte
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, secretPrefix))
		if err != nil || !strings.HasPrefix(line, secretPrefix) || len(key) < minSecret || len(key) > maxSecret {
			return nil, fmt.Errorf("line %d is not %s and %d to %d bytes in base64; make one with: "+
				`echo "%s$(head -c 32 /dev/urandom | base64)"`, n+1, secretPrefix, minSecret, maxSecret, secretPrefix)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no secret")
	}
	return keys, nil
}

// sign returns the signatures of a message.
func sign(keys [][]byte, id, timestamp string, body []byte) string {
	var all []string
	for _, k := range keys {
		h := hmac.New(sha256.New, k)
		_, _ = fmt.Fprintf(h, "%s.%s.", id, timestamp)
		_, _ = h.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
	}
	return strings.Join(all, " ")
}

// message is the body of a request.
type message struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Host      string          `json:"host"`
	Data      json.RawMessage `json:"data"`
}

// failure is a delivery that failed.
type failure struct {
	result string
	err    error
	after  time.Duration // what the receiver asks for; zero for nothing
}

var _ outbox.Delayed = (*failure)(nil)

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// RetryAfter returns the pause that the receiver asks for.
func (f *failure) RetryAfter() time.Duration { return f.after }

// attempt delivers an event once.
func (s *Sender) attempt(ctx context.Context, one outbox.Item) error {
	cfg, begun := s.current(), time.Now()
	err := s.post(ctx, cfg, one)
	if ctx.Err() != nil && err != nil {
		return err // it says nothing about the receiver
	}
	result := resultDelivered
	if f, ok := errors.AsType[*failure](err); ok {
		result, f.err = f.result, fmt.Errorf("%s: %w", cfg.safeURL(), f.err)
	}
	s.met.deliveries.WithLabelValues(result).Inc()
	if err == nil {
		s.met.seconds.Observe(time.Since(begun).Seconds())
	}
	return err
}

// post sends an event.
func (s *Sender) post(ctx context.Context, cfg Config, one outbox.Item) error {
	keys, err := readSecrets(cfg)
	if err != nil {
		return &failure{result: resultSecret, err: err}
	}
	body, err := json.Marshal(message{one.Kind, one.At, cfg.Host, one.Data})
	if err != nil {
		return &failure{result: resultFailed, err: err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, cfg.URL, bytes.NewReader(body))
	if err != nil {
		return &failure{result: resultFailed, err: err}
	}
	id, timestamp := one.Name(cfg.Host), strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "wavry-host")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", timestamp)
	r.Header.Set("Webhook-Signature", sign(keys, id, timestamp, body))
	resp, err := s.http.Do(r)
	if err != nil {
		result := resultFailed
		if failed, ok := errors.AsType[*url.Error](err); ok {
			if failed.Timeout() {
				result = resultTimeout
			}
			err = failed.Err // without the URL, whose query may have a secret
		}
		return &failure{result: result, err: err}
	}
	defer resp.Body.Close()
	// The connection can be used again only when the answer was read.
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	f := &failure{result: resultRefused, err: fmt.Errorf("the receiver answers %s", resp.Status)}
	switch {
	case resp.StatusCode < 300:
		return nil
	case resp.StatusCode < 400:
		f.result, f.err = resultRedirected, fmt.Errorf("the receiver answers %s; redirects are not followed",
			resp.Status)
	}
	f.after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	return f
}

// retryAfter reads a Retry-After header, which has seconds or a time.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

//go:build integration

package endtoend

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// collector receives events, and refuses them while it is closed.
type collector struct {
	key []byte

	mu     sync.Mutex // guards the rest
	closed bool
	kinds  []string
	bad    []string
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var m struct {
		Type string
		Data struct{ Kind string }
	}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	mac := hmac.New(sha256.New, c.key)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := r.Header.Get("Webhook-Signature"); err != nil || got != want || m.Type != m.Data.Kind {
		c.bad = append(c.bad, fmt.Sprintf("%v, %s, %s", err, got, body))
	}
	if c.closed {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	c.kinds = append(c.kinds, m.Type)
}

func (c *collector) set(closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.kinds = closed, nil
}

// wait waits until kinds have arrived in that order.
func (c *collector) wait(t *testing.T, kinds ...string) {
	t.Helper()
	eventually(t, patience, "the receiver has "+strings.Join(kinds, ", "), func() error { return c.has(kinds) })
}

func (c *collector) has(kinds []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.kinds {
		if len(kinds) > 0 && k == kinds[0] {
			kinds = kinds[1:]
		}
	}
	if len(kinds) > 0 {
		return fmt.Errorf("it has %v", c.kinds)
	}
	return nil
}

// Events that a receiver did not take survive kill -9 of the daemon; the next one delivers them, and says that others
// may be lost.
func TestWebhookSurvivesAKill(t *testing.T) {
	c := &collector{key: []byte(strings.Repeat("k", 32))}
	server := httptest.NewServer(c)
	defer server.Close()
	dir := t.TempDir()
	secret, outbox := filepath.Join(dir, "secret"), filepath.Join(dir, "outbox")
	text := "whsec_" + base64.StdEncoding.EncodeToString(c.key) + "\n"
	if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options := hostOptions{args: []string{
		"--display", "synthetic", "webhook.url=" + server.URL, "webhook.secret_file=" + secret,
		"webhook.outbox_file=" + outbox,
	}}
	order := func(h *host, method string) {
		t.Helper()
		if status, body, err := h.request(method, "/v1/cordon"); err != nil || status != http.StatusOK {
			t.Fatalf("%s cordon: %d, %v: %s", method, status, err, body)
		}
	}
	first := startHost(t, options)
	order(first, http.MethodPut)
	c.wait(t, "cordon", "host_state")
	c.set(true)
	order(first, http.MethodDelete)
	eventually(t, patience, "the outbox has the event", func() error {
		text, err := os.ReadFile(outbox)
		if err == nil && !strings.Contains(string(text), `"kind":"uncordon"`) {
			err = fmt.Errorf("it has %s", text)
		}
		return err
	})
	first.kill()
	c.set(false)
	second := startHost(t, options)
	order(second, http.MethodPut)
	c.wait(t, "uncordon", "gap", "cordon")
	second.stop(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bad) > 0 || slices.Contains(c.kinds, "") {
		t.Errorf("what arrived is not right: %q", c.bad)
	}
	if n := strings.Count(strings.Join(c.kinds, " "), "gap"); n != 1 {
		t.Errorf("%d gaps in %q", n, c.kinds)
	}
}

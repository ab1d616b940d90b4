//go:build integration

package endtoend

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// over waits until the host has no session, and demands that the viewer's media has stopped then. It returns when the last packet came.
func (a *audience) over(t testing.TB, h *host, limit time.Duration) time.Time {
	t.Helper()
	h.waitEmpty(t, limit)
	gone := time.Now()
	<-time.After(time.Second) // what was on its way, and what should not be
	newest := time.Unix(0, a.newest.Load())
	if newest.After(gone) {
		t.Errorf("a packet came %v after the session was gone", newest.Sub(gone))
	}
	return newest
}

// ended tells whether the log says that a session ended for the reason.
func (h *host) ended(reason string) bool {
	for line := range strings.Lines(h.out.String()) {
		if strings.Contains(line, `"msg":"session ended"`) && strings.Contains(line, fmt.Sprintf(`"reason":%q`, reason)) {
			return true
		}
	}
	return false
}

// A drain that waits leaves a viewer alone until its deadline, and then ends the stream.
func TestDrainEndsAtItsDeadline(t *testing.T) {
	t.Parallel() // it waits more than it works
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	x.moving(t)
	x.waitWindows(t, 3)
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})
	a, _ := join(t, h)
	a.waitMedia(t)

	const deadline = 5 * time.Second
	begun := time.Now()
	status, body, err := h.send(http.MethodPost, "/v1/drain", fmt.Sprintf(`{"policy": "wait", "deadline_seconds": %d}`, int(deadline.Seconds())))
	if err != nil || status != http.StatusAccepted {
		t.Fatalf("POST drain: status %d, %v: %s", status, err, body)
	}
	last := a.over(t, h, deadline+10*time.Second).Sub(begun)
	t.Logf("the last packet came %.2f s after the drain began, with a deadline of %v", last.Seconds(), deadline)
	if last < deadline-time.Second || last > deadline+time.Second {
		t.Errorf("the stream ended %.2f s after the drain began; want %v, a second more or less", last.Seconds(), deadline)
	}
	if !h.ended("drained") {
		t.Error("the log does not tell that the session was drained")
	}
	if status, body, err := h.request(http.MethodGet, "/v1/drain"); err != nil || status != http.StatusOK || !strings.Contains(string(body), `"done"`) {
		t.Errorf("GET drain: status %d, %v: %s; want it done", status, err, body)
	}
	h.stop(t, 8*time.Second)
	if h.err != nil {
		t.Errorf("exit status %v; want 0", h.err)
	}
	_ = a.pc.Close()
}

// A viewer whose grant is revoked sees nothing two seconds later, and one by another grant goes on.
func TestRevocationEndsMedia(t *testing.T) {
	t.Parallel() // it waits more than it works
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	x.moving(t)
	x.waitWindows(t, 3)
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys.json")
	set := fmt.Sprintf(`{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": %q}]}`, base64.RawURLEncoding.EncodeToString(public))
	if err := os.WriteFile(keys, []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	const token = "for-this-test-and-no-other"
	h := startHost(t, hostOptions{
		token: token, args: []string{"--display", x.id(), "--admission", "limits", "--grant-keys", keys, "--grant-audience", "host7"}, env: []string{"WAVRY_HOST_TOKEN=" + token},
	})
	as := func(id string) *audience {
		guest := *h
		guest.token = signed(t, key, map[string]any{
			"aud": "host7", "sub": id, "jti": id, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "wavry": map[string]any{"role": "viewer"},
		})
		a, _ := join(t, &guest)
		a.waitMedia(t)
		return a
	}
	ann, bob := as("ann"), as("bob")

	revoked := time.Now()
	if status, body, err := h.send(http.MethodPost, "/v1/revocations", `{"grant": "ann"}`); err != nil || status >= 300 {
		t.Fatalf("POST revocations: status %d, %v: %s", status, err, body)
	}
	eventually(t, 10*time.Second, "her session is gone", func() error {
		list, err := h.sessions()
		if err != nil {
			return err
		}
		for _, s := range list {
			if s.ID == ann.id() {
				return fmt.Errorf("it is %s", s.State)
			}
		}
		return nil
	})
	gone := time.Now()
	<-time.After(time.Second)
	last := time.Unix(0, ann.newest.Load())
	t.Logf("the last packet came %.2f s after the revocation, the session was gone after %.2f s", last.Sub(revoked).Seconds(), gone.Sub(revoked).Seconds())
	if last.After(gone) || last.Sub(revoked) > 2*time.Second {
		t.Errorf("packets came until %.2f s after the revocation; want 2 s at most", last.Sub(revoked).Seconds())
	}
	if !h.ended("revoked") {
		t.Error("the log does not tell that the session was revoked")
	}
	if quiet := time.Since(time.Unix(0, bob.newest.Load())); quiet > time.Second {
		t.Errorf("the other viewer has had nothing for %v", quiet)
	}
	bob.leave(t, h)
	_ = ann.pc.Close()
	h.stop(t, 8*time.Second)
	if h.err != nil {
		t.Errorf("exit status %v; want 0", h.err)
	}
}

// signed returns a JSON Web Token with the claims.
func signed(t testing.TB, key ed25519.PrivateKey, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg": "EdDSA", "kid": "k1", "typ": "JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

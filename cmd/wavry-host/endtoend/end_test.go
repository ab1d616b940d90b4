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
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// over waits until the daemon reports the end of the viewer's session and the transport has told the viewer, after
// which no media can arrive. It returns the event and the time of the last packet.
func (a *audience) over(t testing.TB, h *host) (end event, last time.Time) {
	t.Helper()
	end = h.waitEvent(t, a.id(), "session_ended")
	eventually(t, patience, "the viewer's transport is closed", func() error {
		if s := a.pc.ConnectionState(); s != webrtc.PeerConnectionStateClosed {
			return fmt.Errorf("it is %s", s)
		}
		return nil
	})
	last = time.Unix(0, a.newest.Load())
	if late := last.Sub(end.At); late > time.Second { // what was on its way is there by then
		t.Errorf("a packet came %v after the session's end", late)
	}
	return end, last
}

// watches waits until the viewer has received more packets.
func (a *audience) watches(t testing.TB) {
	t.Helper()
	before := a.packets.Load()
	eventually(t, patience, "more comes", func() error {
		if a.packets.Load() == before {
			return errNotYet
		}
		return nil
	})
}

// A drain with wait leaves a viewer undisturbed until its deadline, and then ends the stream.
func TestDrainEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	x.moving(t)
	x.waitWindows(t, 3)
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})
	a, _ := join(t, h)
	a.waitMedia(t)

	const deadline = 5 * time.Second
	begun := time.Now()
	status, body, err := h.send(http.MethodPut, "/v1/drain",
		fmt.Sprintf(`{"policy": "wait", "deadline_seconds": %d}`, int(deadline.Seconds())))
	if err != nil || status != http.StatusOK {
		t.Fatalf("PUT drain: status %d, %v: %s", status, err, body)
	}
	var drain struct{ Deadline, Done time.Time }
	look := func() {
		if status, body, err = h.request(http.MethodGet, "/v1/drain"); err == nil {
			err = json.Unmarshal(body, &drain)
		}
		if err != nil || status != http.StatusOK {
			t.Fatalf("GET drain: status %d, %v: %s", status, err, body)
		}
	}
	look()
	end, last := a.over(t, h)
	t.Logf("the last packet came %.2f s after the drain began, with a deadline of %v",
		last.Sub(begun).Seconds(), deadline)
	if end.Reason != "drained" {
		t.Errorf("the session ended because %q; want it drained", end.Reason)
	}
	// The promise is one second either way. A moving screen is sent many times a second.
	if late := end.At.Sub(drain.Deadline); late < 0 || late > time.Second {
		t.Errorf("the session ended %v after its deadline; want it ended then", late)
	}
	if gap := end.At.Sub(last); gap > 3*time.Second {
		t.Errorf("the last packet came %v before the session's end; want the viewer left alone until then", gap)
	}
	h.waitLog(t, `"reason":"drained"`)
	eventually(t, patience, "the drain is done", func() error {
		if look(); drain.Done.IsZero() {
			return errNotYet
		}
		return nil
	})
	h.stop(t)
	if h.err != nil {
		t.Errorf("exit status %v; want 0", h.err)
	}
	_ = a.pc.Close()
}

// Media of a viewer whose grant is revoked ends within two seconds. A viewer with another grant continues.
func TestRevocationEndsMedia(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	x.moving(t)
	x.waitWindows(t, 3)
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys.json")
	set := fmt.Sprintf(`{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": %q}]}`,
		base64.RawURLEncoding.EncodeToString(public))
	if err := os.WriteFile(keys, []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	const token = "for-this-test-and-no-other"
	h := startHost(t, hostOptions{
		token: token, args: []string{"--display", x.id(), "auth.grants=[{keys: " + keys + ", audience: host7}]"},
		env: []string{"WAVRY_HOST_AUTH__TOKEN=" + token},
	})
	as := func(id string) *audience {
		guest := *h
		guest.token = signed(t, key, map[string]any{
			"aud": "host7", "sub": id, "jti": id, "iat": time.Now().Unix(),
			"exp": time.Now().Add(time.Hour).Unix(), "wavry": map[string]any{"role": "viewer"},
		})
		a, _ := join(t, &guest)
		a.waitMedia(t)
		return a
	}
	ann, bob := as("ann"), as("bob")

	revoked := time.Now()
	if status, body, err := h.send(http.MethodPost, "/v1/revocations", `{"grant": "ann"}`); err != nil ||
		status >= 300 {
		t.Fatalf("POST revocations: status %d, %v: %s", status, err, body)
	}
	end, last := ann.over(t, h)
	t.Logf("the last packet came %.2f s after the revocation, the session was gone after %.2f s",
		last.Sub(revoked).Seconds(), end.At.Sub(revoked).Seconds())
	if late := max(last.Sub(revoked), end.At.Sub(revoked)); late > 2*time.Second { // it is promised
		t.Errorf("the viewer was served for %v after the revocation; want 2 s at most", late)
	}
	if end.Reason != "revoked" {
		t.Errorf("the session ended because %q; want it revoked", end.Reason)
	}
	h.waitLog(t, `"reason":"revoked"`)
	bob.watches(t)
	bob.leave(t, h)
	_ = ann.pc.Close()
	h.stop(t)
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
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg": "EdDSA", "kid": "k1", "typ": "JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

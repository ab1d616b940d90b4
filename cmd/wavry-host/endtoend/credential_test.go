//go:build integration

package endtoend

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// viewer receives video and records when the last packet arrived.
type viewer struct{ last atomic.Pointer[time.Time] }

func newViewer(t *testing.T, h *host, token string) *viewer {
	t.Helper()
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	v := &viewer{}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			now := time.Now()
			v.last.Store(&now)
		}
	})
	offerTo(t, h, pc, token)
	eventually(t, patience, "media flows", func() error {
		if v.last.Load() == nil {
			return fmt.Errorf("no packet yet")
		}
		return nil
	})
	return v
}

// Media ends within two seconds of the end of its viewer's credential: a token that is removed from the file, or a
// grant that is revoked.
func TestCredentialsTakenAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	made, err := exec.Command(hostBinary, "token", "ann", "viewer").Output()
	if err != nil {
		t.Fatal(err)
	}
	token, line, ok := strings.Cut(strings.TrimPrefix(string(made), "token: "), "\nline for auth.tokens_file: ")
	if !ok {
		t.Fatalf("wavry-host token printed %q", made)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	now := time.Now().Unix()
	grant := part(`{"alg":"EdDSA","kid":"k"}`) + "." + part(fmt.Sprintf(
		`{"aud":"host7","sub":"bob","jti":"j1","iat":%d,"exp":%d,"wavry":{"role":"viewer"}}`, now, now+3600))
	grant += "." + part(string(ed25519.Sign(private, []byte(grant))))

	options := hostOptions{
		token: "operator-0123456789", env: []string{"WAVRY_HOST_AUTH__TOKEN=operator-0123456789", "STATE_DIRECTORY=" + dir},
		args: []string{
			"--display", "synthetic", "auth.tokens_file=" + write("tokens", line),
			"auth.grants=[{audience: host7, keys: " + write("keys.json",
				fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":%q}]}`, part(string(public)))) + "}]",
		},
	}
	h := startHost(t, options)
	ann, bob := newViewer(t, h, token), newViewer(t, h, grant)
	ends := func(what string, v *viewer, left int, take func()) {
		began := time.Now()
		take()
		eventually(t, patience, "the session ends", func() error {
			list, err := h.sessions()
			if err == nil && len(list) != left {
				err = fmt.Errorf("%d sessions; want %d", len(list), left)
			}
			return err
		})
		last := v.last.Load().Sub(began)
		t.Logf("%s: the last packet came %v after it was taken away", what, last.Round(time.Millisecond))
		if last > 2*time.Second { // it is promised
			t.Errorf("%s: media went on for %v", what, last)
		}
	}
	ends("a token", ann, 1, func() { write("tokens", "# nobody\n") })
	ends("a grant", bob, 0, func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/v1/revocations",
			strings.NewReader(`{"grant": "j1"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+h.token)
		request.Header.Set("Content-Type", "application/json")
		response, err := h.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("revocation: %s", response.Status)
		}
	})

	h.stop(t)
	h = startHost(t, options)
	h.token = grant
	if status, body, err := h.request("GET", "/v1/sessions/x"); err != nil ||
		status != http.StatusUnauthorized || !strings.Contains(string(body), "revoked") {
		t.Errorf("the revoked grant after a restart: %d %s %v", status, body, err)
	}
}

// whep makes an offer for the default display with a token. The caller closes the answer's body.
func (h *host) whep(t testing.TB, token, offer string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/whep/default",
		strings.NewReader(offer))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/sdp")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := h.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// offerTo opens a session with a token for a peer that receives video, and returns the session's path.
func offerTo(t testing.TB, h *host, pc *webrtc.PeerConnection, token string) string {
	t.Helper()
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo,
		webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	response := h.whep(t, token, pc.LocalDescription().SDP)
	defer response.Body.Close()
	answer := new(strings.Builder)
	if _, err := bufio.NewReader(response.Body).WriteTo(answer); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("POST: status %d: %s", response.StatusCode, answer)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{
		Type: webrtc.SDPTypeAnswer,
		SDP:  answer.String(),
	}); err != nil {
		t.Fatal(err)
	}
	location, err := response.Location()
	if err != nil {
		t.Fatal(err)
	}
	return location.Path
}

//go:build integration

package endtoend

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// Viewers that come and go leave nothing behind.
func TestChurn(t *testing.T) {
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})

	for range 5 { // what is made once and kept
		connectOnce(t, h)
	}
	settle(t, h)
	before := usage(t, h)
	const cycles = 200
	for range cycles {
		connectOnce(t, h)
	}
	settle(t, h)
	after := usage(t, h)
	t.Logf("%d cycles: %v before, %v after", cycles, before, after)
	if after.goroutines > before.goroutines+3 {
		t.Errorf("goroutines grew from %d to %d", before.goroutines, after.goroutines)
	}
	if after.descriptors > before.descriptors+3 {
		t.Errorf("descriptors grew from %d to %d", before.descriptors, after.descriptors)
	}
	if after.segments > before.segments {
		t.Errorf("shared memory segments grew from %d to %d", before.segments, after.segments)
	}
}

type resources struct{ goroutines, descriptors, segments int }

func (r resources) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d segments", r.goroutines, r.descriptors, r.segments)
}

func usage(t testing.TB, h *host) resources {
	t.Helper()
	h.client.CloseIdleConnections()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	r := resources{goroutines: int(h.metric(t, "go_goroutines")), descriptors: len(fds)}
	file, err := os.Open("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) > 4 && f[4] == fmt.Sprint(h.Process.Pid) {
			r.segments++
		}
	}
	return r
}

// settle waits until no session is left and the display is let go.
func settle(t testing.TB, h *host) {
	t.Helper()
	eventually(t, 20*time.Second, "the display is idle", func() error {
		status, body, err := h.request("GET", "/v1/host")
		if err != nil {
			return err
		}
		if status != http.StatusOK || strings.Contains(string(body), `"live"`) {
			return fmt.Errorf("status %d: %s", status, body)
		}
		return nil
	})
}

// connectOnce receives one frame's packets by pion and leaves.
func connectOnce(t testing.TB, h *host) {
	t.Helper()
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	packet := make(chan error, 1)
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		_, _, err := track.ReadRTP()
		packet <- err
	})
	path := offerTo(t, h, pc, h.token)
	select {
	case err := <-packet:
		if err != nil {
			t.Fatalf("no packet: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no packet within 10 s")
	}
	if status, body, err := h.request(http.MethodDelete, path); err != nil || status != http.StatusOK {
		t.Fatalf("DELETE: status %d, %v: %s", status, err, body)
	}
}

// offerTo opens a session for a peer that receives video, by a token, empty for none, and returns its path.
func offerTo(t testing.TB, h *host, pc *webrtc.PeerConnection, token string) string {
	t.Helper()
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
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
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/whep/default", strings.NewReader(pc.LocalDescription().SDP))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/sdp")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := h.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer := new(strings.Builder)
	if _, err := bufio.NewReader(response.Body).WriteTo(answer); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("POST: status %d: %s", response.StatusCode, answer)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.String()}); err != nil {
		t.Fatal(err)
	}
	location, err := response.Location()
	if err != nil {
		t.Fatal(err)
	}
	return location.Path
}

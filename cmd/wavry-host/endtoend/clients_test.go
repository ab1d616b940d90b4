//go:build integration

package endtoend

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// clientPage serves a page from another origin than the host's. It has the public WHEP client libraries.
func clientPage(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/whepclients/", http.StripPrefix("/whepclients/", http.FileServer(http.Dir("testdata/whepclients"))))
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, "<!doctype html><title>client</title><video autoplay muted playsinline></video>")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// startForPage starts a daemon that accepts requests from a page of another origin.
func startForPage(t *testing.T, page, display string, args ...string) *host {
	t.Helper()
	const token = "for-this-test-and-no-other"
	return startHost(t, hostOptions{
		token: token, env: []string{"WAVRY_HOST_AUTH__TOKEN=" + token},
		args: append([]string{"--display", display, "api.origins=" + page}, args...),
	})
}

// ownClient offers media sections of the named kinds with a default peer connection. A MIME type limits the codecs.
const ownClient = `(async (url, token, kinds, codec) => {
	const pc = new RTCPeerConnection();
	window.wavry = {pc};
	for (const kind of kinds) if (kind === "data") pc.createDataChannel("input"); else pc.addTransceiver(kind,
		{direction: "recvonly"});
	const wanted = RTCRtpReceiver.getCapabilities("video").codecs.filter((c) => [codec, "video/rtx"].includes(c.mimeType));
	if (codec) for (const t of pc.getTransceivers()) t.setCodecPreferences(wanted);
	pc.ontrack = (e) => {
		if (e.track.kind === "video") document.querySelector("video").srcObject = new MediaStream([e.track]);
	};
	await pc.setLocalDescription(await pc.createOffer());
	await new Promise((done) => { pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" &&
		done(); setTimeout(done, 3000); });
	const response = await fetch(url, {method: "POST", body: pc.localDescription.sdp,
		headers: {"Content-Type": "application/sdp", Authorization: "Bearer " + token}});
	if (response.status !== 201) throw new Error(await response.text());
	await pc.setRemoteDescription({type: "answer", sdp: await response.text()});
	window.leave = async () => { pc.close(); await fetch(new URL(response.headers.get("Location"), url),
		{method: "DELETE", headers: {Authorization: "Bearer " + token}}); };
	return "watching";
})(%q, %q, %s, %q)`

// X1: browsers offer sections in the order in which the page adds them, with an ICE transport for each until the answer
// bundles them.
func TestSectionsInAnyOrderInBrowsers(t *testing.T) {
	t.Parallel()
	page := clientPage(t)
	h := startForPage(t, page, "synthetic")
	for name, open := range map[string]func() *browser{
		"Chromium": func() *browser { return openBrowser(t, "", page) },
		"Firefox":  func() *browser { return openFirefox(t, page) },
	} {
		b := open()
		for _, kinds := range []string{
			`["audio","video"]`, `["video","audio"]`, `["audio","data","video"]`,
			`["video","video"]`,
		} {
			var said string
			if err := b.eval(fmt.Sprintf(ownClient, h.url+"/whep/default", h.token, kinds, ""), &said); err != nil {
				t.Fatalf("%s offers %s: %v", name, kinds, err)
			}
			b.waitFrames(t, 10, patience)
			if err := b.eval(`window.leave().then(() => "gone")`, &said); err != nil {
				t.Errorf("%s leaves: %v", name, err)
			}
		}
	}
	h.waitEmpty(t)
}

// publicClient watches with a library from npm as its README describes, and restarts ICE.
const publicClient = `(async (at, url, token) => {
	const {WHEPClient} = await import(at);
	const pc = new RTCPeerConnection();
	window.wavry = {pc};
	pc.addTransceiver("audio");
	pc.addTransceiver("video");
	pc.ontrack = (e) => {
		if (e.track.kind === "video") document.querySelector("video").srcObject = new MediaStream([e.track]);
	};
	const client = window.client = new WHEPClient();
	window.troubles = [];
	window.addEventListener("unhandledrejection", (e) => window.troubles.push(String(e.reason)));
	await client.view(pc, url, token);
	return "watching";
})(%q, %q, %q)`

func TestPublicWHEPClients(t *testing.T) {
	t.Parallel()
	page := clientPage(t)
	h := startForPage(t, page, "synthetic")
	for _, library := range []string{"medooze", "binbat"} { // whip-whep 1.2.0 and @binbat/whip-whep
		b := openBrowser(t, "", page)
		var said string
		if err := b.eval(fmt.Sprintf(publicClient, "/whepclients/"+library+".js", h.url+"/whep/default",
			h.token), &said); err != nil {
			t.Fatalf("%s: %v", library, err)
		}
		b.waitFrames(t, 10, patience)
		if err := b.eval(`window.client.restart().then(() => "restarted")`, &said); err != nil {
			t.Fatalf("%s restarts ICE: %v", library, err)
		}
		b.waitFrames(t, 10, patience)
		var troubles []string
		if err := b.eval("window.troubles", &troubles); err != nil || len(troubles) > 0 {
			t.Errorf("%s: %v, %v; want no request of it to be refused", library, troubles, err)
		}
		if err := b.eval(`window.client.stop().then(() => "gone")`, &said); err != nil {
			t.Errorf("%s leaves: %v", library, err)
		}
	}
	h.waitEmpty(t)
}

// Receivers with the default offers of their libraries: audio first, an ICE transport for each section, no BUNDLE
// group.
func TestReceiversWithDefaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, program, how string }{
		{"aiortc, audio first", aiortc, "audio"},
		{"GStreamer, default bundle policy and caps", gstreamer, "default"},
		{"GStreamer, audio first", gstreamer, "audio"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLink(t)
			h := startExposed(t, l.host, l.hostIP, "--display", "synthetic", "--fps", "30")
			r := startReceiver(t, c.program, l.viewer, h, c.how)
			r.waitFrames(t, 30)
			r.leave(t)
			h.waitEmpty(t)
		})
	}
}

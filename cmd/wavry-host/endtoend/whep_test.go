//go:build integration

package endtoend

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// pageOf is a WHEP client in a page of another origin than the host's, as strict as the strictest known one
// (mediamtx's, and what browsers require by CORS).
type pageOf struct {
	t      *testing.T
	h      *host
	origin string
}

// preflight makes the request that a browser makes before the page's own, and checks that the answer allows it.
func (c pageOf) preflight(at, method string, headers ...string) {
	c.t.Helper()
	response := c.do(http.MethodOptions, at, "", map[string]string{
		"Access-Control-Request-Method": method, "Access-Control-Request-Headers": strings.Join(headers, ","),
	})
	if response.status != http.StatusOK && response.status != http.StatusNoContent {
		c.t.Fatalf("OPTIONS %s: status %d; want 200 or 204", at, response.status)
	}
	allowed := response.Get("Access-Control-Allow-Origin")
	if allowed != c.origin && allowed != "*" {
		c.t.Errorf("OPTIONS %s allows the origin %q", at, allowed)
	}
	if methods := listed(response.Header, "Access-Control-Allow-Methods"); !slices.Contains(methods,
		strings.ToLower(method)) {
		c.t.Errorf("OPTIONS %s allows the methods %v; want %s by its name", at, methods, method)
	}
	for _, name := range headers {
		if names := listed(response.Header, "Access-Control-Allow-Headers"); !slices.Contains(names, name) {
			c.t.Errorf("OPTIONS %s allows the headers %v; want %s", at, names, name)
		}
	}
}

// listed returns the items of a header in lower case.
func listed(h http.Header, name string) []string {
	var items []string
	for item := range strings.SplitSeq(strings.Join(h.Values(name), ","), ",") {
		items = append(items, strings.ToLower(strings.TrimSpace(item)))
	}
	return items
}

// answer is an HTTP answer.
type answer struct {
	status int
	http.Header
	body string
}

func (c pageOf) do(method, at, body string, header map[string]string) answer {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Origin", c.origin)
	if method != http.MethodOptions { // a browser sends none with its preflight
		request.Header.Set("Authorization", "Bearer "+c.h.token)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := c.h.client.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{status: response.StatusCode, Header: response.Header, body: string(text)}
}

// A client that accepts only what the drafts specify trickles its candidates, watches, and leaves.
func TestStrictClient(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	x.moving(t)
	x.waitWindows(t, 3)
	const token, origin = "for-this-test-and-no-other", "https://app.example"
	h := startHost(t, hostOptions{
		token: token, env: []string{"WAVRY_HOST_AUTH__TOKEN=" + token},
		// Nothing answers at that address. The client does not check; it only receives it.
		args: []string{
			"--display", x.id(), "api.origins=" + origin, "ice.servers=[{urls: ['stun:127.0.0.1:9']}]", "timeouts.gather=100ms",
			"media.network=loopback",
		}, // with ice_servers it would be any, and the viewer's 127.0.0.1 refused
	})
	c := pageOf{t: t, h: h, origin: origin}
	endpoint := h.url + "/whep/default"
	c.preflight(endpoint, http.MethodPost, "authorization", "content-type")

	a := prepared(t, loopback(t), nil)
	offer := a.offer(t)
	response := c.do(http.MethodPost, endpoint, offer.SDP, map[string]string{"Content-Type": "application/sdp"})
	if response.status != http.StatusCreated {
		t.Fatalf("POST: status %d; want exactly 201: %s", response.status, response.body)
	}
	if kind, _, err := mime.ParseMediaType(response.Get("Content-Type")); err != nil || kind != "application/sdp" {
		t.Errorf("POST: Content-Type %q", response.Get("Content-Type"))
	}
	base, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	location, err := base.Parse(response.Get("Location"))
	if err != nil || location.Host != base.Host || location.Path == base.Path {
		t.Fatalf("POST: Location %q, %v", response.Get("Location"), err)
	}
	etag := response.Get("ETag")
	if len(etag) < 3 || etag[0] != '"' || etag[len(etag)-1] != '"' {
		t.Errorf("POST: ETag %q is not a strong one", etag)
	}
	if link := response.Get("Link"); link != `<stun:127.0.0.1:9>; rel="ice-server"` {
		t.Errorf("POST: Link %q", link)
	}
	for _, name := range []string{"location", "etag", "link"} {
		if exposed := listed(response.Header, "Access-Control-Expose-Headers"); !slices.Contains(exposed, name) {
			t.Errorf("POST exposes the headers %v; want %s", exposed, name)
		}
	}

	at := location.String()
	c.preflight(at, http.MethodPatch, "authorization", "content-type", "if-match")
	c.preflight(at, http.MethodDelete, "authorization")
	gathered := webrtc.GatheringCompletePromise(a.pc)
	if err := a.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	if err := a.pc.SetRemoteDescription(webrtc.SessionDescription{
		Type: webrtc.SDPTypeAnswer,
		SDP:  response.body,
	}); err != nil {
		t.Fatal(err)
	}
	<-gathered
	trickle := map[string]string{"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": etag}
	if response := c.do(http.MethodPatch, at, fragmentOf(a.pc.LocalDescription().SDP),
		trickle); response.status != http.StatusNoContent || response.body != "" {
		t.Errorf("PATCH: status %d; want exactly 204: %s", response.status, response.body)
	}
	a.waitMedia(t)
	trickle["If-Match"] = `"another"`
	if response := c.do(http.MethodPatch, at, fragmentOf(a.pc.LocalDescription().SDP),
		trickle); response.status != http.StatusPreconditionFailed {
		t.Errorf("PATCH with another ETag: status %d; want 412", response.status)
	}
	if response := c.do(http.MethodDelete, at, "", nil); response.status != http.StatusOK {
		t.Errorf("DELETE: status %d; want exactly 200: %s", response.status, response.body)
	}
	if response := c.do(http.MethodDelete, at, "", nil); response.status != http.StatusNotFound {
		t.Errorf("DELETE again: status %d; want 404", response.status)
	}
	_ = a.pc.Close()
	h.waitEmpty(t)
}

// fragmentOf makes a trickle fragment (RFC 8840, section 9) from a description.
func fragmentOf(sdp string) string {
	var session, media []string
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "a=ice-ufrag:"), strings.HasPrefix(line, "a=ice-pwd:"):
			session = append(session, line)
		case strings.HasPrefix(line, "m="), strings.HasPrefix(line, "a=mid:"), strings.HasPrefix(line, "a=candidate:"):
			media = append(media, line)
		}
	}
	return fmt.Sprintf("%s\r\n%s\r\na=end-of-candidates\r\n", strings.Join(session, "\r\n"),
		strings.Join(media, "\r\n"))
}

// restarting returns a fragment with other ICE credentials, as for an ICE restart.
func restarting(fragment string) string {
	return strings.NewReplacer("a=ice-ufrag:", "a=ice-ufrag:other", "a=ice-pwd:", "a=ice-pwd:other").Replace(fragment)
}

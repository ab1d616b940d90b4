//go:build integration

package endtoend

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// TestReverseProxies runs the proxy examples of the documents with the real programs. It uses page, WHEP, events and
// API over HTTP/2, with compression, and under a path prefix.
func TestReverseProxies(t *testing.T) {
	t.Parallel()
	for i, p := range reverseProxies {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			cert, key := certificate(t, proxyName)
			const token = "for-this-test-and-no-other"
			o := hostOptions{token: token, env: []string{"WAVRY_HOST_AUTH__TOKEN=" + token}, args: []string{
				"--display", "synthetic", "--virtual-size", "320x240", "api.hosts=" + proxyName,
				"api.trusted_proxies=127.0.0.1", "media.network=loopback",
			}}
			if p.protocol {
				o.secure = true
				o.args = append(o.args, "api.trusted_proxies="+trustedAddress, "api.proxy_header=proxy-protocol",
					"--tls-cert", cert, "--tls-key", key)
			}
			h := startHost(t, o)
			v := p.start(t, h, bundle(t, cert, key), key, 8441+i)
			one, old := v.from("127.0.1.1", true), v.from("127.0.1.1", false)
			behindPage(one, p)
			behindWHEP(one, old)
			behindBodies(old)
			behindEvents(one)
			behindLimits(v)
			h.waitLog(t, `"remote":"127.0.1.1:`)
			h.waitEmpty(t)
		})
	}
}

// bundle puts a certificate and its key into one file, as HAProxy reads them.
func bundle(t *testing.T, files ...string) string {
	t.Helper()
	var all []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	path := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// plain decompresses a response, which must be compressed.
func plain(c client, a answer) string {
	c.t.Helper()
	if a.Get("Content-Encoding") != "gzip" {
		c.t.Errorf("the encoding of %q is %q; want gzip", tail(a.body, 100), a.Get("Content-Encoding"))
		return a.body
	}
	r, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// behindPage loads the page, all files that it names, and one JSON response, all compressed. It then revalidates them.
func behindPage(c client, p reverseProxy) {
	c.t.Helper()
	page := plain(c, c.call(200, "GET", "/", "", "Accept-Encoding", "gzip"))
	names := regexp.MustCompile(`(?:src|href)="(page/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(names) < 2 {
		c.t.Fatalf("the page names %v", names)
	}
	for _, name := range names {
		file := c.call(200, "GET", "/"+name[1], "", "Accept-Encoding", "gzip")
		etag := file.Get("ETag")
		if etag == "" {
			c.t.Errorf("%s comes without an ETag", name[1])
		}
		c.call(304, "GET", "/"+name[1], "", "Accept-Encoding", "gzip", "If-None-Match", etag)
	}
	answer := c.call(200, "GET", "/v1/host", "", "Accept-Encoding", "gzip")
	body := answer.body
	if !p.protocol { // the daemon compresses only what anybody gets
		body = plain(c, answer)
	}
	if !json.Valid([]byte(body)) {
		c.t.Errorf("GET /v1/host: %q is not JSON", body)
	}
	if got := c.call(200, "HEAD", "/readyz", ""); got.body != "" {
		c.t.Errorf("HEAD /readyz has the body %q", got.body)
	}
	c.call(404, "GET", "/v1/nothing", "")
}

// behindWHEP connects two viewers. One accepts a compressed answer; the other waits for 100 (Continue) before it sends
// its offer. Both send the ETag back as they received it.
func behindWHEP(c, old client) {
	c.t.Helper()
	const sdp, fragment = "application/sdp", "application/trickle-ice-sdpfrag"
	for _, how := range []struct {
		name string
		client
		header []string
	}{
		{"HTTP/2", c, nil},
		{"compressed", c, []string{"Accept-Encoding", "gzip"}},
		{"HTTP/1.1, Expect: 100-continue", old, []string{"Expect", "100-continue"}},
	} {
		a := prepared(c.t, loopback(c.t), nil)
		offer := a.offer(c.t)
		origin := strings.TrimSuffix(c.url, "/a/b")
		created := how.call(201, "POST", "/whep/default", offer.SDP,
			append([]string{"Content-Type", sdp, "Origin", origin}, how.header...)...)
		if created.status != http.StatusCreated {
			c.t.Fatalf("%s: no session", how.name)
		}
		if created.Get("Content-Encoding") != "" {
			created.body = plain(c, created)
		}
		at := "/whep/" + created.Get("Location")
		gathered := webrtc.GatheringCompletePromise(a.pc)
		if err := a.pc.SetLocalDescription(offer); err != nil {
			c.t.Fatal(err)
		}
		answer := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: created.body}
		if err := a.pc.SetRemoteDescription(answer); err != nil {
			c.t.Fatalf("%s: %v", how.name, err)
		}
		<-gathered
		candidates := fragmentOf(a.pc.LocalDescription().SDP)
		etag := created.Get("ETag")
		how.call(412, "PATCH", at, candidates, "Content-Type", fragment, "If-Match", strings.Replace(etag, `"`,
			`"x`, 1))
		how.call(204, "PATCH", at, candidates, "Content-Type", fragment, "If-Match", etag)
		a.waitMedia(c.t)
		restart := restarting(candidates)
		restarted := how.call(200, "PATCH", at, restart,
			append([]string{"Content-Type", fragment, "If-Match", "*"}, how.header...)...)
		how.call(204, "PATCH", at, restart, "Content-Type", fragment, "If-Match", restarted.Get("ETag"))
		how.call(200, "DELETE", at, "")
		if err := a.pc.Close(); err != nil {
			c.t.Error(err)
		}
	}
}

// behindBodies sends a body in chunks, a compressed one and a large one. The last two get an error code of the API.
func behindBodies(c client) {
	c.t.Helper()
	chunks := io.MultiReader(strings.NewReader(`{"hold_`), strings.NewReader(`seconds": 60}`))
	chunked := c.with(201, "POST", "/v1/reservations", chunks, "")
	c.call(204, "DELETE", "/v1/reservations/"+c.id(chunked), "")
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(`{"hold_seconds": 60}`))
	if err := w.Close(); err != nil {
		c.t.Fatal(err)
	}
	refused := c.with(415, "POST", "/v1/reservations", &b, "gzip")
	if !strings.Contains(refused.body, `"unsupported_media_type"`) {
		c.t.Errorf("a compressed body is refused by %s", refused.body)
	}
	large := c.with(413, "POST", "/v1/reservations", bytes.NewReader(bytes.Repeat([]byte(" "), 1<<20)), "")
	if !strings.Contains(large.body, `"too_large"`) {
		c.t.Errorf("a large body is refused by %s", large.body)
	}
}

// with makes a JSON request with a body of any kind.
func (c client) with(want int, method, path string, body io.Reader, encoding string) answer {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.token)
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	response, err := c.client.Do(request)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		c.t.Errorf("%s %s: status %d, %v; want %d: %s", method, path, response.StatusCode, err, want, text)
	}
	return answer{status: response.StatusCode, Header: response.Header, body: string(text)}
}

// behindEvents follows the events and receives each without delay.
func behindEvents(c client) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/v1/events", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Accept-Encoding", "gzip") // as browsers do
	response, err := c.client.Do(request)
	if err != nil {
		c.t.Fatalf("follow the events: %v", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		c.t.Fatalf("the events come with status %d by HTTP/%d; want 200 by HTTP/2",
			response.StatusCode, response.ProtoMajor)
	}
	stream := io.Reader(response.Body)
	if response.Header.Get("Content-Encoding") == "gzip" {
		if stream, err = gzip.NewReader(response.Body); err != nil {
			c.t.Fatalf("follow the events: %v", err)
		}
	}
	lines := bufio.NewScanner(stream)
	await := func(begin string) {
		c.t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), begin) {
				return
			}
		}
		c.t.Fatalf("the events end before %q: %v", begin, errors.Join(lines.Err(), ctx.Err()))
	}
	await("id: ")
	began := time.Now()
	made := c.call(201, "POST", "/v1/reservations", `{"hold_seconds": 60}`)
	await("event: reserved")
	c.call(204, "DELETE", "/v1/reservations/"+c.id(made), "")
	await("event: reservation_ended")
	// A proxy that buffers sends them with the next comment, after 15 s.
	if took := time.Since(began); took > 10*time.Second {
		c.t.Errorf("two events took %v", took)
	}
}

// behindLimits guesses tokens. Only the guessing address is locked out, whatever X-Forwarded-For it sends.
func behindLimits(v *viewpoint) {
	v.t.Helper()
	guesser := v.from("127.0.1.2", true)
	wrong := []string{"Authorization", "Bearer wrong-wrong-wrong-wrong", "X-Forwarded-For", "127.0.1.1"}
	for range 10 {
		guesser.call(401, "GET", "/v1/host", "", wrong...)
	}
	guesser.call(429, "GET", "/v1/host", "", wrong...)
	guesser.call(429, "GET", "/v1/host", "", "X-Forwarded-For", "127.0.1.3")
	v.from("127.0.1.1", true).call(200, "GET", "/v1/host", "")
	v.from("127.0.1.3", true).call(200, "GET", "/v1/host", "")
}

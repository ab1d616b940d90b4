//go:build integration

package endtoend

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// flood is a daemon with an attacker and an honest client, each at its own address.
type flood struct {
	t                *testing.T
	h                *host
	attacker, honest *link
}

func newFlood(t *testing.T, args ...string) *flood {
	t.Helper()
	links := newLinks(t, 2)
	ip(t, "-n", links[1].viewer, "route", "add", "default", "via", links[1].hostIP)
	args = append(args, "--display", "synthetic", "--virtual-size", "320x240")
	h := startExposed(t, links[0].host, links[0].hostIP, args...)
	return &flood{t, h, links[0], links[1]}
}

// dial connects from the attacker, with a small receive buffer.
func (f *flood) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	c, err := dialWithin(ctx, f.attacker.viewer, "tcp", strings.TrimPrefix(f.h.url, "https://"))
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4096)
	}
	return c, err
}

// dialTLS connects from the attacker and negotiates a protocol.
func (f *flood) dialTLS(protocol string) (net.Conn, error) {
	c, err := f.dial()
	if err != nil {
		return nil, err
	}
	// The test made the certificate itself.
	secured := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if err := secured.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if err := secured.HandshakeContext(f.t.Context()); err != nil {
		_ = c.Close()
		return nil, err
	}
	return secured, secured.SetDeadline(time.Time{})
}

// during runs an attack and measures requests of the honest client meanwhile, each on its own connection. The median of
// at least five is judged, since a stall of the machine may delay any one.
func (f *flood) during(attack func()) {
	f.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		attack()
	}()
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the test made the certificate itself
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialWithin(ctx, f.honest.viewer, network, strings.TrimPrefix(f.h.url, "https://"))
		},
	}
	c := client{f.t, &host{
		process: f.h.process, url: f.h.url, token: f.h.token, client: &http.Client{
			Transport: transport,
			Timeout:   patience,
		},
	}}
	var took []time.Duration
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for ended := false; !ended || len(took) < 5; {
		for _, path := range []string{"/readyz", "/v1/host"} {
			start := time.Now()
			c.call(200, "GET", path, "")
			took = append(took, time.Since(start))
		}
		select {
		case <-done:
			ended = true
		case <-tick.C:
		}
	}
	<-done
	slices.Sort(took)
	median := took[len(took)/2]
	f.t.Logf("%d requests meanwhile: median %v, longest %v", len(took), median, took[len(took)-1])
	if median > time.Second {
		f.t.Errorf("half of the requests meanwhile took %v and more; want 1 s at most", median)
	}
}

// h2load floods with requests for two seconds. It returns the number of answers by class of status.
func (f *flood) h2load(args ...string) (classes [6]int) {
	f.t.Helper()
	args = append([]string{"netns", "exec", f.attacker.viewer, "h2load", "-D", "2", "--warm-up-time=0"}, args...)
	cmd := exec.CommandContext(f.t.Context(), "ip", args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Errorf("h2load: %v\n%s", err, out)
	}
	for _, m := range regexp.MustCompile(`(\d+) ([2-5])xx`).FindAllSubmatch(out, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		classes[m[2][0]-'0'] = n
	}
	f.t.Logf("h2load %s: %v", strings.Join(args[6:], " "), classes)
	return classes
}

// refused returns the daemon's count of rate-limited requests.
func (f *flood) refused() float64 {
	return f.h.metric(f.t, `wavry_host_http_errors_total{code="too_many_requests"}`) +
		f.h.metric(f.t, `wavry_host_http_errors_total{code="too_many_attempts"}`)
}

// Floods of requests are refused and counted, other clients are served meanwhile, and nothing is left behind. The test
// runs alone, since h2load uses the whole machine.
func TestFloods(t *testing.T) {
	need(t, "h2load")
	f := newFlood(t)
	f.during(func() {}) // what is made once and kept
	before := usage(t, f.h)
	for _, c := range []struct {
		name string
		args []string
	}{
		{"HTTP/2 without a token", []string{"-c", "30", "-m", "100", f.h.url + "/v1/host"}},
		{"HTTP/2 with a wrong token", []string{
			"-c", "30", "-m", "100", "-H", "authorization: Bearer wrong-wrong-wrong-wrong", f.h.url + "/v1/host",
		}},
		{"HTTP/1.1, the page", []string{"--h1", "-c", "30", f.h.url + "/"}},
		{"HTTP/2, the largest answer", []string{"-c", "30", "-m", "100", f.h.url + "/v1/openapi.json"}},
		{"more connections than one address may have", []string{"--h1", "-c", "300", f.h.url + "/healthz"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &flood{t, f.h, f.attacker, f.honest}
			errorsBefore := f.h.metric(t, "wavry_host_http_errors_total")
			refused, cut := f.refused(), f.h.metric(t, "wavry_host_http_connections_cut_total")
			var classes [6]int
			f.during(func() { classes = f.h2load(c.args...) })
			if classes[5] > 0 {
				t.Errorf("%d answers say that the host is at fault", classes[5])
			}
			counted := f.h.metric(t, "wavry_host_http_errors_total") - errorsBefore
			refused, cut = f.refused()-refused, f.h.metric(t, "wavry_host_http_connections_cut_total")-cut
			t.Logf("%v requests refused, %v connections cut", refused, cut)
			if refused == 0 || counted < float64(classes[4]) {
				t.Errorf("%v requests were refused, %v of them because there were too many; want %d, and some of them",
					counted, refused, classes[4])
			}
			if strings.Contains(c.name, "connections") && cut == 0 {
				t.Error("no connection was cut because there were too many")
			}
			waitUsage(t, f.h, before)
		})
	}
	f.h.waitEmpty(t)
}

// Connections without a complete request are closed, other clients are served meanwhile, and nothing is left behind.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	f := newFlood(t)
	f.during(func() {})
	before := usage(t, f.h)
	h1 := func() (net.Conn, error) { return f.dialTLS("http/1.1") }
	h2 := func() (net.Conn, error) { return f.dialTLS("h2") }
	// A TLS handshake record of 512 bytes begins.
	hello := []byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3}
	// After preface and settings, a HEADERS frame of 100 bytes begins.
	frame := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 100, 1, 1, 0, 0, 0, 1, 0x82)
	header := "Host: " + f.attacker.hostIP + "\r\nAuthorization: Bearer " + f.h.token + "\r\n"
	body := "POST /v1/reservations HTTP/1.1\r\n" + header +
		"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
	const each = 15 // of 64 that an address may have
	var held sync.WaitGroup
	hold := func(name string, dial func() (net.Conn, error), text []byte) {
		for range each {
			c, err := begun(dial, text)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			held.Go(func() {
				defer c.Close()
				_ = c.SetReadDeadline(time.Now().Add(patience))
				if _, err := io.Copy(io.Discard, c); isTimeout(err) {
					t.Errorf("%s: a connection is held for more than %v", name, patience)
				}
			})
		}
	}
	f.during(func() {
		start := time.Now()
		hold("nothing is sent", f.dial, nil)
		hold("half a handshake", f.dial, hello)
		hold("half a header", h1, []byte("GET /v1/host HTTP/1.1\r\nHost: "))
		hold("half a body", h1, []byte(body))
		held.Wait()
		t.Logf("%d connections were held for %v at most", 4*each, time.Since(start))
	})
	// In HTTP/2 a partial header looks like an idle connection, which is closed after a minute or when connections run
	// short.
	idle := func() float64 { return f.h.metric(t, `wavry_host_http_connections_cut_total{reason="idle"}`) }
	if n := idle(); n > 0 {
		t.Errorf("%v idle connections were cut; want none", n)
	}
	var open []net.Conn
	for range 80 {
		c, err := begun(h2, frame)
		if err != nil {
			t.Fatalf("HTTP/2, half a header: %v", err)
		}
		defer c.Close()
		open = append(open, c)
	}
	eventually(t, patience, "idle connections give way", func() error {
		if n := idle(); n < 16 {
			return fmt.Errorf("%v did", n)
		}
		return nil
	})
	f.during(func() {})
	for _, c := range open {
		_ = c.Close()
	}
	waitUsage(t, f.h, before)
}

// begun connects and sends the beginning of a request.
func begun(dial func() (net.Conn, error), text []byte) (net.Conn, error) {
	c, err := dial()
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(text); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}

// Clients that subscribe to events without reading are disconnected. Other clients receive all events meanwhile, and
// the number of subscribers is bounded.
func TestSlowReadersOfEvents(t *testing.T) {
	t.Parallel()
	f := newFlood(t, "api.limits.requests_per_address=100000/s", "api.limits.requests=100000/s")
	f.during(func() {})
	before := usage(t, f.h)
	// The kernel's buffer for a connection is soon full.
	out, err := exec.CommandContext(t.Context(), "ip", "netns", "exec", f.attacker.host,
		"sh", "-c", "echo 4096 16384 65536 >/proc/sys/net/ipv4/tcp_wmem").CombinedOutput()
	if err != nil {
		t.Fatalf("limit the buffers: %v\n%s", err, out)
	}
	request := fmt.Sprintf("GET /v1/events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
		f.attacker.hostIP, f.h.token)
	for range 31 { // of 32 that may follow
		c, err := begun(func() (net.Conn, error) { return f.dialTLS("http/1.1") }, []byte(request))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		// It reads the beginning of the response and then stops.
		if _, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 200"))); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	follow, err := http.NewRequestWithContext(ctx, http.MethodGet, f.h.url+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	follow.Header.Set("Authorization", "Bearer "+f.h.token)
	follower := http.Client{Transport: f.h.client.Transport} // without the other's timeout
	response, err := follower.Do(follow)
	if err != nil {
		t.Fatalf("follow the events: %v", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("follow the events: status %d", response.StatusCode)
	}
	stream := response.Body
	c := client{t, f.h}
	c.call(503, "GET", "/v1/events", "")
	const rounds = 500
	received := make(chan int, 1)
	go func() {
		events := 0
		for lines := bufio.NewScanner(stream); events < 2*rounds && lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "event: reserv") {
				events++
			}
		}
		received <- events
	}()
	var took []time.Duration
	for range rounds {
		start := time.Now()
		id := c.id(c.call(201, "POST", "/v1/reservations", `{}`))
		c.call(204, "DELETE", "/v1/reservations/"+id, "")
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("two requests and two events took %v in the median, %v at most", took[rounds/2], took[rounds-1])
	if took[rounds/2] > time.Second {
		t.Error("requests wait for clients that do not read")
	}
	if events := <-received; events != 2*rounds {
		t.Errorf("a client that reads received %d events; want %d", events, 2*rounds)
	}
	_ = stream.Close()
	// Only the daemon can end these connections. The client's side does not notice before the kernel's buffers are
	// empty.
	waitUsage(t, f.h, before)
}

package api

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
)

// follower is a client of the events.
type follower struct {
	lines chan string // what it is sent, line by line; closed at the end
	end   context.CancelFunc
}

func follow(t *testing.T, by *http.Client, url, last string) *follower {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	response, err := by.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %s, %v", response.Status, response.Header)
	}
	f := &follower{lines: make(chan string, 100), end: cancel}
	go func() {
		defer close(f.lines)
		for s := bufio.NewScanner(response.Body); s.Scan(); {
			if s.Text() != "" && !strings.HasPrefix(s.Text(), ":") {
				f.lines <- s.Text()
			}
		}
	}()
	return f
}

func (f *follower) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-f.lines:
			if !strings.HasPrefix(got, w) {
				t.Fatalf("got %q; want %q", got, w)
			}
		case <-time.After(time.Minute):
			t.Fatalf("waited in vain for %q", w)
		}
	}
}

func TestEventsAreStreamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := healthy()
		m.happen("session_created")
		m.happen("session_connected")
		s, _ := newServer(t, Config{WriteTimeout: 400 * time.Millisecond, RequestTimeout: 200 * time.Millisecond}, m)
		ctx, cancel := context.WithCancel(t.Context())
		ln, ended := newPipes(), make(chan error, 1)
		go func() { ended <- s.serve(ctx, ln) }()
		const url = "http://localhost/v1/events"
		by := ln.client(t)

		fresh := follow(t, by, url, "")
		fresh.expect(t, "id: 2") // what it can come back with
		again := follow(t, by, url, "1")
		query := follow(t, by, url+"?after=0", "")
		again.expect(t, "id: 2", "event: session_connected", `data: {"id":2,`)
		query.expect(t, "id: 1", "event: session_created", "data: ", "id: 2", "event: session_connected", "data: ")
		time.Sleep(500 * time.Millisecond) // longer than any other request may take
		m.happen("quality_changed")
		for _, f := range []*follower{fresh, again, query} {
			f.expect(t, "id: 3", "event: quality_changed", `data: {"id":3,`)
		}
		restarted := follow(t, by, url, "4711")
		restarted.expect(t, "event: gap", `data: {"after":4711,"next":1}`, "id: 1")

		// When the daemon stops, the streams still send what happens, and then end.
		cancel()
		time.Sleep(farewell - time.Millisecond)
		m.happen("session_ended")
		fresh.expect(t, "id: 4", "event: session_ended", "data: ")
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if line, open := <-fresh.lines; open {
			t.Errorf("after the end came %q", line)
		}
	})
}

func TestFollowersAreLimited(t *testing.T) {
	addr, _ := run(t, Config{}, healthy())
	url := "http://" + addr + "/v1/events"
	var first *follower
	for i := range maxStreams {
		if f := follow(t, http.DefaultClient, url, ""); i == 0 {
			first = f
		}
	}
	status := func() int {
		response, err := http.Get(url) //nolint:noctx // the answer is short
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("one more than the limit gets %d; want 503", got)
	}
	first.end()
	for end := time.Now().Add(time.Minute); status() != http.StatusOK; {
		if time.Now().After(end) {
			t.Fatal("a place is not free again after a client went")
		}
	}
}

func TestBadEventIDIsRefused(t *testing.T) {
	s, _ := newServer(t, Config{Token: "0123456789abcdef"}, healthy())
	h := s.Handler()
	head := ask{
		method: "HEAD", path: "/v1/events",
		header: map[string]string{"Authorization": "Bearer 0123456789abcdef"},
	}.do(h)
	if head.StatusCode != http.StatusOK || head.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD gets %d, %v", head.StatusCode, head.Header)
	}
	if got := (ask{method: "GET", path: "/v1/events"}).do(h); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token: %d", got.StatusCode)
	}
	decode(t, ask{
		method: "GET", path: "/v1/events?after=-1",
		header: map[string]string{"Authorization": "Bearer 0123456789abcdef"},
	}.do(h), http.StatusBadRequest)
}

func TestTimeline(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	get := func(id string, want int) map[string]any {
		return decode(t, ask{method: "GET", path: "/v1/sessions/" + id + "/timeline"}.do(s.Handler()), want)
	}
	if got := get("s1", http.StatusOK); len(got["events"].([]any)) != 0 || got["complete"] != false {
		t.Errorf("a session without events: %v", got)
	}
	m.happen("session_created")
	m.past = append(m.past, session.EventRecord{ID: 2, Kind: "session_created", Session: "s0"},
		session.EventRecord{ID: 3, Kind: "drain"})
	m.happen("session_ended")
	m.past[3].Note = "enough"
	got := get("s1", http.StatusOK)
	list := got["events"].([]any)
	if len(list) != 2 || got["complete"] != true || list[0].(map[string]any)["id"] != 1.0 ||
		list[1].(map[string]any)["note"] != "enough" {
		t.Errorf("got %v; want the first and the fourth event, and that they are all", got)
	}
	if got := get("s0", http.StatusOK); len(got["events"].([]any)) != 1 {
		t.Errorf("a session that is gone: %v", got)
	}
	get("nobody", http.StatusNotFound)
	m.past = m.past[1:]
	if got := get("s1", http.StatusOK); got["complete"] != false {
		t.Errorf("the beginning is forgotten: %v", got)
	}
}

// Browsers and most clients use HTTP/2 over TLS, where a deadline ends the stream even if nothing is being written.
func TestEventsOverHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
		writePair(t, cert, key, "localhost")
		m := healthy()
		s, _ := newServer(t, Config{TLSCert: cert, TLSKey: key}, m)
		ctx, cancel := context.WithCancel(t.Context())
		ln := newPipes()
		done := make(chan error, 1)
		go func() { done <- s.serve(ctx, ln) }()
		transport := &http.Transport{
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return ln.dial(), nil },
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // it is the test's own
			ForceAttemptHTTP2: true,
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost/v1/events",
			http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request) //nolint:bodyclose // it is closed below, before the server ends
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
			t.Fatalf("%s over HTTP/%d", response.Status, response.ProtoMajor)
		}
		lines := make(chan string, 100)
		go func() {
			defer close(lines)
			for s := bufio.NewScanner(response.Body); s.Scan(); {
				if strings.HasPrefix(s.Text(), "event: ") {
					lines <- s.Text()
				}
			}
		}()
		for _, quiet := range []time.Duration{0, 12 * time.Second, 5 * time.Minute} {
			time.Sleep(quiet)
			m.happen("session_created")
			if line := <-lines; line != "event: session_created" {
				t.Errorf("after %v without events: %q", quiet, line)
			}
		}
		_ = response.Body.Close()
		for range lines {
		}
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

package api

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/api/content"
)

// sip reads one byte per second until the other side closes, and returns the duration.
func sip(conn net.Conn) time.Duration {
	start := time.Now()
	for b := make([]byte, 1); ; time.Sleep(time.Second) {
		if _, err := conn.Read(b); err != nil {
			return time.Since(start)
		}
	}
}

// Clients that read one byte per second are dropped, each kind within its limit, and do not delay clients that read.
func TestSlowReadersAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &recorded{fakeManager: healthy()}
		server, _ := newServer(t, Config{}, m)
		ctx, cancel := context.WithCancel(t.Context())
		ln, done := newPipes(), make(chan error, 1)
		go func() { done <- server.serve(ctx, ln) }()
		type slow struct {
			what string
			most time.Duration
			took chan time.Duration
		}
		var all []slow
		for _, c := range []struct {
			request string
			most    time.Duration
		}{
			{"GET /v1/events", writeTimeout},
			{"GET /v1/events?after=0", writeTimeout},
			{"GET /v1/sessions/s1/recording", 30 * time.Second},
			{"GET /v1/sessions", 30 * time.Second},
			{"GET /v1/openapi.json", content.StaticTimeout},
			{"GET /", content.StaticTimeout},
		} {
			conn := ln.dial()
			t.Cleanup(func() { _ = conn.Close() })
			s := slow{c.request, c.most, make(chan time.Duration, 1)}
			all = append(all, s)
			_, _ = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", c.request)
			go func() { s.took <- sip(conn) }()
		}
		fast := follow(t, ln.client(t), "http://localhost/v1/events", "")
		fast.expect(t, "id: 0")
		for n := range 60 {
			time.Sleep(time.Second)
			at := time.Now()
			m.happen("quality_changed")
			fast.expect(t, fmt.Sprint("id: ", n+1), "event: quality_changed", "data: ")
			if took := time.Since(at); took > time.Millisecond {
				t.Fatalf("event %d came after %v", n+1, took)
			}
		}
		for _, s := range all {
			select {
			case took := <-s.took:
				if took > s.most+time.Second {
					t.Errorf("%s: dropped after %v; want %v at most", s.what, took, s.most)
				}
			default:
				t.Errorf("%s: still served after a minute", s.what)
			}
		}
		fast.end()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// recorded is a manager with a large recording.
type recorded struct{ *fakeManager }

func (m *recorded) WriteRecording(_ string, w io.Writer) error {
	_, err := w.Write(make([]byte, 1<<20))
	return err
}

// A client that reads at the speed of a slow line gets the whole recording, however long it takes.
func TestHonestReaderOfARecordingGetsAllOfIt(t *testing.T) {
	bubble(t, &recorded{fakeManager: healthy()}, func(ln *pipes) {
		conn := ln.dial()
		defer conn.Close()
		_, _ = io.WriteString(conn,
			"GET /v1/sessions/s1/recording HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		sum, part := 0, make([]byte, 16<<10) // 16 kB a second
		for {
			n, err := io.ReadFull(resp.Body, part)
			sum += n
			if err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if sum != 1<<20 {
			t.Errorf("got %d bytes of %d", sum, 1<<20)
		}
	})
}

// Requests that stop halfway, of each kind, are cut off, and do not delay others.
func TestHalfOpenRequestsAreCutOff(t *testing.T) {
	for _, secure := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := Config{}
			if secure {
				dir := t.TempDir()
				cfg.TLSCert, cfg.TLSKey = filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
				writePair(t, cfg.TLSCert, cfg.TLSKey, "localhost")
			}
			s, _ := newServer(t, cfg, healthy())
			ctx, cancel := context.WithCancel(t.Context())
			ln, done := newPipes(), make(chan error, 1)
			go func() { done <- s.serve(ctx, ln) }()
			const each = 30
			took := make(chan string, 4*each)
			post := "PUT /v1/drain HTTP/1.1\r\nHost: localhost\r\n" +
				"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
			for what, text := range map[string]string{
				"nothing": "", "a byte": "\x16",
				"half a header": "GET / HTTP/1.1\r\nHo", "half a body": post,
			} {
				for range each {
					conn, encrypted := ln.dial(), secure && len(text) > 1
					defer conn.Close()
					if encrypted {
						conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // our own
					}
					go func() {
						began := time.Now()
						_, _ = io.WriteString(conn, text)
						_, _ = io.Copy(io.Discard, conn)
						took <- fmt.Sprint(what, " ", time.Since(began).Round(time.Second))
					}()
				}
			}
			time.Sleep(time.Second)
			client := ln.client(t)
			url := "http://localhost/healthz"
			if secure {
				url = "https://localhost/healthz"
				own := &tls.Config{InsecureSkipVerify: true}             //nolint:gosec // the test's own server
				client.Transport.(*http.Transport).TLSClientConfig = own //nolint:forcetypeassert // set above
			}
			at := time.Now()
			resp, err := client.Get(url) //nolint:noctx // in a bubble
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK || time.Since(at) > time.Millisecond {
				t.Errorf("an honest client: %d after %v", resp.StatusCode, time.Since(at))
			}
			client.CloseIdleConnections()
			for range 4 * each {
				if got := <-took; got != "nothing 5s" && got != "a byte 5s" && got != "half a header 5s" &&
					got != "half a body 10s" {
					t.Errorf("TLS %v: cut off after %s; want 5s for a header and 10s for a body", secure, got)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

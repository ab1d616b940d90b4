package api

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// trickle writes text, a byte a second, until the other side has enough, and tells how long that took.
func trickle(conn io.Writer, text string) time.Duration {
	start := time.Now()
	for i := range len(text) {
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			break
		}
		time.Sleep(time.Second)
	}
	return time.Since(start)
}

// A client that always sends a little is cut off as one that sends nothing, and takes no time from others.
func TestSlowLoris(t *testing.T) {
	bubble(t, healthy(), func(ln *pipes) {
		const many = 200
		took := make(chan time.Duration, many)
		for range many {
			conn := ln.dial()
			defer conn.Close()
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			go func() { took <- trickle(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("X: y\r\n", 100)) }()
		}
		time.Sleep(3500 * time.Millisecond)
		conn := ln.dial()
		defer conn.Close()
		start := time.Now()
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := read(t, resp); got.StatusCode != http.StatusOK || time.Since(start) > time.Millisecond {
			t.Errorf("an honest client beside %d slow ones: %d after %v", many, got.StatusCode, time.Since(start))
		}
		for range many {
			if d := <-took; d < 5*time.Second || d > 7*time.Second {
				t.Fatalf("cut off after %v; want the read header timeout of 5s", d)
			}
		}
	})
}

func TestTrickledBodyIsCutOff(t *testing.T) {
	bubble(t, healthy(), func(ln *pipes) {
		conn := ln.dial()
		defer conn.Close()
		_, _ = io.WriteString(conn, "POST /v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
		took := make(chan time.Duration, 1)
		go func() { took <- trickle(conn, strings.Repeat(" ", 1000)) }()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := refusal(t, read(t, resp)); got != CodeSlowRequest {
			t.Errorf("got %s", got)
		}
		if d := <-took; d < 10*time.Second || d > 12*time.Second {
			t.Errorf("cut off after %v; want the read timeout of 10s", d)
		}
	})
}

// A client that does not read its answer does not hold the connection for longer than an answer may take.
func TestClientThatDoesNotReadIsCutOff(t *testing.T) {
	bubble(t, healthy(), func(ln *pipes) {
		conn := ln.dial()
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
		time.Sleep(31 * time.Second)
		got, _ := io.ReadAll(conn)
		if len(got) > 8<<10 {
			t.Errorf("after 31s of silence it still sent %d bytes", len(got))
		}
	})
}

func TestHugeHeaders(t *testing.T) {
	for _, c := range []struct {
		name, header string
		json         bool // the answer is the API's own
	}{
		{"a long value", "X-Long: " + strings.Repeat("x", 20<<10) + "\r\n", true},
		{"a long name", strings.Repeat("X", 20<<10) + ": y\r\n", true},
		{"many lines", strings.Repeat("A: b\r\n", 4000), true},
		{"a long value beyond what is read", "X-Long: " + strings.Repeat("x", 1<<20) + "\r\n", false},
		{"many lines beyond what is read", strings.Repeat("A: b\r\n", 200_000), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, healthy(), func(ln *pipes) {
				conn := ln.dial()
				defer conn.Close()
				go func() {
					_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"+c.header+"\r\n") // it is cut off where it is too long
				}()
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got := read(t, resp)
				if c.json {
					if code := refusal(t, got); code != CodeHeaderTooLarge {
						t.Errorf("got %s", code)
					}
					return
				}
				if got.StatusCode != http.StatusRequestHeaderFieldsTooLarge || len(got.body) > 100 {
					t.Errorf("got %d %q", got.StatusCode, got.body)
				}
			})
		})
	}
}

// What the header announces and the body is not is the client's fault.
func TestBodyThatIsNotAsAnnounced(t *testing.T) {
	for name, rest := range map[string]string{
		"chunks that are none":  "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
		"a chunk that is huge":  "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
		"a chunk without end":   "Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx\r\n",
		"a chunk size too long": "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0", 5000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, healthy(), func(ln *pipes) {
				conn := ln.dial()
				defer conn.Close()
				go func() {
					_, _ = io.WriteString(conn, "POST /v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+rest) // it may be cut off
				}()
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if got := refusal(t, read(t, resp)); got != CodeBadRequest {
					t.Errorf("got %s; want bad_request", got)
				}
			})
		})
	}
}

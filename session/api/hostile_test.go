package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// trickle writes text, one byte per second, until the other side closes. It returns the duration.
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

// A client that sends its whole body before it reads the answer, as nginx does, learns that the body is too large.
func TestLargeBodyIsReadBeforeItIsRefused(t *testing.T) {
	for name, size := range map[string]int{"just too large": defaultMaxBody + 1, "a megabyte": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			bubble(t, healthy(), func(ln *pipes) {
				conn := ln.dial()
				defer conn.Close()
				_, err := fmt.Fprintf(conn, "POST /v1/reservations HTTP/1.1\r\nHost: localhost\r\n"+
					"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat(" ", size))
				if err != nil {
					t.Fatalf("the body is not read: %v", err)
				}
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if got := read(t, resp); got.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("it is answered %d; want 413", got.StatusCode)
				}
			})
		})
	}
}

// A client that sends a byte now and then is cut off like a silent one, and does not delay others.
func TestSlowLoris(t *testing.T) {
	bubble(t, healthy(), func(ln *pipes) {
		const many = 200
		took := make(chan time.Duration, many)
		for range many {
			conn := ln.dial()
			defer conn.Close()
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			go func() {
				took <- trickle(conn,
					"GET / HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("X: y\r\n", 100))
			}()
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
		_, _ = io.WriteString(conn,
			"PUT /v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
		took := make(chan time.Duration, 1)
		go func() { took <- trickle(conn, strings.Repeat(" ", 1000)) }()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := refusal(t, read(t, resp)); got != problem.SlowRequest {
			t.Errorf("got %s", got)
		}
		if d := <-took; d < 10*time.Second || d > 12*time.Second {
			t.Errorf("cut off after %v; want the read timeout of 10s", d)
		}
	})
}

// A client that does not read its answer occupies the connection at most for the write timeout.
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
					// The text is shortened.
					_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"+c.header+"\r\n")
				}()
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got := read(t, resp)
				if c.json {
					if code := refusal(t, got); code != problem.HeaderTooLarge {
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

// If the body is not what the header announces, that is the client's fault.
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
					_, _ = io.WriteString(conn,
						"PUT /v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+rest) // it may be cut off
				}()
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if got := refusal(t, read(t, resp)); got != problem.BadRequest {
					t.Errorf("got %s; want bad_request", got)
				}
			})
		})
	}
}

// A client that hangs up in the middle of its body is not an error of the daemon.
func TestClientThatVanishesInItsBody(t *testing.T) {
	for name, rest := range map[string]string{
		"a body with a length": "Content-Length: 100\r\n\r\n{",
		"a chunk":              "Transfer-Encoding: chunked\r\n\r\n20\r\n{",
		"no body yet":          "Content-Length: 100\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := newServer(t, Config{}, healthy())
				ctx, cancel := context.WithCancel(t.Context())
				ln := newPipes()
				done := make(chan error, 1)
				go func() { done <- s.serve(ctx, ln) }()
				conn := ln.dial()
				_, _ = io.WriteString(conn,
					"PUT /v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+rest)
				synctest.Wait() // for the rest
				_ = conn.Close()
				synctest.Wait()
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				for code, want := range map[problem.Code]float64{
					problem.ClientGone: 1, problem.Internal: 0,
					problem.BadRequest: 0,
				} {
					if got := testutil.ToFloat64(s.metrics.errors.WithLabelValues(string(code))); got != want {
						t.Errorf("%s is counted %v times; want %v", code, got, want)
					}
				}
			})
		})
	}
}

func TestHostileBodies(t *testing.T) {
	s, reg := newServer(t, Config{MaxBody: 1 << 20}, healthy())
	deep := func(open, value, end string) string {
		return strings.Repeat(open, 100_000) + value + strings.Repeat(end, 100_000)
	}
	for name, body := range map[string]string{
		"deep lists":            deep("[", "", "]"),
		"deep objects":          deep(`{"a":`, "1", "}"),
		"deep lists in a field": `{"deadline_seconds":` + deep("[", "", "]") + `}`,
		"lists without end":     strings.Repeat("[", 100_000),
		"a name twice":          `{"deadline_seconds": 1, "deadline_seconds": 2}`,
		"a name twice, escaped": `{"deadline_seconds": 1, "deadline\u005fseconds": 2}`,
		"a name in two cases":   `{"deadline_seconds": 1, "Deadline_Seconds": 2}`,
		"two values":            `{"deadline_seconds": 1}{"deadline_seconds": 2}`,
		"a value and a rest":    `{"deadline_seconds": 1} x`,
		"a huge number":         `{"deadline_seconds": 1` + strings.Repeat("0", 1000) + `}`,
		"no number":             `{"deadline_seconds": NaN}`,
		"a mark in front":       "\ufeff" + `{"deadline_seconds": 1}`,
		"no text":               "{\"deadline_seconds\": 1, \"\xff\": 2}",
		"a null byte":           "{\"deadline_seconds\": 1}\x00",
		"unknown names":         `{"deadline_seconds": 1, "__proto__": {"policy": "end"}}`,
	} {
		header := map[string]string{"Content-Type": content.JSON}
		if got := refusal(t, ask{
			method: "PUT", path: "/v1/drain", header: header,
			body: body,
		}.do(s.Handler())); got != problem.BadJSON {
			t.Errorf("%s: %s", name, got)
		}
	}
	if n := panics(t, reg); n != 0 {
		t.Errorf("%v panics", n)
	}
}

// panics returns the number of requests that panicked.
func panics(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "wavry_host_http_panics_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("panics are not counted")
	return 0
}

// An ID in a path leads to the object with that ID, and nowhere else.
func TestHostileNames(t *testing.T) {
	m := healthy()
	m.create = func(_ context.Context, o session.Offer) (session.Answer, error) {
		return session.Answer{}, fmt.Errorf("%w: %.80q", session.ErrUnknownDisplay, o.Display)
	}
	s, reg := newServer(t, Config{Limits: edge.Limits{PerAddress: 10_000}}, m)
	names := []string{
		"..", ".", "%2e%2e", "%2e", "..%2f..%2f..%2fetc%2fpasswd", "%2f", "s1%2f", "%2fs1", "a%2fb", "..%5c",
		"%00", "s1%00", "s1%00.json", "s1%20", "%20s1", "S1", "s1;x=1",
		"s1%0d%0aX-Injected:%20y", "%0a", "%c3%28", "%ff%fe", "s%E2%80%AE1", "%EF%BC%8F", "\u017f1", "*", "-1",
		"0", "null", "undefined", "%25", "%2525", "{id}", "$", "~",
		"<script>", "%3Cscript%3E", "%22", "'", "`", "%7f", strings.Repeat("x", 8000), strings.Repeat("%2e",
			2000), strings.Repeat("../", 1000),
	}
	asked := 0
	for _, rt := range s.routes(nil) {
		at := strings.IndexByte(rt.Path, '{')
		if at < 0 || strings.Contains(rt.Path, "{$}") || rt.Method == http.MethodOptions { // it asks for no object
			continue
		}
		header, body := "", ""
		switch rt.Method + " " + rt.Path {
		case "POST /whep/{display}":
			header, body = "Content-Type: "+whep.TypeSDP+"\r\n", "v=0"
		case "PATCH /whep/sessions/{id}":
			header, body = "Content-Type: "+whep.TypeFragment+"\r\nIf-Match: *\r\n", "a=x"
		case "PATCH /v1/sessions/{id}":
			header, body = "Content-Type: "+content.JSON+"\r\n", `{"weight": 1}`
		}
		for _, name := range names {
			path := rt.Path[:at] + name + rt.Path[strings.IndexByte(rt.Path, '}')+1:]
			text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s",
				rt.Method, path, header, len(body), body)
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
			if err != nil {
				continue // net/http itself refuses such a one
			}
			asked++
			r.RemoteAddr = "192.0.2.1:1"
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			got := reply{w.Code, w.Header(), w.Body.String()}
			if w.Code < 400 || w.Code >= 500 {
				t.Errorf("%s %.100s: %d", rt.Method, path, w.Code)
				continue
			}
			refusal(t, got)
			if w.Header().Get("X-Injected") != "" || len(got.body) > 1000 ||
				strings.ContainsAny(strings.TrimSuffix(got.body, "\n"), "\x00\r\n<") {
				t.Errorf("%s %.100s: %v %q", rt.Method, path, w.Header(), got.body)
			}
		}
	}
	if asked < 200 {
		t.Errorf("%d requests came as far as the handler", asked)
	}
	if n := panics(t, reg); n != 0 {
		t.Errorf("%v panics", n)
	}
}

// Of many simultaneous requests with the same single-session grant, one succeeds.
func TestGrantForOneSessionIsUsedOnce(t *testing.T) {
	i, v := newIssuer(t)
	m := healthy()
	together := make(chan struct{})
	m.create = func(context.Context, session.Offer) (session.Answer, error) {
		<-together
		return session.Answer{ID: "s1", SDP: "v=0", ETag: `"e"`}, nil
	}
	s, _ := newServer(t, Config{Grants: v}, m)
	q := openings(bearer(i.sign("j1", "ann", `{"role":"viewer","once":true}`)))["POST /whep"]
	const many = 50
	answers := make(chan int, many)
	for range many {
		go func() { answers <- q.do(s.Handler()).StatusCode }()
	}
	for range many - 1 {
		if got := <-answers; got != http.StatusForbidden {
			t.Errorf("got %d; want 403", got)
		}
	}
	close(together)
	if got := <-answers; got != http.StatusCreated {
		t.Errorf("the one that has it: %d", got)
	}
}

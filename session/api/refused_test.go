package api

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/session"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/content"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/whep"
)

// wrongCredentials returns invalid credentials of each kind, and the file of tokens for them.
func wrongCredentials(t *testing.T, i *issuer) (file string, of map[string]string) {
	t.Helper()
	var lines []string
	of = map[string]string{
		"none": "", "short": "x", "unknown": strings.Repeat("x", 32),
		"long": strings.Repeat("x", 8<<10),
	}
	for name, limit := range map[string]string{
		"expired": "until=2001-01-01T00:00:00Z", "elsewhere": "networks=203.0.113.0/24",
		"other display": "displays=none",
	} {
		token, line, err := auth.NewToken(strings.ReplaceAll(name, " ", "-"), "viewer", limit)
		if err != nil {
			t.Fatal(err)
		}
		of[name] = token
		lines = append(lines, line)
	}
	file = filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	good := i.sign("j1", "ann", `{"role":"viewer"}`)
	of["forged grant"] = good[:len(good)-8] + "AAAAAAAA"
	of["grant of no role"] = i.sign("j2", "ann", `{}`)
	of["grant of yesterday"] = i.signFor("j3", "ann", `{"role":"viewer"}`, time.Now().Add(-24*time.Hour),
		time.Now().Add(-23*time.Hour))
	of["grant for another display"] = i.sign("j4", "ann", `{"role":"viewer","displays":["none"]}`)
	of["grant for another network"] = i.sign("j5", "ann", `{"role":"viewer","networks":["203.0.113.0/24"]}`)
	return file, of
}

// A thousand refused requests of each kind (credential, offer, fragment, body, name) leave no session, reservation,
// goroutine or file behind.
func TestRefusedRequestsLeaveNothingBehind(t *testing.T) {
	const each = 1000
	// The session that is there before never connects.
	r := openRush(t, func(c *session.Config) { c.ConnectTimeout = time.Hour })
	i, v := newIssuer(t)
	file, wrong := wrongCredentials(t, i)
	reg := prometheus.NewRegistry()
	s, err := New(Config{
		Token: token, TokensFile: file, Grants: v, Audit: io.Discard,
		Limits: edge.Limits{PerAddress: 1_000_000, InAll: 1_000_000, Attempts: 1_000_000},
	}, PartsOf(r.Manager), reg, NewMetrics(reg), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	with := func(credential, kind string, more ...string) map[string]string {
		header := bearer(credential)
		if credential == "" {
			header = map[string]string{}
		}
		header["Content-Type"] = kind
		for n := 0; n < len(more); n += 2 {
			header[more[n]] = more[n+1]
		}
		return header
	}
	offer := ask{method: "POST", path: "/whep/default", header: with(token, whep.TypeSDP), body: r.offer}
	made := offer.do(s.Handler())
	if made.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", made.StatusCode, made.body)
	}
	own := "/whep/" + made.Header.Get("Location")
	kinds := make(map[string]ask)
	for name, credential := range wrong {
		kinds["credential: "+name] = ask{method: "POST", path: offer.path, header: with(credential,
			whep.TypeSDP), body: r.offer, remote: "192.0.2.1:1"}
	}
	for name, body := range map[string]string{
		"empty": "", "no SDP": "hello", "not UTF-8": "v=0\r\n\xff", "cut off": r.offer[:len(r.offer)/8],
		"large":            strings.Repeat("a=x\r\n", 20_000),
		"audio alone":      strings.ReplaceAll(r.offer, "m=video", "m=audio"),
		"no codec of ours": strings.NewReplacer("H264", "H999", "VP9", "VP8").Replace(r.offer),
	} {
		kinds["offer: "+name] = ask{method: "POST", path: offer.path, header: offer.header, body: body}
	}
	etag := made.Header.Get("ETag")
	for name, body := range map[string]string{
		"empty": "", "not UTF-8": "\xff", "large": strings.Repeat("a=x\r\n", 20_000),
		"half a restart": "a=ice-ufrag:abcd\r\n",
	} {
		kinds["fragment: "+name] = ask{method: "PATCH", path: own, header: with(token, whep.TypeFragment,
			"If-Match", etag), body: body}
	}
	good := "a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n"
	kinds["fragment: stale tag"] = ask{method: "PATCH", path: own, header: with(token, whep.TypeFragment,
		"If-Match", `"x"`), body: good}
	kinds["fragment: no tag"] = ask{method: "PATCH", path: own, header: with(token, whep.TypeFragment), body: good}
	kinds["fragment: no session"] = ask{method: "PATCH", path: "/whep/sessions/none", header: with(token,
		whep.TypeFragment, "If-Match", "*"), body: good}
	kinds["fragment: of another type"] = ask{method: "PATCH", path: own, header: with(token, content.JSON,
		"If-Match", "*"), body: good}
	for route, body := range map[string]string{
		"POST /v1/sessions": `{"sdp": "v=0"}`, "PATCH /v1/sessions/none": `{"weight": 0}`, "POST /v1/reservations": "{",
		"POST /v1/revocations": "{}", "PUT /v1/cordon": "[]", "PUT /v1/drain": `{"unknown": 1}`,
		"POST /v1/sessions/none/control": strings.Repeat("[", 30_000),
	} {
		method, path, _ := strings.Cut(route, " ")
		kinds["body to "+route] = ask{method: method, path: path, header: with(token, content.JSON), body: body}
	}
	kinds["name: no display"] = ask{method: "POST", path: "/whep/none", header: offer.header, body: r.offer}
	kinds["name: no reservation"] = ask{
		method: "POST", path: "/whep/default?reservation=none",
		header: offer.header, body: r.offer,
	}
	kinds["name: no session"] = ask{method: "DELETE", path: "/whep/sessions/none", header: with(token, "")}
	kinds["name: no recording"] = ask{method: "GET", path: "/v1/sessions/none/recording", header: with(token, "")}
	kinds["name: no route"] = ask{method: "POST", path: "/v1/none", header: with(token, "")}
	kinds["name: another host"] = ask{
		method: "POST", path: offer.path, header: offer.header, body: r.offer,
		host: "evil.example",
	}
	kinds["origin"] = ask{method: "POST", path: offer.path, header: with(token, whep.TypeSDP, "Origin",
		"https://evil.example"), body: r.offer}

	do := func(times int) {
		for name, q := range kinds {
			for range times {
				if got := q.do(s.Handler()).StatusCode; got < 400 || got >= 500 &&
					got != http.StatusServiceUnavailable {
					t.Fatalf("%s: %d", name, got)
				}
			}
		}
	}
	do(each / 4) // what starts with the first requests, and what the session begins late, is running then
	held := func() string { return fmt.Sprint(len(r.Sessions()), len(r.Reservations().List()), s.access.Len()) }
	before, goroutines, files := held(), runtime.NumGoroutine(), len(openFiles(t))
	do(each)
	if after := held(); after != before {
		t.Errorf("sessions, reservations and owners: %s; want %s as before", after, before)
	}
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
		g, f := runtime.NumGoroutine(), len(openFiles(t))
		if g <= goroutines && f <= files {
			break
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines and %d files; want %d and %d as before:\n%s", g, f, goroutines, files,
				stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func openFiles(t *testing.T) []os.DirEntry {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not tell which files are open")
	}
	return list
}

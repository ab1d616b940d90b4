package api

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/api/edge"
	"wavryhost/session/api/problem"
)

func TestFloodIsRefused(t *testing.T) {
	s, _ := newServer(t, Config{Limits: edge.Limits{PerAddress: 1}}, healthy())
	last := reply{}
	for n := 0; n < 1000 && last.StatusCode != http.StatusTooManyRequests; n++ { // some are paid for meanwhile
		last = ask{method: "GET", path: "/healthz"}.do(s.Handler())
	}
	if refusal(t, last) != problem.TooManyRequests || last.Header.Get("Retry-After") == "" {
		t.Errorf("%s", last.body)
	}
}

// A client that downloads large public answers uses no more of the uplink than a stream does.
func TestLargeAnswersCountForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, Config{Token: token, Limits: edge.Limits{PerAddress: 20, InAll: 200}}, healthy())
		fetch := func(remote string) (taken, size int) {
			for range 60 {
				if r := (ask{
					method: "GET", path: "/v1/openapi.json",
					remote: remote,
				}).do(s.Handler()); r.StatusCode == http.StatusOK {
					taken++
					size = len(r.body)
				}
			}
			return taken, size
		}
		_, size := fetch("192.0.2.1:1") // what is allowed at once
		time.Sleep(10 * time.Second)    // the time of 200 requests
		if taken, _ := fetch("192.0.2.1:1"); taken < 2 || taken > 1+200/(1+size/8192) {
			t.Errorf("a stranger gets %d answers of %d bytes in the time of 200 requests; want one for each %d bytes",
				taken, size, 8192)
		}
		if taken, _ := fetch("127.0.0.1:1"); taken != 60 {
			t.Errorf("this machine gets %d of 60", taken)
		}
	})
}

// caller is a connection from an address.
type caller struct {
	net.Conn
	from string
}

func (c caller) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

// The HTTP server closes the right connections, too.
func TestServerCutsWhoHoldsItsConnections(t *testing.T) {
	bubble(t, healthy(), func(ln *pipes) {
		call := func() net.Conn {
			ours, theirs := net.Pipe()
			ln.conns <- caller{theirs, "192.0.2.1:1"}
			time.Sleep(time.Millisecond) // each is a little older than the next
			return ours
		}
		cut := func(c net.Conn) bool {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			return errors.Is(err, io.EOF)
		}
		asked := call()
		_, _ = io.WriteString(asked, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(asked), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = read(t, resp)
		resp.Body.Close()
		var silent []net.Conn
		for range 63 {
			silent = append(silent, call())
		}
		if cut(asked) {
			t.Error("a connection was cut before there were too many")
		}
		silent = append(silent, call())
		if !cut(asked) {
			t.Error("the one that waits for its next request did not make room")
		}
		if c := call(); cut(c) || !cut(silent[0]) || cut(silent[1]) {
			t.Error("the one that has said nothing for longest does not make room for the next")
		}
		time.Sleep(6 * time.Second)
		for _, c := range silent {
			if !cut(c) {
				t.Fatal("one that says nothing is kept")
			}
		}
		if c := call(); cut(c) {
			t.Error("the address is shut out for good")
		}
	})
}

package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/watched"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// writePair writes a fresh self-signed certificate for name and loopback.
func writePair(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// run serves m until the test ends. It returns the address.
func run(t *testing.T, cfg Config, m manager) (addr string, stop func() error) {
	t.Helper()
	_, addr, stop = start(t, cfg, m)
	return addr, stop
}

// start is run, and also returns the Server.
func start(t *testing.T, cfg Config, m manager) (s *Server, addr string, stop func() error) {
	t.Helper()
	ready := make(chan net.Addr, 1)
	cfg.Listen = "127.0.0.1:0"
	cfg.Ready = func(a net.Addr) { ready <- a }
	s, _ = newServer(t, cfg, m)
	if s.Addr() != nil {
		t.Error("it has an address before it listens")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	select {
	case a := <-ready:
		if s.Addr().String() != a.String() {
			t.Errorf("Addr %v; want %v", s.Addr(), a)
		}
		return s, a.String(), stop
	case err := <-done:
		done <- err
		t.Fatalf("Run: %v", err)
		return nil, "", nil
	}
}

// get returns the status and the protocol's major version.
func get(t *testing.T, c *http.Client, url string) (status, proto int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.ProtoMajor
}

func TestRun(t *testing.T) {
	addr, stop := run(t, Config{}, healthy())
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	if status, _ := get(t, c, "http://"+addr+"/healthz"); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
	if err := stop(); err != nil {
		t.Errorf("Run ended with %v; want nil", err)
	}
	if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

func TestRunSaysWhyItCannotListen(t *testing.T) {
	addr, _ := run(t, Config{}, healthy())
	s, _ := newServer(t, Config{Listen: addr}, healthy())
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("got %v; want an error that names %s", err, addr)
	}
}

func TestTLSFollowsItsFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writePair(t, cert, key, "first.example")
	addr, _ := run(t, Config{TLSCert: cert, TLSKey: key}, healthy())
	name := func() string {
		//nolint:gosec // what the certificate says is looked at here
		d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
		conn, err := d.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		state := conn.(*tls.Conn).ConnectionState()
		if state.Version != tls.VersionTLS13 {
			t.Errorf("TLS version %x", state.Version)
		}
		return state.PeerCertificates[0].DNSNames[0]
	}
	if got := name(); got != "first.example" {
		t.Fatalf("serves %s", got)
	}
	// A client with an older version of TLS.
	old := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}} //nolint:gosec // ours
	if conn, err := old.DialContext(t.Context(), "tcp", addr); err == nil {
		conn.Close()
		t.Error("TLS 1.2 is taken")
	}
	roots := x509.NewCertPool()
	b, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(b)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs:    roots,
		MinVersion: tls.VersionTLS13,
	}, ForceAttemptHTTP2: true}}
	defer c.CloseIdleConnections()
	if status, proto := get(t, c, "https://"+addr+"/healthz"); status != http.StatusOK || proto != 2 {
		t.Errorf("verified request: %d over HTTP/%d; want 200 over HTTP/2", status, proto)
	}

	writePair(t, cert, key, "second.example")
	deadline := time.Now().Add(10 * time.Second)
	for name() != "second.example" {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not served")
		}
	}
}

func TestBrokenCertificateKeepsTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
		writePair(t, cert, key, "first.example")
		s, _ := newServer(t, Config{TLSCert: cert, TLSKey: key}, healthy())
		if err := os.WriteFile(cert, []byte("half a certi"), 0o600); err != nil {
			t.Fatal(err)
		}
		settle(func() { s.cert.Current() })
		if !s.cert.Valid("first.example") {
			t.Error("a broken file took the certificate away")
		}
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		settle(func() { s.cert.Current() })
		if !s.cert.Valid("first.example") {
			t.Error("a missing file took the certificate away")
		}
		writePair(t, cert, key, "second.example")
		if s.cert.Valid("second.example") {
			t.Errorf("the files are looked at more than once in %v", watched.Every)
		}
		settle(func() { s.cert.Current() })
		if !s.cert.Valid("second.example") {
			t.Error("the repaired files are not taken")
		}
	})
}

// A renewal as certbot makes it, step by step, with everything that can go wrong: the old pair stays in use until a
// complete new one exists, the log names the file, and the metric has the end of the certificate in use.
func TestRenewalOfTheCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for _, n := range []string{"1", "2", "3"} {
			if err := os.Mkdir(filepath.Join(dir, n), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
		live := at("live")
		// link switches to another folder of the pair, atomically.
		link := func(to string) {
			err := os.Symlink(to, live+".next")
			if err == nil {
				err = os.Rename(live+".next", live)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		writePair(t, at("1", "c.pem"), at("1", "k.pem"), "first.example")
		link("1")
		var log bytes.Buffer
		reg := prometheus.NewRegistry()
		s, err := New(Config{Token: token, TLSCert: at("live", "c.pem"), TLSKey: at("live", "k.pem")},
			healthy(), reg, NewMetrics(reg),
			slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		first := s.cert.Current().Leaf.NotAfter
		holds := func(what, name string, end time.Time, said string) {
			t.Helper()
			settle(func() { s.cert.Current() })
			if !s.cert.Valid(name) {
				t.Errorf("%s: the certificate is for %v; want %s", what, s.cert.Current().Leaf.DNSNames, name)
			}
			// The previous steps took some seconds.
			if got := testutil.ToFloat64(s.metrics.certificateEnd) - float64(end.Unix()); got < 0 || got > 30 {
				t.Errorf("%s: the metric says that it ends %v s after %v", what, got, end)
			}
			if !strings.Contains(log.String(), said) {
				t.Errorf("%s: the log lacks %q: %s", what, said, &log)
			}
			log.Reset()
		}
		time.Sleep(10 * time.Minute)
		writePair(t, at("2", "c.pem"), at("2", "k.pem"), "second.example")
		if err := os.Rename(at("2", "k.pem"), at("2", "later")); err != nil {
			t.Fatal(err)
		}
		link("2")
		holds("the key is not there yet", "first.example", first, at("live", "k.pem"))
		if err := os.Rename(at("2", "later"), at("2", "k.pem")); err != nil {
			t.Fatal(err)
		}
		second := first.Add(10 * time.Minute)
		holds("the key is there", "second.example", second, "reloaded")

		time.Sleep(10 * time.Minute)
		writePair(t, at("3", "c.pem"), at("3", "k.pem"), "third.example")
		if err := os.Chmod(at("3", "k.pem"), 0o666); err != nil {
			t.Fatal(err)
		}
		link("3")
		holds("others may write the key", "second.example", second, at("live", "k.pem"))
		if err := os.Chmod(at("3", "k.pem"), 0o600); err != nil {
			t.Fatal(err)
		}
		third := second.Add(10 * time.Minute)
		holds("the mode is put right", "third.example", third, "reloaded")

		// The authority's certificate comes before the server's own.
		own, err := os.ReadFile(at("3", "c.pem"))
		if err != nil {
			t.Fatal(err)
		}
		authority := newAuthority(t).pem
		if err := os.WriteFile(at("3", "c.pem"), append(slices.Clone(authority), own...), 0o600); err != nil {
			t.Fatal(err)
		}
		holds("the chain is in the wrong order", "third.example", third, at("live", "c.pem"))
		if err := os.WriteFile(at("3", "c.pem"), append(slices.Clone(own), authority...), 0o600); err != nil {
			t.Fatal(err)
		}
		holds("the chain is in order", "third.example", third, "reloaded")
		if n := len(s.cert.Current().Certificate); n != 2 {
			t.Errorf("the chain has %d certificates", n)
		}
	})
}

// settle waits until files that were written have been looked at twice.
func settle(look func()) {
	time.Sleep(watched.Every)
	look()
	time.Sleep(watched.Settle)
	look()
}

func TestNewRefusesABrokenCertificate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.pem")
	cfg := Config{TLSCert: file, TLSKey: file}
	if _, err := New(cfg, healthy(), nil, nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg, healthy(), nil, nil, nil); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("broken file: %v", err)
	}
}

// pipes is a listener whose connections are pipes, which use the bubble's clock.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// client is an HTTP client whose connections are pipes to the listener.
func (p *pipes) client(t *testing.T) *http.Client {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn,
		error,
	) {
		return p.dial(), nil
	}}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// bubble serves m over pipes and calls f.
func bubble(t *testing.T, m manager, f func(*pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, Config{}, m)
		ctx, cancel := context.WithCancel(t.Context())
		ln := newPipes()
		done := make(chan error, 1)
		go func() { done <- s.serve(ctx, ln) }()
		f(ln)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

func TestSlowBodyIsCutOff(t *testing.T) {
	bubble(t, healthy(), func(ln *pipes) {
		conn := ln.dial()
		defer conn.Close()
		start := time.Now()
		_, _ = io.WriteString(conn,
			"POST /whep/default HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: 10\r\n\r\nv=")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := refusal(t, read(t, resp)); got != problem.SlowRequest {
			t.Errorf("got %s", got)
		}
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("cut off after %v; want the read timeout of 10s", took)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the connection stays open: %v", err)
		}
	})
}

func TestSlowHeaderIsCutOff(t *testing.T) {
	bubble(t, healthy(), func(ln *pipes) {
		conn := ln.dial()
		defer conn.Close()
		start := time.Now()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: local")
		_, _ = io.Copy(io.Discard, conn)
		if took := time.Since(start); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("cut off after %v; want the read header timeout of 5s", took)
		}
	})
}

func TestIdleConnectionIsClosed(t *testing.T) {
	bubble(t, healthy(), func(ln *pipes) {
		conn := ln.dial()
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		start := time.Now()
		_, _ = io.Copy(io.Discard, conn)
		if took := time.Since(start); took != time.Minute {
			t.Errorf("closed after %v; want the idle timeout of 1m", took)
		}
	})
}

// The read deadline of net/http continues while a handler works. Opening a session may take longer.
func TestSlowHostIsNotMistakenForAVanishedClient(t *testing.T) {
	m := healthy()
	m.create = func(ctx context.Context, _ session.Offer) (session.Answer, error) {
		select {
		case <-time.After(12 * time.Second):
			return session.Answer{ID: "s1", SDP: "v=0\r\n", ETag: `"e1"`}, nil
		case <-ctx.Done():
			return session.Answer{}, ctx.Err()
		}
	}
	bubble(t, m, func(ln *pipes) {
		conn := ln.dial()
		defer conn.Close()
		_, _ = io.WriteString(conn,
			"POST /whep/default HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: 2\r\n\r\nv=")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Errorf("got %d; want 201", resp.StatusCode)
		}
	})
}

func TestRequestThatTheHostCannotFinish(t *testing.T) {
	m := healthy()
	m.create = func(ctx context.Context, _ session.Offer) (session.Answer, error) {
		<-ctx.Done()
		return session.Answer{}, ctx.Err()
	}
	bubble(t, m, func(ln *pipes) {
		conn := ln.dial()
		defer conn.Close()
		start := time.Now()
		_, _ = io.WriteString(conn,
			"POST /whep/default HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: 2\r\n\r\nv=")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := refusal(t, read(t, resp)); got != problem.Timeout || time.Since(start) != 15*time.Second {
			t.Errorf("got %s after %v; want timeout after 15s", got, time.Since(start))
		}
	})
}

func TestShutdownIsBounded(t *testing.T) {
	m := healthy()
	entered := make(chan struct{})
	m.create = func(ctx context.Context, _ session.Offer) (session.Answer, error) {
		close(entered)
		<-ctx.Done()
		return session.Answer{}, ctx.Err()
	}
	synctest.Test(t, func(t *testing.T) {
		entered = make(chan struct{})
		s, _ := newServer(t, Config{}, m)
		ctx, cancel := context.WithCancel(t.Context())
		ln := newPipes()
		done := make(chan error, 1)
		go func() { done <- s.serve(ctx, ln) }()
		conn := ln.dial()
		defer conn.Close()
		_, _ = io.WriteString(conn,
			"POST /whep/default HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: 2\r\n\r\nv=")
		<-entered
		start := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("shutdown took %v; want the 5s that it may", took)
		}
	})
}

package fleet_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy passes a connection on, until it stops without a word, as when a cable is cut.
type proxy struct {
	ln net.Listener

	mu    sync.Mutex
	conns []net.Conn
	cut   bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			var dialer net.Dialer
			d, err := dialer.DialContext(context.Background(), "tcp", u.Host)
			if err != nil {
				_ = c.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, c, d)
			p.mu.Unlock()
			wg.Go(func() { p.pass(c, d) })
			wg.Go(func() { p.pass(d, c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		wg.Wait()
	})
	return p
}

// pass copies until the proxy is cut. After that it reads, and passes nothing on.
func (p *proxy) pass(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		cut := p.cut
		p.mu.Unlock()
		if err != nil {
			_ = to.Close()
			return
		}
		if cut {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			_, _ = io.Copy(io.Discard, from)
			return
		}
	}
}

func (p *proxy) url() string { return "nats://" + p.ln.Addr().String() }

func (p *proxy) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
}

// heal ends the connections that were cut, and passes on new ones.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns, p.cut = nil, false
}

package edge

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/pires/go-proxyproto"
)

// conn is a connection that has a place, or waits for one.
type conn struct {
	net.Conn
	owner *Listener
	from  netip.Prefix
	// placed is closed when the connection gets a place, gone when it is closed. Both are nil if it had a place at
	// once.
	placed, gone chan struct{}
	// since is when the connection was accepted. idle is since when it waits for its next request. asked reports
	// whether it has made a request.
	since, idle time.Time
	asked       bool
}

// Read waits until the connection has a place. Nothing is read from a connection without one.
func (c *conn) Read(p []byte) (int, error) {
	if c.placed == nil {
		return c.Conn.Read(p)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.placed:
		return c.Conn.Read(p)
	case <-c.gone:
		return 0, net.ErrClosed
	case <-timer.C:
		return 0, os.ErrDeadlineExceeded
	}
}

// Close gives the place to the next connection.
func (c *conn) Close() error {
	err := c.Conn.Close()
	l := c.owner
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := slices.Index(l.queue, c); at >= 0 {
		l.queue = slices.Delete(l.queue, at, at+1)
		close(c.gone)
	}
	l.release(c)
	return err
}

// connOf returns the conn below a server's connection; nil if a Listener did not accept it.
func connOf(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if p, ok := c.(*proxyproto.Conn); ok {
		c = p.Raw()
	}
	own, _ := c.(*conn)
	return own
}

// Track is the ConnState of a http.Server: it notes which connections wait for a request.
func Track(c net.Conn, state http.ConnState) {
	own := connOf(c)
	if own == nil {
		return
	}
	l := own.owner
	l.mu.Lock()
	own.idle = time.Time{}
	if state == http.StateIdle {
		own.idle = time.Now()
	}
	needed := state == http.StateIdle && local(own.from) && len(l.queue) > 0
	l.mu.Unlock()
	if needed {
		l.cfg.Cut(cutIdle)
		_ = own.Close()
	}
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// WithConn is the ConnContext of a http.Server: it adds the connection to the context of its requests.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, connOf(c))
}

// maxBacklog bounds the bytes in the socket's buffer that a client of the event stream may leave unread.
const maxBacklog = 64 << 10

// BoundBacklog bounds the write buffer of a request's connection, so that a write blocks soon when the client does not
// read. By default Linux would buffer megabytes.
func BoundBacklog(ctx context.Context) {
	own, _ := ctx.Value(connKey{}).(*conn)
	if own == nil {
		return
	}
	if tcp, ok := own.Conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(maxBacklog) // else the system's own bound applies
	}
}

// Heard notes that the header of a request has arrived completely.
func Heard(ctx context.Context) {
	own, _ := ctx.Value(connKey{}).(*conn)
	if own == nil {
		return
	}
	own.owner.mu.Lock()
	defer own.owner.mu.Unlock()
	own.asked = true
}

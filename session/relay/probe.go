package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"wavryhost/platform/guard"
)

// prober probes servers over the network. Each probe has its own socket, which is closed when the probe returns.
type prober struct {
	// sources returns the local addresses to use; nil leaves the choice to the system.
	sources func() []netip.Addr
	logs    logging.LoggerFactory
	// roots verify certificates; nil means the system's.
	roots *x509.CertPool
	guard *guard.Guard
}

// feed passes received data to a client, until one of the two fails.
func feed(to *turn.Client, from net.PacketConn) error {
	for buffer := make([]byte, 2048); ; {
		n, sender, err := from.ReadFrom(buffer)
		if err == nil {
			_, err = to.HandleInbound(buffer[:n], sender)
		}
		if err != nil {
			return err
		}
	}
}

// probe sends a request to the server at a: for an address, or with credentials for a relayed address, which is
// released at once. It returns the round-trip time.
func (p prober) probe(ctx context.Context, a address, username, credential string) (rtt time.Duration, err error) {
	conn, err := p.dial(ctx, a)
	if err != nil {
		return 0, err
	}
	at := conn.RemoteAddr().String()
	var packets net.PacketConn = &datagrams{Conn: conn}
	if a.tcp {
		packets = turn.NewSTUNConn(conn)
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: at, TURNServerAddr: at, Username: username, Password: credential, Conn: packets,
		LoggerFactory: p.logs,
	})
	if err != nil {
		return 0, fmt.Errorf("ask %s: %w", at, joined(err, conn.Close()))
	}
	// The client waits longer for answers than a probe, and does not notice that its socket is closed.
	ctx, cancel := context.WithCancelCause(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		var broken error
		if p := p.guard.Run(part, func() { broken = feed(client, packets) }); p != nil {
			broken = p
		}
		cancel(broken)
	})
	stop := context.AfterFunc(ctx, client.Close)
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause // the client itself only knows that it was closed
		}
		stop()
		client.Close()
		_ = conn.Close() // ends the reader
		reading.Wait()
		cancel(nil)
	}()
	began := time.Now()
	if !a.turn {
		_, err = client.SendBindingRequest()
		return time.Since(began), err
	}
	relayed, err := client.AllocateWithContext(ctx)
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	// Close sends a Refresh with a lifetime of 0 (RFC 8656, section 7.1), whose answer does not matter.
	return took / 2, relayed.Close() // two round trips: the first answer is a refusal with a nonce
}

// dial connects to the server.
func (p prober) dial(ctx context.Context, a address) (net.Conn, error) {
	conn, err := p.connect(ctx, a.protocol(), net.JoinHostPort(a.host, a.port))
	if err != nil || !a.secure {
		return conn, err
	}
	if a.tcp {
		secure := tls.Client(conn, &tls.Config{ServerName: a.host, MinVersion: tls.VersionTLS12, RootCAs: p.roots})
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, joined(encryption(ctx, err), conn.Close())
		}
		return secure, nil
	}
	secure, err := dtls.ClientWithOptions(&datagrams{Conn: conn}, conn.RemoteAddr(),
		dtls.WithServerName(a.host), dtls.WithRootCAs(p.roots), dtls.WithLoggerFactory(p.logs))
	if err == nil {
		err = secure.HandshakeContext(ctx)
	}
	if err != nil {
		return nil, joined(encryption(ctx, err), conn.Close())
	}
	return secure, nil
}

// encryption marks err as a TLS error, unless the time was up.
func encryption(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return tlsError{err}
}

func (p prober) connect(ctx context.Context, network, at string) (net.Conn, error) {
	if p.sources == nil {
		return (&net.Dialer{}).DialContext(ctx, network, at)
	}
	err := ErrNoSource
	for _, source := range p.sources() {
		var d net.Dialer
		d.LocalAddr = &net.UDPAddr{IP: source.AsSlice(), Zone: source.Zone()}
		if network == "tcp" {
			d.LocalAddr = &net.TCPAddr{IP: source.AsSlice(), Zone: source.Zone()}
		}
		conn, failed := d.DialContext(ctx, network, at)
		if failed == nil {
			return conn, nil
		}
		err = failed
	}
	return nil, err
}

// joined returns err. The error of the cleanup after it adds nothing.
func joined(err, _ error) error { return err }

// datagrams is a connected socket. It accepts only the address that it is connected to.
type datagrams struct{ net.Conn }

var _ net.PacketConn = (*datagrams)(nil)

func (d *datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := d.Read(b)
	return n, d.RemoteAddr(), err
}

func (d *datagrams) WriteTo(b []byte, _ net.Addr) (int, error) { return d.Write(b) }

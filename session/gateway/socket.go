package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

const (
	// dialTimeout bounds the connection and, again, the TLS handshake.
	dialTimeout = 10 * time.Second
	// upgradeTimeout bounds the whole handshake. It is long: an aborted handshake occupies one of this address's places
	// at Wavry's gateway as long as the gateway runs.
	upgradeTimeout = time.Minute
	// writeTimeout is how long the gateway may accept no data.
	writeTimeout = 10 * time.Second
	// closeTimeout bounds the closing handshake.
	closeTimeout = 2 * time.Second
	// maxHeader bounds the header of a reply, in bytes.
	maxHeader = 32 << 10
)

// Wavry's gateway drops a connection that sends more than 600 frames in a minute, including pings and pongs. This rate
// and burst make 540 in any minute.
const (
	sendRate  = 8
	sendBurst = 60
)

// The rate at which messages are read. Further messages wait at the gateway, by TCP flow control.
const (
	readRate  = 50
	readBurst = 500
)

var errPin = errors.New("none of the presented certificates is pinned")

// socket is one connection to a gateway.
type socket struct {
	ws  *websocket.Conn
	raw net.Conn
	// budget bounds the sent frames, intake the received ones.
	budget, intake *rate.Limiter
}

// client returns an HTTP client for the gateway. It follows no redirects, which could send secrets elsewhere. The
// caller closes its idle connections. opened, which may be nil, gets the underlying connection.
func (l *Link) client(opened func(net.Conn)) *http.Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		conn, err := l.dial(ctx, network, addr)
		if err == nil && opened != nil {
			opened(conn)
		}
		return conn, err
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dial, TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: maxHeader,
			TLSClientConfig: &tls.Config{
				MinVersion: tls.VersionTLS12, RootCAs: l.cfg.RootCAs,
				VerifyConnection: l.verify,
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// verify requires a pinned certificate, after the chain was verified.
func (l *Link) verify(state tls.ConnectionState) error {
	if len(l.pins) == 0 {
		return nil
	}
	for _, c := range state.PeerCertificates {
		if _, ok := l.pins[sha256.Sum256(c.Raw)]; ok {
			return nil
		}
	}
	return errPin
}

// open opens the WebSocket.
func (l *Link) open(ctx context.Context) (*socket, error) {
	ctx, cancel := context.WithTimeout(ctx, upgradeTimeout)
	defer cancel()
	s := &socket{budget: rate.NewLimiter(sendRate, sendBurst), intake: rate.NewLimiter(readRate, readBurst)}
	header := http.Header{}
	if l.cfg.Origin != "" {
		header.Set("Origin", l.cfg.Origin)
	}
	client := l.client(func(c net.Conn) { s.raw = c })
	defer client.CloseIdleConnections()                                         // that of a refusal
	ws, response, err := websocket.Dial(ctx, l.cfg.URL, &websocket.DialOptions{ //nolint:bodyclose // the library does
		HTTPClient: client, HTTPHeader: header,
		// A ping costs one of the received frames, and its pong one of the sent ones.
		OnPingReceived: func(ctx context.Context, _ []byte) bool {
			return s.intake.Wait(ctx) == nil &&
				s.budget.Allow()
		},
	})
	if err != nil {
		if response != nil {
			return nil, refusedUpgrade(response.StatusCode, err)
		}
		return nil, failed(dialClass(err), "connect: %w", err)
	}
	ws.SetReadLimit(maxFrame)
	s.ws = ws
	return s, nil
}

// refusedUpgrade returns the error for a reply other than 101.
func refusedUpgrade(status int, err error) error {
	switch {
	case status == http.StatusForbidden:
		return failed(ClassOrigin, "connect: the gateway does not allow this Origin (status 403)")
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return failed(ClassCapacity,
			"connect: the gateway has no room for a connection from this address (%s)", statusText(status))
	case status >= 500 && status != http.StatusNotImplemented:
		return failed(ClassServer, "connect: %s", statusText(status))
	case status == http.StatusSwitchingProtocols:
		return failed(ClassProtocol, "connect: %w", err)
	default:
		return failed(ClassProtocol, "connect: there is no gateway at this URL (%s)", statusText(status))
	}
}

// dialClass returns the class of an error of an HTTP client.
func dialClass(err error) Class {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return ClassTLS
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok { // a server answers, but not in TLS
		return ClassTLS
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok || errors.Is(err, errPin) {
		return ClassTLS
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return ClassTimeout
	}
	return ClassNetwork
}

// write sends a text frame within the rate limit.
func (s *socket) write(ctx context.Context, frame []byte) error {
	if err := s.budget.Wait(ctx); err != nil {
		return err
	}
	inner, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := s.ws.Write(inner, websocket.MessageText, frame)
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && inner.Err() != nil:
		return failed(ClassTimeout, "send: the gateway has taken no data for %v", writeTimeout)
	default:
		return failed(ClassNetwork, "send: %w", err)
	}
}

// read returns the next frame; text is false for a binary one. It ends when the socket is closed, or with ctx, which
// breaks the connection.
func (s *socket) read(ctx context.Context) (frame []byte, text bool, err error) {
	if err := s.intake.Wait(ctx); err != nil {
		return nil, false, err
	}
	kind, frame, err := s.ws.Read(ctx)
	switch {
	case err == nil:
		return frame, kind == websocket.MessageText, nil
	case errors.Is(err, websocket.ErrMessageTooBig):
		return nil, false, failed(ClassServer, "receive: a message is over %d bytes", maxFrame)
	default:
		return nil, false, failed(ClassNetwork, "receive: %w", err)
	}
}

// ping checks that the gateway answers. Another goroutine must read meanwhile.
func (s *socket) ping(ctx context.Context, within time.Duration) error {
	if err := s.budget.Wait(ctx); err != nil {
		return err
	}
	inner, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := s.ws.Ping(inner)
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && inner.Err() != nil:
		return failed(ClassTimeout, "the gateway has not answered a ping within %v", within)
	default:
		return failed(ClassNetwork, "ping: %w", err)
	}
}

// close ends the connection with a closing handshake, or without it if the gateway takes too long. The connection has
// ended when close returns, so the next one cannot overtake it.
func (s *socket) close() {
	cut := time.AfterFunc(closeTimeout, func() { s.raw.Close() })
	defer cut.Stop()
	_ = s.ws.Close(websocket.StatusNormalClosure, "") // it is closed in any case
}

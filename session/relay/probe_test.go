package relay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

// silent is a factory of loggers that say nothing.
func silent() logging.LoggerFactory {
	f := logging.NewDefaultLoggerFactory()
	f.DefaultLogLevel = logging.LogLevelDisabled
	return f
}

// relayServer is pion's TURN server on loopback, over UDP and TCP.
type relayServer struct {
	udp, tcp string // URLs' host and port
	full     atomic.Bool
	held     atomic.Int32 // allocations
}

func startRelay(t *testing.T, secret string) *relayServer {
	t.Helper()
	r := &relayServer{}
	packets, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logs := silent()
	here := &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"}
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "test", LoggerFactory: logs, AuthHandler: turn.LongTermTURNRESTAuthHandler(secret, logs.NewLogger("auth")),
		QuotaHandler:      func(string, string, net.Addr) bool { return !r.full.Load() },
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: packets, RelayAddressGenerator: here}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: stream, RelayAddressGenerator: here}},
		EventHandler: turn.EventHandler{
			OnAllocationCreated: func(_, _ net.Addr, _, _, _ string, _ net.Addr, _ int) { r.held.Add(1) },
			OnAllocationDeleted: func(_, _ net.Addr, _, _, _ string) { r.held.Add(-1) },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	r.udp, r.tcp = packets.LocalAddr().String(), stream.Addr().String()
	return r
}

// ask probes url with credentials of a secret.
func ask(t *testing.T, p prober, url, secret string, within time.Duration) (time.Duration, Reason, string) {
	t.Helper()
	a, err := parse(url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	s := Server{Secret: secret, Lifetime: time.Hour}.For("probe", time.Now())
	rtt, err := p.probe(ctx, a, s.Username, s.Credential)
	if err == nil {
		return rtt, "", ""
	}
	reason, text := reasonOf(err)
	return rtt, reason, text
}

func TestProbe(t *testing.T) {
	r := startRelay(t, "north")
	gone, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := gone.LocalAddr().String()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	mute, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	secure := startTLS(t)
	p := prober{logs: silent()}
	for _, c := range []struct {
		name, url, secret string
		want              Reason
	}{
		{"stun", "stun:" + r.udp, "", ""},
		{"turn over UDP", "turn:" + r.udp, "north", ""},
		{"turn over TCP", "turn:" + r.tcp + "?transport=tcp", "north", ""},
		{"wrong secret", "turn:" + r.udp, "south", ReasonUnauthorized},
		{"wrong secret over TCP", "turn:" + r.tcp + "?transport=tcp", "south", ReasonUnauthorized},
		{"nobody there", "turn:" + nobody, "north", ReasonUnreachable},
		{"nobody there for TCP", "turn:" + nobody + "?transport=tcp", "north", ReasonUnreachable},
		{"no answer", "turn:" + mute.LocalAddr().String(), "north", ReasonTimeout},
		{"no answer to STUN", "stun:" + mute.LocalAddr().String(), "", ReasonTimeout},
		{"a certificate of nobody", "turns:" + secure, "north", ReasonTLS},
		{"no TLS spoken", "stuns:" + r.tcp, "", ReasonTLS},
		{"no such name", "stun:not..a.name", "", ReasonDNS},
	} {
		t.Run(c.name, func(t *testing.T) {
			within := 10 * time.Second
			if c.want == ReasonTimeout {
				within = 300 * time.Millisecond
			}
			rtt, got, text := ask(t, p, c.url, c.secret, within)
			if got != c.want {
				t.Errorf("got %q, %s; want %q", got, text, c.want)
			}
			if got == "" && (rtt <= 0 || rtt > 5*time.Second) {
				t.Errorf("round trip %v", rtt)
			}
			if strings.Contains(text, "north") || strings.Contains(text, "south") {
				t.Errorf("%q holds a secret", text)
			}
		})
	}
	r.full.Store(true)
	if _, got, text := ask(t, p, "turn:"+r.udp, "north", 10*time.Second); got != ReasonRefused || !strings.Contains(text, "486") {
		t.Errorf("with a quota used up: %q, %s", got, text)
	}
	for deadline := time.Now().Add(10 * time.Second); r.held.Load() != 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d allocations are left at the server", r.held.Load())
		}
	}
}

func TestExpiredCredential(t *testing.T) {
	r := startRelay(t, "north")
	user, credential := Credentials("north", "probe", time.Now().Add(-time.Minute))
	a, err := parse("turn:" + r.udp)
	if err != nil {
		t.Fatal(err)
	}
	_, err = prober{logs: silent()}.probe(t.Context(), a, user, credential)
	if reason, text := reasonOf(err); reason != ReasonUnauthorized {
		t.Errorf("got %q, %s; want unauthorized", reason, text)
	}
}

func TestProbeComesFromWhereMediaDoes(t *testing.T) {
	r := startRelay(t, "north")
	p := prober{logs: silent(), sources: func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.9")} }}
	if _, got, text := ask(t, p, "turn:"+r.udp, "north", 10*time.Second); got != "" {
		t.Errorf("got %q, %s", got, text)
	}
	conn, err := p.connect(t.Context(), "tcp", r.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if from := conn.LocalAddr().(*net.TCPAddr).IP.String(); from != "127.0.0.9" {
		t.Errorf("it came from %s; want 127.0.0.9", from)
	}
	p.sources = func() []netip.Addr { return nil }
	if _, got, _ := ask(t, p, "turn:"+r.udp, "north", 10*time.Second); got != ReasonUnreachable {
		t.Errorf("without an address that may be used: %q; want unreachable", got)
	}
}

// startTLS listens for TLS with a certificate that nobody vouches for.
func startTLS(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).HandshakeContext(t.Context())
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

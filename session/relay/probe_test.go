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
	udp, tcp, tls string // URLs' host and port
	roots         *x509.CertPool
	full          atomic.Bool
	held          atomic.Int32 // allocations
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
	certificate, roots := newCertificate(t)
	secure, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	logs := silent()
	here := &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"}
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "test", LoggerFactory: logs, AuthHandler: turn.LongTermTURNRESTAuthHandler(secret,
			logs.NewLogger("auth")),
		QuotaHandler:      func(string, string, net.Addr) bool { return !r.full.Load() },
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: packets, RelayAddressGenerator: here}},
		ListenerConfigs: []turn.ListenerConfig{
			{Listener: stream, RelayAddressGenerator: here},
			{Listener: secure, RelayAddressGenerator: here},
		},
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
	r.udp, r.tcp, r.tls, r.roots = packets.LocalAddr().String(), stream.Addr().String(), secure.Addr().String(), roots
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
	s := Server{Secret: secret, Lifetime: time.Hour}.For("probe", time.Now(), time.Time{})
	rtt, err := p.probe(ctx, a, s.Username, s.Credential)
	if err == nil {
		return rtt, "", ""
	}
	reason, text := reasonOf(err)
	return rtt, reason, text
}

func TestProbe(t *testing.T) {
	r := startRelay(t, "north")
	// Ports that systems hand out could become another program's meanwhile, and one of UDP another's of TCP.
	const nobody = "127.0.0.1:1"
	mute, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
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
		{"a certificate of nobody", "turns:" + r.tls, "north", ReasonTLS},
		{"no TLS spoken", "stuns:" + r.tcp, "", ReasonTLS},
		{"no such name", "stun:not..a.name", "", ReasonDNS},
	} {
		t.Run(c.name, func(t *testing.T) {
			within := time.Minute
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
	trusting := prober{logs: silent(), roots: r.roots}
	for _, url := range []string{"turns:" + r.tls, "stuns:" + r.tls} {
		if _, got, text := ask(t, trusting, url, "north", 10*time.Second); got != "" {
			t.Errorf("%s, with a certificate that is good: %q, %s", url, got, text)
		}
	}
	r.full.Store(true)
	if _, got, text := ask(t, p, "turn:"+r.udp, "north", 10*time.Second); got != ReasonRefused ||
		!strings.Contains(text, "486") {
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

// newCertificate returns a certificate for 127.0.0.1 that vouches for itself.
func newCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

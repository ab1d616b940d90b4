package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wavryhost/session/gateway/gatewaytest"
)

// patience is for what never comes: under the race detector, on a machine whose processors others have, a session
// takes seconds to come about, and a link may wait for 16 s before that.
const patience = time.Minute

// soon waits on the real clock until ok, for tests over sockets.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-end.C:
			t.Fatalf("%s: not within %v", what, patience)
		case <-tick.C:
		}
	}
}

// run runs a link over sockets until the test ends.
func run(t *testing.T, cfg Config, mgr manager) *Link {
	t.Helper()
	link, err := New(cfg, mgr, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := link.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return link
}

func TestTheGatewaysCertificateIsChecked(t *testing.T) {
	g := gatewaytest.New(gatewaytest.Config{})
	g.Register("host", email, password)
	server := httptest.NewUnstartedServer(g)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	defer g.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	sum := sha256.Sum256(server.Certificate().Raw)
	pin := hex.EncodeToString(sum[:])
	other := strings.Repeat("0", 64)
	for _, c := range []struct {
		name  string
		roots *x509.CertPool
		pins  []string
		host  string
		class Class
	}{
		{"trusted", roots, nil, "", ClassNone},
		{"trusted and pinned", roots, []string{other, strings.ToUpper(pin[:2]) + ":" + pin[2:]}, "", ClassNone},
		{"trusted, another pinned", roots, []string{other}, "", ClassTLS},
		{"pinned and not trusted", x509.NewCertPool(), []string{pin}, "", ClassTLS},
		{"of another name", roots, nil, "localhost", ClassTLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := "wss" + strings.TrimPrefix(server.URL, "https") + "/ws"
			if c.host != "" {
				url = strings.Replace(url, "127.0.0.1", c.host, 1)
			}
			link := run(t, Config{
				URL: url, AccountFile: "account",
				ReadFile: (&files{data: map[string]string{"account": accountFile(password)}}).read,
				Allow:    []string{"alice"}, RootCAs: c.roots, Pins: c.pins,
			}, &fakeManager{})
			if c.class == ClassNone {
				soon(t, "bound", func() bool { return link.Status().State == StateBound.String() })
				return
			}
			soon(t, "refused", func() bool { return link.Status().Class != "" })
			if s := link.Status(); s.Class != c.class.String() || s.State != StateBlocked.String() {
				t.Errorf("link is %+v; want %v", s, c.class)
			}
		})
	}
	if n := g.Seen().Logins; n != 2 {
		t.Errorf("%d logins; want 2: no password may go to a gateway that is not trusted", n)
	}
}

// A redirect does not take the password elsewhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := gatewaytest.New(gatewaytest.Config{})
	trap := httptest.NewServer(elsewhere)
	defer trap.Close()
	front := httptest.NewServer(redirect(trap.URL + "/auth/login"))
	defer front.Close()
	link := run(t, Config{
		URL: "ws" + strings.TrimPrefix(front.URL, "http") + "/ws", AccountFile: "account",
		ReadFile: (&files{data: map[string]string{"account": accountFile(password)}}).read, Allow: []string{"alice"},
	}, &fakeManager{})
	soon(t, "blocked", func() bool { return link.Status().State == StateBlocked.String() })
	if s := link.Status(); s.Class != ClassProtocol.String() || elsewhere.Seen().Logins != 0 {
		t.Errorf("link is %+v, %d logins elsewhere", s, elsewhere.Seen().Logins)
	}
}

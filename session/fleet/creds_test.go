package fleet_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/fleettest"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// issuer makes accounts and credentials as nsc does.
type issuer struct {
	t                 *testing.T
	operator, account nkeys.KeyPair
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t}
	var err error
	if i.operator, err = nkeys.CreateOperator(); err != nil {
		t.Fatal(err)
	}
	if i.account, err = nkeys.CreateAccount(); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *issuer) public(k nkeys.KeyPair) string {
	i.t.Helper()
	public, err := k.PublicKey()
	if err != nil {
		i.t.Fatal(err)
	}
	return public
}

// configure makes a server accept the credentials, over TLS.
func (i *issuer) configure(cert tls.Certificate) func(*server.Options) {
	i.t.Helper()
	claims := jwt.NewOperatorClaims(i.public(i.operator))
	account := jwt.NewAccountClaims(i.public(i.account))
	token, err := account.Encode(i.operator)
	if err != nil {
		i.t.Fatal(err)
	}
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(i.public(i.account), token); err != nil {
		i.t.Fatal(err)
	}
	return func(o *server.Options) {
		o.TrustedOperators, o.AccountResolver = []*jwt.OperatorClaims{claims}, resolver
		o.TLS, o.TLSConfig = true, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
}

// file makes a file with credentials that allow p, until a time.
func (i *issuer) file(p bus.Permissions, until time.Time) string {
	i.t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		i.t.Fatal(err)
	}
	u := jwt.NewUserClaims(i.public(pair))
	u.Expires = until.Unix()
	u.Pub.Allow, u.Sub.Allow = p.Publish, p.Subscribe
	if p.Answers > 0 {
		u.Resp = &jwt.ResponsePermission{MaxMsgs: p.Answers, Expires: p.AnswerTime}
	}
	token, err := u.Encode(i.account)
	if err != nil {
		i.t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		i.t.Fatal(err)
	}
	path := filepath.Join(i.t.TempDir(), "host.creds")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

// certificate returns a certificate for this machine, and its authority.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nats"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, one, one, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// Hosts and gateways log in with credentials files over TLS. Another authority, and credentials that have expired
// or are missing, are refused with a reason.
func TestCredentialsOverTLS(t *testing.T) {
	t.Parallel()
	cert, roots := certificate(t)
	_, others := certificate(t)
	i := newIssuer(t)
	s := fleettest.Server(t, i.configure(cert))
	url := strings.Replace(s.ClientURL(), "nats://", "tls://", 1)
	later := time.Now().Add(time.Hour)
	member := func(id *bus.Identity, creds string, roots *x509.CertPool) *member {
		h := fleettest.NewHost("a", "b1", nil)
		return joinWith(t, fleet.Config{
			Bus:  bus.Config{URL: url, Identity: id, CredentialsFile: creds, RootCAs: roots},
			Beat: testBeat, Gone: testGone, Serve: h.Serve,
		}, h)
	}
	id := fleettest.Identity(t)
	good := member(id, i.file(bus.HostPermissions(id.ID()), later), roots)
	ready(t, good)
	who := bus.Caller{Role: "operator", Name: "gw1"}
	nc, err := nats.Connect(url, nats.UserCredentials(i.file(bus.ClientPermissions(who), later)),
		nats.Secure(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}), nats.CustomInboxPrefix("_INBOX_gw1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	gw, err := pool.NewClient(nc, who)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := gw.Place(t.Context(), pool.Wish{}); err != nil || p.Host != id.ID() {
		t.Errorf("place: %+v, %v", p, err)
	}
	other := fleettest.Identity(t)
	for reason, m := range map[string]*attempt{
		"unknown authority": {other, i.file(bus.HostPermissions(other.ID()), later), others},
		"expired":           {other, i.file(bus.HostPermissions(other.ID()), time.Now().Add(-time.Hour)), roots},
		"no such file":      {other, filepath.Join(t.TempDir(), "none.creds"), roots},
	} {
		one := member(m.id, m.creds, m.roots)
		fleettest.Eventually(t, 5*time.Second, "the reason is "+reason, func() bool {
			text := strings.ToLower(one.Status().Reason)
			return strings.Contains(text, reason) || reason == "expired" && strings.Contains(text, "authorization violation")
		})
	}
}

// attempt is how a host tries to log in.
type attempt struct {
	id    *bus.Identity
	creds string
	roots *x509.CertPool
}

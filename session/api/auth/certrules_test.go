package auth

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"wavryhost/session/api/grant"
)

func TestClientRules(t *testing.T) {
	k := &Authenticator{clients: &clients{}, cfg: Config{ClientRole: grant.Viewer, ClientRules: []ClientRule{
		{Name: "spiffe://pool/gateway", Role: "operator"},
		{Name: "spiffe://pool/*", Role: "controller"},
		{Issuer: "CN=metrics*", Role: "metrics"},
	}}}
	k.env.Ambient = func(*http.Request) bool { return true }
	who := func(name, authority string) Principal {
		t.Helper()
		leaf := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}}
		if u, err := url.Parse(name); err == nil && u.Scheme == "spiffe" {
			leaf.URIs = []*url.URL{u}
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "https://127.0.0.1:8470/", nil)
		r.Host = "127.0.0.1:8470"
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{
			leaf,
			{Subject: pkix.Name{CommonName: authority}},
		}}}
		p, ok := k.certified(r)
		if !ok {
			t.Fatalf("%s is not taken", name)
		}
		return p
	}
	long := "spiffe://pool/" + strings.Repeat("x", 400)
	for _, c := range []struct {
		name, authority string
		want            grant.Role
	}{
		{"ann", "company", grant.Viewer},
		{"spiffe://pool/gateway", "company", grant.Operator},
		{"spiffe://pool/gateway/evil", "company", grant.Controller},
		{"spiffe://other/gateway", "company", grant.Viewer},
		{"prometheus", "metrics of the pool", grant.Metrics},
		{long, "company", grant.Controller},
	} {
		if p := who(c.name, c.authority); p.Role != c.want {
			t.Errorf("%.40s of %s is a %s; want %s", c.name, c.authority, p.Role, c.want)
		}
	}
	a, b := who(long+"a", "company"), who(long+"b", "company")
	if a.Owner == b.Owner || len(a.Name) > longestName+8 || a.Owner != who(long+"a", "company").Owner {
		t.Errorf("long names: %q and %q", a.Name, b.Name)
	}
}

// Rules match each alternative name of a certificate. Its common name counts only if it has none.
func TestClientRulesMatchAlternativeNames(t *testing.T) {
	uri, err := url.Parse("spiffe://pool/b")
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		Subject: pkix.Name{CommonName: "root"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "pool", Path: "/a"}, uri},
		DNSNames: []string{"a.example", "b.example"}, EmailAddresses: []string{"ann@example"},
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
	}
	for _, c := range []struct {
		rule string
		leaf *x509.Certificate
		want grant.Role
	}{
		{"spiffe://pool/b", leaf, grant.Operator},
		{"b.example", leaf, grant.Operator},
		{"*.example", leaf, grant.Operator},
		{"ann@example", leaf, grant.Operator},
		{"192.0.2.1", leaf, grant.Operator},
		{"root", leaf, grant.Viewer},
		{"root", &x509.Certificate{Subject: leaf.Subject}, grant.Operator},
		{"c.example", leaf, grant.Viewer},
	} {
		rules := []ClientRule{{Name: c.rule, Role: "operator"}}
		if got := roleOf(c.leaf, "CN=company", rules, grant.Viewer); got != c.want {
			t.Errorf("the rule for %s makes %v a %s; want %s", c.rule, namesOf(c.leaf), got, c.want)
		}
	}
}

func TestClientRulesThatAreRefused(t *testing.T) {
	for _, r := range []ClientRule{{Role: "viewer"}, {Name: "a"}, {Name: "a", Role: "root"}, {
		Name: "a*b*",
		Role: "viewer",
	}} {
		if err := r.Validate(); err == nil {
			t.Errorf("%+v is taken", r)
		}
	}
}

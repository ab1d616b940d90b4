package grant

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newIssuers is a Verifier of two issuers: a may make operators, b viewers and controllers of X displays.
func newIssuers(t *testing.T, a, b *issuer) *Verifier {
	t.Helper()
	file := func(i *issuer) string {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, []byte(i.set()), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	v, err := New(slog.New(slog.DiscardHandler),
		Config{KeysFile: file(a), Audience: "host7", Issuer: "https://a.example", MaxRole: Operator},
		Config{KeysFile: file(b), Audience: "host7", Issuer: "https://b.example", Displays: []string{"x11:*"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Each issuer speaks for itself, and for no more than it may.
func TestIssuers(t *testing.T) {
	a, b := newIssuer(t), newIssuer(t)
	v := newIssuers(t, a, b)
	by := func(i *issuer, name, scope string) string {
		return i.sign(edHeader, claims(map[string]any{"iss": name, "wavry": json.RawMessage(scope)}))
	}
	const viewer, operator = `{"role":"viewer"}`, `{"role":"operator"}`
	for _, c := range []struct {
		what, token string
		fault       Fault
		signed      bool
	}{
		{"a's", by(a, "https://a.example", viewer), "", false},
		{"a's operator", by(a, "https://a.example", operator), "", false},
		{"b's", by(b, "https://b.example", viewer), "", false},
		{"b's controller", by(b, "https://b.example", `{"role":"controller"}`), "", false},
		{"b's operator", by(b, "https://b.example", operator), Exceeding, true},
		{"b's metrics", by(b, "https://b.example", `{"role":"metrics"}`), Exceeding, true},
		{"b in the name of a", by(b, "https://a.example", viewer), Signature, false},
		{"a in the name of b", by(a, "https://b.example", viewer), Signature, false},
		{"somebody else", by(a, "https://c.example", viewer), Audience, false},
		{"nobody", a.sign(edHeader, claims(map[string]any{"iss": nil})), Audience, false},
		{"no token", "a.b.c", Malformed, false},
	} {
		g, err := v.Verify(c.token)
		e, _ := errors.AsType[*Error](err)
		switch {
		case c.fault == "" && err != nil, c.fault != "" && (e == nil || e.Fault != c.fault || e.Signed != c.signed):
			t.Errorf("%s: %v; want %q", c.what, err, c.fault)
		case err == nil && !v.Stands(g):
			t.Errorf("%s: its key does not stand", c.what)
		}
	}
	g, err := v.Verify(by(b, "https://b.example", `{"role":"viewer","displays":["x11:1","virtual"]}`))
	if err != nil {
		t.Fatal(err)
	}
	all, err := v.Verify(by(b, "https://b.example", viewer))
	if err != nil {
		t.Fatal(err)
	}
	for display, want := range map[string][2]bool{
		"x11:0": {false, true}, "x11:1": {true, true},
		"virtual": {false, false},
	} {
		if got := [2]bool{g.Watches(display), all.Watches(display)}; got != want {
			t.Errorf("%s: %v; want %v", display, got, want)
		}
	}
}

// Without a configured issuer nothing confirms the name that a grant gives, and so none is taken.
func TestIssuerWithoutAName(t *testing.T) {
	i := newIssuer(t)
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, []byte(i.set()), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := New(slog.New(slog.DiscardHandler), Config{KeysFile: path, Audience: "host7"})
	if err != nil {
		t.Fatal(err)
	}
	if g, err := v.Verify(i.sign(edHeader, claims(map[string]any{"iss": nil}))); err != nil || g.Issuer != "" {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := v.Verify(i.sign(edHeader, claims(nil))); err == nil || !strings.Contains(err.Error(),
		"set grant_issuer") {
		t.Errorf("a name that nothing confirms: %v", err)
	}
}

func TestIssuersThatAreRefused(t *testing.T) {
	for name, c := range map[string][]Config{
		"two without a name": {{KeysFile: "k", Audience: "a"}, {KeysFile: "k", Audience: "a"}},
		"one without a name": {{KeysFile: "k", Audience: "a", Issuer: "i"}, {KeysFile: "k", Audience: "a"}},
		"two of a name": {{KeysFile: "k", Audience: "a", Issuer: "i"}, {
			KeysFile: "k",
			Audience: "a", Issuer: "i",
		}},
		"an unknown role":          {{KeysFile: "k", Audience: "a", MaxRole: "root"}},
		"displays of operators":    {{KeysFile: "k", Audience: "a", MaxRole: Operator, Displays: []string{"x11:*"}}},
		"a broken pattern":         {{KeysFile: "k", Audience: "a", Displays: []string{"["}}},
		"an empty list of nothing": {{KeysFile: "k", Audience: "a", Displays: []string{""}}},
	} {
		if _, err := New(slog.New(slog.DiscardHandler), c[0], c[1:]...); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v; want it refused before its files are read", name, err)
		}
	}
}

package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session"
	"wavryhost/session/api"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/grant"
	"wavryhost/session/gateway"
)

func TestRevocationsGoWhereStateGoes(t *testing.T) {
	for _, c := range []struct{ setting, state, want string }{
		{"auto", "", ""},
		{"auto", "/var/lib/wavry-host", "/var/lib/wavry-host/revocations.json"},
		{"auto", "/var/lib/a:/var/lib/b", "/var/lib/a/revocations.json"},
		{"/srv/r.json", "/var/lib/a", "/srv/r.json"},
		{"", "/var/lib/a", ""},
	} {
		l := config.Config{RevocationsFile: c.setting, GrantKeys: "/k"}
		env := []string{"A=b", "STATE_DIRECTORY=" + c.state}
		if got := revocations(&l, env); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
		if got := grants(&l, env)[0].SpentFile; got != strings.Replace(c.want, ".json", ".json.used", 1) {
			t.Errorf("%+v: used grants are kept in %q", c, got)
		}
	}
}

// Several issuers have keys of their own, and what they do not say is taken from the settings of one.
func TestIssuersOfGrants(t *testing.T) {
	text := "grant_audience: host7\ngrant_issuers:\n" +
		"  - {issuer: https://a.example, keys: /etc/a.json, max_role: operator}\n" +
		"  - {issuer: https://b.example, keys: https://b.example/jwks, audience: h7, displays: ['x11:*']}\n"
	l, err := config.Load(config.Sources{Path: write(t, "config.yaml", text)})
	if err != nil {
		t.Fatal(err)
	}
	want := []grant.Config{
		{KeysFile: "/etc/a.json", Audience: "host7", Issuer: "https://a.example", MaxRole: grant.Operator},
		{
			KeysURL:  "https://b.example/jwks",
			Audience: "h7",
			Issuer:   "https://b.example",
			MaxRole:  grant.Controller,
			Displays: []string{"x11:*"},
		},
	}
	if got := grants(&l.Config, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v; want %+v", got, want)
	}
	var printed strings.Builder
	if err := l.Print(&printed); err != nil {
		t.Fatal(err)
	}
	again, err := config.Load(config.Sources{Path: write(t, "printed.yaml", printed.String())})
	if err != nil || !reflect.DeepEqual(again.GrantIssuers, l.GrantIssuers) {
		t.Errorf("read back: %v\n%s", err, &printed)
	}
	for name, c := range map[string]struct{ text, want string }{
		"both forms": {"grant_keys: /k\n" + text, "set one of the two"},
		"no keys":    {"grant_issuers: [{issuer: i}]", "has no issuer or no keys"},
		"an unknown role": {
			"grant_issuers: [{issuer: i, keys: /k, max_role: root}]",
			"is not viewer, controller, operator or metrics",
		},
		"a name twice": {
			"grant_audience: a\ngrant_issuers: [{issuer: i, keys: /k}, {issuer: i, keys: /l}]",
			"must have its own name",
		},
		"no audience": {"grant_issuers: [{issuer: i, keys: /k}]", "audience is empty"},
		"operators limited": {"grant_audience: a\n" +
			"grant_issuers: [{issuer: i, keys: /k, max_role: operator, displays: [a]}]", "do not limit operators"},
	} {
		if _, err := config.Load(
			config.Sources{Check: conflicts, Path: write(t, "config.yaml", c.text)},
		); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

// The table of settings has the words of these packages, which it does not import.
func TestWordsOfTheTableAreThoseOfThePackages(t *testing.T) {
	var roles, policies, dialects []string
	for _, r := range grant.Roles() {
		roles = append(roles, string(r))
	}
	for _, p := range session.InputPolicies() {
		policies = append(policies, p.String())
	}
	for _, d := range gateway.Dialects() {
		dialects = append(dialects, d.Traits().Name)
	}
	for name, c := range map[string]struct{ table, packages []string }{
		"roles":            {config.Roles(), roles},
		"input policies":   {config.InputPolicies(), policies},
		"gateway dialects": {config.GatewayDialects(), dialects},
		"proxy headers":    {config.ProxyHeaders(), edge.ProxyHeaders()},
		"roles of strangers": {
			[]string{config.AnonymousNone, config.AnonymousViewer}, []string{api.AnonymousNone, api.AnonymousViewer},
		},
		"client certificates": {
			[]string{config.ClientAuthOff, config.ClientAuthOptional, config.ClientAuthRequired},
			[]string{auth.ClientAuthOff, auth.ClientAuthOptional, auth.ClientAuthRequired},
		},
	} {
		if !slices.Equal(c.table, c.packages) {
			t.Errorf("%s: the table has %q; the package has %q", name, c.table, c.packages)
		}
	}
}

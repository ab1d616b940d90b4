package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session/api"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/grant"
	"wavryhost/session/floor"
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
		l := config.Config{Auth: config.Auth{RevocationsFile: c.setting, Grants: []config.GrantIssuer{{Keys: "/k"}}}}
		env := []string{"A=b", "STATE_DIRECTORY=" + c.state}
		if got := revocations(&l, env); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
		if got := grants(&l, env)[0].SpentFile; got != strings.Replace(c.want, ".json", ".json.used", 1) {
			t.Errorf("%+v: used grants are kept in %q", c, got)
		}
	}
}

// Several issuers have keys of their own.
func TestIssuersOfGrants(t *testing.T) {
	text := "auth:\n  grants:\n" +
		"  - {issuer: 'https://a.example', keys: /etc/a.json, audience: host7, max_role: operator}\n" +
		"  - {issuer: 'https://b.example', keys: 'https://b.example/jwks', audience: h7, displays: ['x11:*']}\n"
	l, err := load(config.Sources{Path: write(t, "config.yaml", text)})
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
	again, err := load(config.Sources{Path: write(t, "printed.yaml", printed.String())})
	if err != nil || !reflect.DeepEqual(again.Auth.Grants, l.Auth.Grants) {
		t.Errorf("read back: %v\n%s", err, &printed)
	}
	for name, c := range map[string]struct{ grants, want string }{
		"a name twice": {
			"[{issuer: i, keys: /k, audience: a}, {issuer: i, keys: /l, audience: a}]", "must have its own name",
		},
		"operators limited": {
			"[{issuer: i, keys: /k, audience: a, max_role: operator, displays: [a]}]", "do not limit operators",
		},
	} {
		_, err := load(config.Sources{Path: write(t, "config.yaml", "auth: {grants: "+c.grants+"}")})
		if err == nil || !strings.Contains(err.Error(), c.want) {
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
	for _, p := range floor.Policies() {
		policies = append(policies, p.String())
	}
	policies[len(policies)-1] = config.None // floor.Off
	for _, d := range gateway.Dialects() {
		dialects = append(dialects, d.Traits().Name)
	}
	for name, c := range map[string]struct{ table, packages []string }{
		"roles":            {config.Roles(), roles},
		"input policies":   {config.InputPolicies(), policies},
		"gateway dialects": {config.GatewayDialects(), dialects},
		"proxy headers":    {config.ProxyHeaders(), edge.ProxyHeaders()},
		"roles of strangers": {
			[]string{config.None, config.AnonymousViewer}, []string{api.AnonymousNone, api.AnonymousViewer},
		},
		"client certificates": {
			[]string{clientAuth(config.None), clientAuth("optional"), clientAuth("required")},
			[]string{auth.ClientAuthOff, auth.ClientAuthOptional, auth.ClientAuthRequired},
		},
	} {
		if !slices.Equal(c.table, c.packages) {
			t.Errorf("%s: the table has %q; the package has %q", name, c.table, c.packages)
		}
	}
}

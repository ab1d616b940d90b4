package main

import (
	"cmp"
	"path/filepath"
	"strings"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/grant"
)

// conflicts returns what cannot work although each setting alone is valid, as far as only the packages that use the
// settings know.
func conflicts(c *config.Config) []config.Conflict {
	var found []config.Conflict
	if c.TakesGrants() {
		if err := grant.Validate(grants(c, nil)); err != nil {
			found = append(found, config.Conflict{
				Text:  strings.TrimPrefix(err.Error(), "grant: "),
				Names: []string{"grant_keys", "grant_audience", "grant_issuers"},
			})
		}
	}
	if c.GatewayURL != "" {
		if err := gatewayConfig(c).Validate(); err != nil {
			found = append(found, config.Conflict{
				Text:  strings.TrimPrefix(err.Error(), "gateway: "),
				Names: []string{"gateway_url", "gateway_allow", "gateway_token_file", "gateway_account_file"},
			})
		}
	}
	return found
}

// revocations returns the file for revocations, or empty for none. env is the environment.
func revocations(c *config.Config, env []string) string {
	if c.RevocationsFile != config.Auto {
		return c.RevocationsFile
	}
	if dir := serviceState(env); dir != "" {
		return filepath.Join(dir, "revocations.json")
	}
	return ""
}

// grants says how to check the grants of each issuer. Without keys there are none. Used grants are kept next to the
// revocations.
func grants(c *config.Config, env []string) []grant.Config {
	issuers := c.GrantIssuers
	if c.GrantKeys != "" {
		issuers = []config.GrantIssuer{{Issuer: c.GrantIssuer, Keys: c.GrantKeys, MaxRole: c.GrantMaxRole}}
	}
	var all []grant.Config
	for _, one := range issuers {
		g := grant.Config{
			KeysFile: one.Keys,
			Audience: cmp.Or(one.Audience, c.GrantAudience),
			Issuer:   one.Issuer,
			MaxRole:  grant.Role(cmp.Or(one.MaxRole, c.GrantMaxRole)),
			Displays: one.Displays,
		}
		if path := revocations(c, env); path != "" {
			g.SpentFile = path + ".used"
		}
		if strings.Contains(one.Keys, "://") {
			g.KeysFile, g.KeysURL = "", one.Keys
		}
		all = append(all, g)
	}
	return all
}

// clientRules returns the rules for client certificates.
func clientRules(c *config.Config) []auth.ClientRule {
	var all []auth.ClientRule
	for _, r := range c.TLSClientRules {
		all = append(all, auth.ClientRule(r))
	}
	return all
}

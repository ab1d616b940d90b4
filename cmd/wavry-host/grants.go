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
				Names: []string{"auth.grants"},
			})
		}
	}
	if c.Gateway.URL != "" {
		if err := gatewayConfig(c).Validate(); err != nil {
			found = append(found, config.Conflict{
				Text:  strings.TrimPrefix(err.Error(), "gateway: "),
				Names: []string{"gateway.url", "gateway.allow", "gateway.token_file", "gateway.account_file"},
			})
		}
	}
	return found
}

// revocations returns the file for revocations, or empty for none. env is the environment.
func revocations(c *config.Config, env []string) string {
	if c.Auth.RevocationsFile != config.Auto {
		return c.Auth.RevocationsFile
	}
	if dir := serviceState(env); dir != "" {
		return filepath.Join(dir, "revocations.json")
	}
	return ""
}

// grants says how to check the grants of each issuer. Without keys there are none. Used grants are kept next to the
// revocations.
func grants(c *config.Config, env []string) []grant.Config {
	var all []grant.Config
	for _, one := range c.Auth.Grants {
		g := grant.Config{
			KeysFile: one.Keys,
			Audience: one.Audience,
			Issuer:   one.Issuer,
			MaxRole:  cmp.Or(grant.Role(one.MaxRole), grant.Controller),
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
	for _, r := range c.Auth.Certificates.Rules {
		all = append(all, auth.ClientRule(r))
	}
	return all
}

// clientAuth returns whether the API requests client certificates. The table of settings has checked the mode.
func clientAuth(mode string) string {
	switch mode {
	case config.CertificatesOptional:
		return auth.ClientAuthOptional
	case config.CertificatesRequired:
		return auth.ClientAuthRequired
	default:
		return auth.ClientAuthOff
	}
}

package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"wavryhost/session"
	"wavryhost/session/api/grant"
)

// ClientRule gives a role to the client certificates that it matches. In Name and Issuer one * stands for any text. An
// empty pattern matches all.
type ClientRule struct {
	// Name is the certificate's URI, else its common name, else its first DNS name. Issuer is the subject of the
	// authority at the root of its chain.
	Name, Issuer string
	Role         string
}

// matches reports whether the rule applies to an owner. name is the owner's full name, which Owner may have shortened.
func (r ClientRule) matches(o session.Owner, name string) bool {
	return matches(r.Name, name) && matches(r.Issuer, o.Issuer)
}

func matches(pattern, text string) bool {
	before, after, open := strings.Cut(pattern, "*")
	if !open {
		return pattern == "" || pattern == text
	}
	return len(text) >= len(before)+len(after) && strings.HasPrefix(text, before) && strings.HasSuffix(text, after)
}

// role returns the role of a certificate's owner: that of the first rule that matches, else ClientRole.
func (c Config) role(o session.Owner, name string) grant.Role {
	for _, rule := range c.ClientRules {
		if rule.matches(o, name) {
			return grant.Role(rule.Role)
		}
	}
	return c.ClientRole
}

// Validate returns what is wrong with r.
func (r ClientRule) Validate() error {
	if _, err := grant.ParseRole(r.Role); err != nil {
		return fmt.Errorf("api: rule of client certificates: %w", err)
	}
	if r.Name == "" && r.Issuer == "" {
		return fmt.Errorf("api: rule of client certificates: it matches all of them; set name or issuer")
	}
	for _, p := range []string{r.Name, r.Issuer} {
		if strings.Count(p, "*") > 1 {
			return fmt.Errorf("api: rule of client certificates: %q has more than one *", p)
		}
	}
	return nil
}

// longestName bounds names of owners, in bytes: they are logged, audited and shown.
const longestName = 256

// bounded returns a name of at most longestName bytes. Different long names stay different.
func bounded(name string) string {
	if len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(name[:longestName-40], "") + "…" + hex.EncodeToString(sum[:16])
}

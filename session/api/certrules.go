package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"wavryhost/session"
	"wavryhost/session/api/grant"
)

// ClientRule says what certificates are that it fits. In Name and Issuer one * stands for anything; an empty one fits all.
type ClientRule struct {
	// Name is the certificate's URI, else its common name, else its first DNS name. Issuer is the subject of the authority at the root of its chain.
	Name, Issuer string
	Role         string
}

// fits reports whether the rule is about an owner. name is the whole name, which the owner may have shortened.
func (r ClientRule) fits(o session.Owner, name string) bool {
	return fits(r.Name, name) && fits(r.Issuer, o.Issuer)
}

func fits(pattern, text string) bool {
	before, after, open := strings.Cut(pattern, "*")
	if !open {
		return pattern == "" || pattern == text
	}
	return len(text) >= len(before)+len(after) && strings.HasPrefix(text, before) && strings.HasSuffix(text, after)
}

func (r ClientRule) validate() error {
	if _, err := grant.ParseRole(r.Role); err != nil {
		return fmt.Errorf("api: rule of client certificates: %w", err)
	}
	if r.Name == "" && r.Issuer == "" {
		return fmt.Errorf("api: rule of client certificates: it fits all of them; set name or issuer")
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

// bounded returns a name that is short enough. Names that are equal up to there stay apart.
func bounded(name string) string {
	if len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(name[:longestName-40], "") + "…" + hex.EncodeToString(sum[:16])
}

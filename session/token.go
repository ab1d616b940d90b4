package session

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
)

var plain32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// random returns 128 bits that nobody can guess, as text.
func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return strings.ToLower(plain32.EncodeToString(b[:]))
}

func newID() string { return random() }

func newETag() string { return `"` + random() + `"` }

// matches tells whether an If-Match field allows for tag (RFC 9110, section 13.1.1).
func matches(field, tag string) bool {
	if field == "" || field == "*" {
		return true
	}
	for t := range strings.SplitSeq(field, ",") {
		if strings.TrimSpace(t) == tag {
			return true
		}
	}
	return false
}

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

// matches reports whether an If-Match field allows for tag (RFC 9110, section 13.1.1). Proxies that compress an answer rewrite its tag, as weak or with the name of the
// coding at its end, and hand the client's copy on as it is; the tag itself is too long to be guessed.
func matches(field, tag string) bool {
	if field == "*" {
		return true
	}
	for t := range strings.SplitSeq(field, ",") {
		if original(t) == original(tag) {
			return true
		}
	}
	return false
}

// codings are the names that proxies append to entity tags, and joints what they put before them: Apache httpd -gzip, Jetty --gzip, others ;gzip.
var (
	codings = []string{"gzip", "br", "zstd", "deflate"}
	joints  = []string{"--", "-", ";"}
)

// original returns an entity tag as it was before a proxy rewrote it.
func original(tag string) string {
	tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
	opaque, ok := strings.CutPrefix(tag, `"`)
	if !ok {
		return tag
	}
	opaque, after, _ := strings.Cut(opaque, `"`)
	opaque += after // old versions of Apache httpd put it behind the quote
	for _, coding := range codings {
		for _, joint := range joints {
			if cut, ok := strings.CutSuffix(opaque, joint+coding); ok {
				return `"` + cut + `"`
			}
		}
	}
	return `"` + opaque + `"`
}

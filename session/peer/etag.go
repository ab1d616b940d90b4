package peer

import (
	"crypto/rand"
	"strings"
)

// newETag returns an entity tag that cannot be guessed.
func newETag() string { return `"` + rand.Text() + `"` }

// matches reports whether an If-Match field allows tag (RFC 9110, section 13.1.1). A proxy that compresses the answer
// marks its tag as weak or appends the name of the coding, and passes the client's copy of that on. Such a copy
// matches. The tag itself cannot be guessed.
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

// Proxies append one of codings to entity tags, after one of joints: Apache httpd -gzip, Jetty --gzip, others ;gzip.
var (
	codings = []string{"gzip", "br", "zstd", "deflate"}
	joints  = []string{"--", "-", ";"}
)

// original returns an entity tag as it was before a proxy changed it.
func original(tag string) string {
	tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
	opaque, ok := strings.CutPrefix(tag, `"`)
	if !ok {
		return tag
	}
	opaque, after, _ := strings.Cut(opaque, `"`)
	opaque += after // old versions of Apache httpd append the coding after the quote
	for _, coding := range codings {
		for _, joint := range joints {
			if cut, ok := strings.CutSuffix(opaque, joint+coding); ok {
				return `"` + cut + `"`
			}
		}
	}
	return `"` + opaque + `"`
}

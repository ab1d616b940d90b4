package content

import (
	"regexp"
	"strings"
)

// encodingSuffix is what proxies append to a tag when they compress an answer: Apache and Caddy "-gzip" and the like,
// Jetty "--gzip".
var encodingSuffix = regexp.MustCompile(`-{1,2}(?:gzip|br|zstd|deflate)$`)

// OriginalTags returns the tags of an If-Match field as the server sent them. Compressing proxies change tags: nginx
// makes them weak, others append to them, and many pass on what clients repeat. No tag of this server contains a dash.
func OriginalTags(field string) string {
	tags := strings.Split(field, ",")
	for i, t := range tags {
		t = strings.TrimPrefix(strings.TrimSpace(t), "W/")
		if inner, ok := strings.CutSuffix(t, `"`); ok {
			t = encodingSuffix.ReplaceAllString(inner, "") + `"`
		}
		tags[i] = t
	}
	return strings.Join(tags, ", ")
}

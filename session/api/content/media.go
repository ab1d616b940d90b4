package content

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"wavryhost/session/api/problem"
)

// JSON is the media type of most bodies.
const JSON = "application/json"

// RequireType refuses a body of another type than want, and a compressed body.
func RequireType(r *http.Request, want string) *problem.Error {
	got := r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(got); err != nil || media != want {
		return problem.New(problem.UnsupportedMediaType, "the body is %q; it must be %s", problem.Shorten(got), want)
	}
	coding := strings.Join(r.Header.Values("Content-Encoding"), ", ")
	if coding == "" || strings.EqualFold(coding, "identity") {
		return nil
	}
	// RFC 9110 section 15.5.16.
	return problem.New(problem.UnsupportedMediaType, "the body is encoded as %q; it must not be encoded",
		problem.Shorten(coding)).With("Accept-Encoding", "identity")
}

// Accepts reports whether the Accept headers allow media (RFC 9110 section 12.5.1). The most specific range decides. A
// request without the header accepts everything.
func Accepts(headers []string, media string) bool {
	if len(headers) == 0 {
		return true
	}
	kind, _, _ := strings.Cut(media, "/")
	ranges := []string{"*/*", kind + "/*", media}
	best, ok := -1, false
	for _, h := range headers {
		for item := range strings.SplitSeq(h, ",") {
			if strings.TrimSpace(item) == "" {
				continue
			}
			got, params, err := mime.ParseMediaType(item)
			if err != nil {
				continue
			}
			rank := slices.Index(ranges, got)
			if rank < 0 || rank < best {
				continue
			}
			q := 1.0
			if v, given := params["q"]; given {
				if q, err = strconv.ParseFloat(v, 64); err != nil {
					continue
				}
			}
			best, ok = rank, q > 0
		}
	}
	return ok
}

// acceptsGzip reports whether a client names gzip among the encodings that it accepts.
func acceptsGzip(headers []string) bool {
	for coding := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, q, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(q), "q="), 64)
			return strings.TrimSpace(q) == "" || err == nil && weight > 0
		}
	}
	return false
}

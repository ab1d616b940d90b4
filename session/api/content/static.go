package content

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// StaticTimeout bounds the writing of a static answer. Such an answer fits into socket buffers, so a client that needs
// longer only occupies a connection.
const StaticTimeout = 5 * time.Second

// Static is an answer that is the same for every client while the daemon runs. It is compressed once.
type Static struct {
	media, etag  string
	body, packed []byte
}

// NewStatic returns the answer with that body.
func NewStatic(media string, body []byte) (*Static, error) {
	sum := sha256.Sum256(body)
	// The tag is weak: it is the same for both encodings.
	a := &Static{media: media, body: body, etag: `W/"` + hex.EncodeToString(sum[:8]) + `"`}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if b.Len() < len(body) {
		a.packed = b.Bytes()
	}
	return a, nil
}

// Serve answers r. It sends headers alone if the client has the current version.
func (a *Static) Serve(w http.ResponseWriter, r *http.Request) error {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(StaticTimeout)) // not every writer has one
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	h.Set("Vary", "Origin, Accept-Encoding")
	if Matches(r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body := a.body
	if a.packed != nil && acceptsGzip(r.Header.Values("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = a.packed
	}
	h.Set("Content-Type", a.media)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
	return nil
}

// Matches reports whether If-None-Match names an entity tag, by the weak comparison of RFC 9110 section 8.8.3.2.
func Matches(ifNoneMatch, tag string) bool {
	bare := strings.TrimPrefix(tag, "W/")
	for known := range strings.SplitSeq(OriginalTags(ifNoneMatch), ",") {
		if known = strings.TrimSpace(known); known == "*" || strings.TrimPrefix(known, "W/") == bare {
			return true
		}
	}
	return false
}

package api

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// openWrite bounds the writing of an answer that anybody gets: it fits socket buffers, so that whoever needs longer only holds a place.
const openWrite = 5 * time.Second

// static is an answer that is the same for everybody for as long as the daemon runs. It is compressed once.
type static struct {
	kind, etag   string
	body, packed []byte
}

func newStatic(kind string, body []byte) (*static, error) {
	sum := sha256.Sum256(body)
	a := &static{kind: kind, body: body, etag: `W/"` + hex.EncodeToString(sum[:8]) + `"`} // weak: of both encodings
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

// serve answers r, with nothing but the headers where the client has it.
func (a *static) serve(w http.ResponseWriter, r *http.Request) error {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(openWrite)) // not every writer has one
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	h.Set("Vary", "Origin, Accept-Encoding")
	if known := "W/" + strings.ReplaceAll(ownTags(r.Header.Get("If-None-Match")), ", ", ", W/"); slices.Contains(strings.Split(known, ", "), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body := a.body
	if a.packed != nil && takesGzip(r.Header.Values("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = a.packed
	}
	h.Set("Content-Type", a.kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
	return nil
}

// takesGzip reports whether a client names gzip among the encodings that it takes.
func takesGzip(accept []string) bool {
	for coding := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, q, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(q), "q="), 64)
			return strings.TrimSpace(q) == "" || err == nil && weight > 0
		}
	}
	return false
}

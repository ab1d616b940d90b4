package api

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Public answers are small on the wire, and empty for a client that has them.
func TestOpenAnswersAreCompressedAndCached(t *testing.T) {
	s, _ := newServer(t, Config{Token: token}, healthy())
	for _, path := range []string{"/", "/page/app.js", "/page/style.css", "/v1/openapi.json"} {
		get := func(name, value string) reply {
			return ask{method: "GET", path: path, header: map[string]string{name: value}}.do(s.Handler())
		}
		plain := get("Accept-Encoding", "identity")
		tag := plain.Header.Get("ETag")
		if plain.StatusCode != http.StatusOK || plain.Header.Get("Content-Encoding") != "" || tag == "" ||
			plain.Header.Get("Cache-Control") != "no-cache" {
			t.Fatalf("%s: %d, %v", path, plain.StatusCode, plain.Header)
		}
		for _, accept := range []string{"gzip", "br, GZIP;q=0.5", "deflate, gzip"} {
			packed := get("Accept-Encoding", accept)
			z, err := gzip.NewReader(bytes.NewReader([]byte(packed.body)))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			body, err := io.ReadAll(z)
			if err != nil || string(body) != plain.body || packed.Header.Get("Content-Encoding") != "gzip" ||
				!strings.Contains(packed.Header.Get("Vary"), "Accept-Encoding") {
				t.Errorf("%s: %v, %v", path, err, packed.Header)
			}
			if most := 40 << 10; len(packed.body) > most {
				t.Errorf("%s has %d bytes; want at most %d, which socket buffers hold", path, len(packed.body), most)
			}
		}
		if refused := get("Accept-Encoding", "gzip;q=0"); refused.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: gzip;q=0 gets %v", path, refused.Header)
		}
		for _, known := range []string{
			tag, strings.TrimPrefix(tag, "W/"), `"other", ` + tag,
			strings.TrimSuffix(tag, `"`) + `-gzip"`,
		} {
			if again := get("If-None-Match", known); again.StatusCode != http.StatusNotModified || again.body != "" {
				t.Errorf("%s with If-None-Match %s: %d and %d bytes", path, known, again.StatusCode, len(again.body))
			}
		}
		if other := get("If-None-Match", `W/"other"`); other.StatusCode != http.StatusOK {
			t.Errorf("%s: another tag gets %d", path, other.StatusCode)
		}
	}
}

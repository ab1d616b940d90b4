// Package content reads and writes the content of HTTP messages: bodies, media types, entity tags and static answers.
package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"wavryhost/session/api/problem"
)

// excess is how much of a body is read beyond the limit before the body is refused. nginx sends the whole body before
// it reads the answer, up to 1 MiB by default. It answers 502 when the connection is closed meanwhile.
const excess = 1 << 20

// ErrBody means that the client does not send the body that it announced.
var ErrBody = errors.New("body cannot be read")

// limited is a request body that ends with an error at the limit. whole is the body without the limit.
type limited struct {
	io.ReadCloser
	whole io.Reader
}

// Limit bounds the body of r, in bytes.
func Limit(w http.ResponseWriter, r *http.Request, most int64) {
	r.Body = &limited{ReadCloser: http.MaxBytesReader(w, r.Body, most), whole: r.Body}
}

// Read returns the body. It lifts the read deadline, which net/http leaves running while the handler works: at the
// deadline the client would seem to have hung up, and the request would be canceled. The next request sets it again.
func Read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		_, big := errors.AsType[*http.MaxBytesError](err)
		if body, ok := r.Body.(*limited); ok && big {
			_, _ = io.CopyN(io.Discard, body.whole, excess)
		}
		switch gone := r.Context().Err(); {
		case big, errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		case gone != nil:
			return nil, fmt.Errorf("read body: %w: %w", gone, err)
		default:
			return nil, fmt.Errorf("%w: %w", ErrBody, err)
		}
	}
	err = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, fmt.Errorf("lift read deadline: %w", err)
	}
	return b, nil
}

// WriteJSON answers with v. If v cannot be encoded, WriteJSON writes nothing and returns the error.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	var buf bytes.Buffer
	if err := json.NewEncoder(&buf).Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", JSON)
	}
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	w.WriteHeader(status)
	w.Write(buf.Bytes())
	return nil
}

// NotFound returns the error for a path that has no handler.
func NotFound(r *http.Request) error {
	return problem.New(problem.NotFound, "there is nothing at %s", problem.Shorten(r.URL.Path))
}

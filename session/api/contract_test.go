package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"wavryhost/session/api/content"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	documentURL  = "https://wavry-host.example/v1/openapi.json"
	schemaPrefix = "#/components/schemas/"
	extCodes     = "x-error-codes"
)

// contract compares answers with an OpenAPI document. The schemas are JSON Schema 2020-12. An independent
// implementation reads them.
type contract struct {
	doc map[string]any

	mu       sync.Mutex // guards the rest
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

func newContract(tb testing.TB, document []byte) *contract {
	tb.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		tb.Fatal(err)
	}
	c := &contract{
		doc: doc.(map[string]any), compiler: jsonschema.NewCompiler(),
		schemas: map[string]*jsonschema.Schema{},
	}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource(documentURL, doc); err != nil {
		tb.Fatal(err)
	}
	return c
}

// at returns a part of the document; nil if it does not exist.
func (c *contract) at(keys ...string) any {
	var v any = c.doc
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// pointer returns a JSON pointer as a URL fragment.
func pointer(keys ...string) string {
	for i, k := range keys {
		keys[i] = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", "$", "%24").Replace(k)
	}
	return "#/" + strings.Join(keys, "/")
}

// fits checks that v conforms to the schema at a place in the document.
func (c *contract) fits(where string, v any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.schemas[where]
	if s == nil {
		var err error
		if s, err = c.compiler.Compile(documentURL + where); err != nil {
			return err
		}
		c.schemas[where] = s
	}
	return s.Validate(v)
}

// operation finds the operation of the mux's pattern "METHOD /path".
func (c *contract) operation(pattern string) (method, path string, ok bool) {
	method, path, ok = strings.Cut(pattern, " ")
	method, path = strings.ToLower(method), strings.TrimSuffix(path, "{$}")
	return method, path, ok && c.at("paths", path, method) != nil
}

// judge returns what is wrong with an answer.
func (c *contract) judge(r *http.Request, status int, header http.Header, body []byte) error {
	if status == problem.ClientGone.Status() {
		return nil // nobody reads it
	}
	method, path, known := c.operation(r.Pattern)
	if status >= http.StatusBadRequest {
		return c.judgeError(status, header, body, method, path, known)
	}
	if r.Method == http.MethodOptions && !known {
		return nil // the document says of it what is in its introduction
	}
	if !known {
		return fmt.Errorf("no operation is %q", r.Pattern)
	}
	responses := []string{"paths", path, method, "responses", strconv.Itoa(status)}
	response, _ := c.at(responses...).(map[string]any)
	if response == nil {
		return fmt.Errorf("%s %s does not answer %d", method, path, status)
	}
	if headers, _ := response["headers"].(map[string]any); r.Method != http.MethodHead {
		for name, h := range headers {
			if required := h.(map[string]any)["required"]; required == true && header.Get(name) == "" {
				return fmt.Errorf("header %s is missing", name)
			}
		}
	}
	bodies, _ := response["content"].(map[string]any)
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	switch {
	case bodies == nil && (len(body) > 0 || header.Get("Content-Type") != ""):
		return fmt.Errorf("there is a body of %q: %q", header.Get("Content-Type"), body)
	case bodies == nil:
		return nil
	case err != nil || bodies[media] == nil:
		return fmt.Errorf("Content-Type is %q; it can be %v",
			header.Get("Content-Type"), slices.Sorted(maps.Keys(bodies)))
	case r.Method == http.MethodHead:
		return nil
	}
	schema := pointer(append(responses, "content", media, "schema")...)
	switch media {
	case content.JSON:
		return c.fitsJSON(schema, body)
	case typeEvents:
		for _, data := range eventData(string(body)) {
			if err := c.fitsJSON(schema, []byte(data)); err != nil {
				return err
			}
		}
		return nil
	default:
		return c.fits(schema, string(body))
	}
}

// eventData returns the data of each event of a stream.
func eventData(stream string) []string {
	var list []string
	for line := range strings.Lines(stream) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			list = append(list, data)
		}
	}
	return list
}

func (c *contract) fitsJSON(schema string, body []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return c.fits(schema, v)
}

func (c *contract) judgeError(status int, header http.Header, body []byte, method, path string, known bool) error {
	if got := header.Get("Content-Type"); got != problem.Media {
		return fmt.Errorf("Content-Type of a %d is %q", status, got)
	}
	if err := c.fitsJSON("#/components/schemas/Problem", body); err != nil {
		return err
	}
	var told problem.Document
	if err := json.Unmarshal(body, &told); err != nil {
		return err
	}
	if told.Request == "" || told.Request != header.Get("X-Request-Id") {
		return fmt.Errorf("request_id is %q; X-Request-Id is %q", told.Request, header.Get("X-Request-Id"))
	}
	if told.Code.Status() != status || told.Status != status {
		return fmt.Errorf("code %s came with %d", told.Code, status)
	}
	for _, name := range openapi.HeadersOf(told.Code) {
		if header.Get(name) == "" {
			return fmt.Errorf("header %s is missing from a %s", name, told.Code)
		}
	}
	possible := []any{
		// Answers before a route is found, or without a route.
		string(problem.NotFound), string(problem.MethodNotAllowed), string(problem.ForbiddenHost),
		string(problem.ForbiddenOrigin), string(problem.TooManyRequests), string(problem.HeaderTooLarge),
		string(problem.Unauthorized), string(problem.TooManyAttempts), // of OPTIONS
	}
	if known {
		possible, _ = c.at("paths", path, method, "responses", strconv.Itoa(status), extCodes).([]any)
	}
	if !slices.Contains(possible, any(string(told.Code))) {
		return fmt.Errorf("%s %s answers %d %s; it can be %v", method, path, status, told.Code, possible)
	}
	return nil
}

// witness keeps an answer for judge.
type witness struct {
	http.ResponseWriter
	status int
	header http.Header
	body   bytes.Buffer
}

func (w *witness) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.header = status, w.Header().Clone()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *witness) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status, w.header = http.StatusOK, w.Header().Clone()
	}
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// watch compares every answer of h with the document. It reports to tb, because some answers end after their subtest.
func (c *contract) watch(tb testing.TB, h http.Handler) http.Handler {
	tb.Helper()
	var mu sync.Mutex
	var bad []string
	tb.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, text := range bad {
			tb.Error(text)
		}
	})
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &witness{ResponseWriter: rw}
		h.ServeHTTP(w, r)
		if w.status == 0 {
			w.status, w.header = http.StatusOK, w.Header().Clone()
		}
		body := w.body.Bytes()
		if w.header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(&w.body)
			if err == nil {
				body, err = io.ReadAll(z)
			}
			if err != nil && r.Method != http.MethodHead {
				tb.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
			}
		}
		if err := c.judge(r, w.status, w.header, body); err != nil {
			mu.Lock()
			defer mu.Unlock()
			bad = append(bad, fmt.Sprintf("%s %s: the answer is not what the document says: %v\n%.500s",
				r.Method, r.URL.Path, err, w.body.String()))
		}
	})
}

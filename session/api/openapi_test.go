package api

import (
	"bytes"
	"flag"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/problem"

	"github.com/getkin/kin-openapi/openapi3"
)

var update = flag.Bool("update", false, "rewrite docs/integrate/openapi.json")

const documentFile = "../../docs/integrate/openapi.json"

// docs/integrate/openapi.json is what the daemon serves, to everybody, byte by byte.
func TestDocumentIsServed(t *testing.T) {
	s, _ := newServer(t, Config{Token: token}, healthy())
	resp := ask{method: "GET", path: "/v1/openapi.json"}.do(s.Handler())
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != content.JSON {
		t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
	}
	if *update {
		if err := os.WriteFile(documentFile, []byte(resp.body), 0o644); err != nil { //nolint:gosec // a document for everybody
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(documentFile)
	if err != nil {
		t.Fatal(err)
	}
	if resp.body != string(want) {
		t.Errorf("%s is not what the code says: run `make generate`", documentFile)
	}
	for range 5 {
		again, _ := newServer(t, Config{}, healthy())
		if !bytes.Equal(again.spec.document, s.spec.document) {
			t.Fatal("the document differs from one server to the next")
		}
	}
}

// Somebody else's reader takes the document.
func TestDocumentIsValid(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	doc, err := openapi3.NewLoader().LoadFromData(s.spec.document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Error(err)
	}
	// And it would not take everything.
	for _, broken := range []struct{ from, to string }{
		{`"operationId": "getHost"`, `"operationId": "getHealth"`},
		{`"$ref": "#/components/schemas/Error"`, `"$ref": "#/components/schemas/Nothing"`},
		{`"in": "path"`, `"in": "somewhere"`},
	} {
		text := strings.Replace(string(s.spec.document), broken.from, broken.to, 1)
		doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
		if err == nil {
			err = doc.Validate(t.Context())
		}
		if err == nil {
			t.Errorf("%s is taken", broken.to)
		}
	}
	// The schemas compile as JSON Schema 2020-12.
	c := newContract(t, s.spec.document)
	for name := range c.at("components", "schemas").(map[string]any) {
		if err := c.fits(pointer("components", "schemas", name), func() {}); err == nil || strings.Contains(err.Error(), "compil") {
			t.Errorf("schema %s: %v", name, err)
		}
	}
}

// Every figure says what it is measured in, every field what it is, and no object takes or shows what is not listed.
func TestDocumentSaysUnits(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	unit := regexp.MustCompile(`in (bit/s|seconds|bytes|pixels|frames per second)\b|fraction of 1|[Nn]umber of`)
	c := newContract(t, s.spec.document)
	figures := 0
	for name, v := range c.at("components", "schemas").(map[string]any) {
		schema := v.(map[string]any)
		if schema["type"] == "object" && schema["additionalProperties"] != false {
			t.Errorf("%s takes anything", name)
		}
		properties, _ := schema["properties"].(map[string]any)
		for field, v := range properties {
			p := v.(map[string]any)
			text, _ := p["description"].(string)
			if text == "" {
				t.Errorf("%s.%s is not described", name, field)
			}
			if kind := p["type"]; kind == "integer" || kind == "number" {
				figures++
				if !unit.MatchString(text) {
					t.Errorf("%s.%s is described as %q, without a unit", name, field, text)
				}
			}
		}
	}
	if figures < 30 {
		t.Errorf("only %d figures", figures)
	}
}

// The document has the code's lists.
func TestDocumentHasClosedSets(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	c := newContract(t, s.spec.document)
	for name, words := range sets() {
		var got []string
		list, _ := c.at("components", "schemas", name, "enum").([]any)
		for _, w := range list {
			got = append(got, w.(string))
		}
		if !slices.Equal(got, words) || len(got) == 0 {
			t.Errorf("%s: %v; want %v", name, got, words)
		}
	}
	for _, r := range session.EndReasons() {
		if !slices.Contains(sets()["EventReason"], r.String()) {
			t.Errorf("no event has the reason %s", r)
		}
	}
}

// Each error code is listed by an operation, but for that of methods which are no operations.
func TestEachErrorCodeIsOfAnOperation(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	listed := map[problem.Code]bool{problem.ClientGone: true, problem.MethodNotAllowed: true}
	for _, rt := range s.routes() {
		for _, c := range rt.codes() {
			listed[c] = true
		}
	}
	for _, c := range problem.Codes() {
		if !listed[c] {
			t.Errorf("no operation lists %s", c)
		}
	}
}

// What only a mistake in the table can cause is found when the server is made.
func TestWrongRoutesAreFound(t *testing.T) {
	type lost struct {
		Where string `json:"where" set:"Nowhere"`
	}
	for want, rt := range map[string]route{
		"lacks":            {"GET", "/v1/x", true, false, nil, operation{}},
		"{x}":              {"GET", "/v1/{x}", true, false, nil, operation{id: "x", summary: "x", answers: []answer{done(204, "")}}},
		`no set "Nowhere"`: {"GET", "/v1/x", true, false, nil, operation{id: "x", summary: "x", answers: []answer{shows(200, lost{}, "")}}},
	} {
		if _, err := describe([]route{rt}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want an error with %q", err, want)
		}
	}
}

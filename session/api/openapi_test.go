package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wavryhost/session"
	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/openapi"
	"wavryhost/session/api/problem"

	"github.com/getkin/kin-openapi/openapi3"
)

var update = flag.Bool("update", false, "rewrite docs/integrate/openapi.json")

const documentFile = "../../docs/integrate/openapi.json"

// docs/integrate/openapi.json is the served document, byte by byte.
func TestDocumentIsServed(t *testing.T) {
	s, _ := newServer(t, Config{Token: token}, healthy())
	resp := ask{method: "GET", path: "/v1/openapi.json"}.do(s.Handler())
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != content.JSON {
		t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
	}
	if *update {
		// Everybody may read the document.
		if err := os.WriteFile(documentFile, []byte(resp.body), 0o644); err != nil { //nolint:gosec // everybody may read it
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
		again, err := describe(s.routes(nil))
		if err != nil || !bytes.Equal(again.Document(), s.spec.Document()) {
			t.Fatalf("the document differs from one start to the next, %v", err)
		}
	}
}

// An independent reader accepts the document.
func TestDocumentIsValid(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	doc, err := openapi3.NewLoader().LoadFromData(s.spec.Document())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Error(err)
	}
	// The reader refuses a wrong document.
	for _, broken := range []struct{ from, to string }{
		{`"operationId": "getHost"`, `"operationId": "getHealth"`},
		{`"$ref": "#/components/schemas/Problem"`, `"$ref": "#/components/schemas/Nothing"`},
		{`"in": "path"`, `"in": "somewhere"`},
	} {
		text := strings.Replace(string(s.spec.Document()), broken.from, broken.to, 1)
		doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
		if err == nil {
			err = doc.Validate(t.Context())
		}
		if err == nil {
			t.Errorf("%s is taken", broken.to)
		}
	}
	// The schemas compile as JSON Schema 2020-12.
	c := newContract(t, s.spec.Document())
	for name := range c.at("components", "schemas").(map[string]any) {
		if err := c.fits(pointer("components", "schemas", name), func() {}); err == nil ||
			strings.Contains(err.Error(), "compil") {
			t.Errorf("schema %s: %v", name, err)
		}
	}
}

// bodies returns the names of the schemas that request bodies refer to.
func bodies(c *contract) map[string]bool {
	found := map[string]bool{}
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				visit(one)
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				name := strings.TrimPrefix(ref, schemaPrefix)
				if !found[name] {
					found[name] = true
					visit(c.at("components", "schemas", name))
				}
			}
			for _, one := range v {
				visit(one)
			}
		}
	}
	for _, item := range c.at("paths").(map[string]any) {
		for _, op := range item.(map[string]any) {
			if op, ok := op.(map[string]any); ok {
				visit(op["requestBody"])
			}
		}
	}
	return found
}

// Every figure has a unit and every field a description. Requests are closed, answers and sets are open.
func TestDocumentSaysUnits(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	unit := regexp.MustCompile(`in (bit/s|seconds|bytes|pixels|degrees|frames per second)\b|fraction of 1|[Nn]umber of`)
	c := newContract(t, s.spec.Document())
	requests := bodies(c)
	figures := 0
	for name, v := range c.at("components", "schemas").(map[string]any) {
		schema := v.(map[string]any)
		if schema["type"] == "object" && schema["additionalProperties"] == requests[name] {
			t.Errorf("%s: additionalProperties is %v; of a request: %v", name, schema["additionalProperties"], requests[name])
		}
		if _, ok := schema["enum"]; ok && schema["x-extensible-enum"] == nil && !requests[name] {
			t.Errorf("the set %s is not marked as extensible", name)
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

// Each operation says who may use it, by which credentials, and what any other error looks like.
func TestDocumentSaysWhoMay(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	c := newContract(t, s.spec.Document())
	for _, rt := range s.routes(nil) {
		method, path, _ := c.operation(rt.Method + " " + rt.Path)
		var roles []any
		for _, role := range grant.Roles() {
			if !rt.Open && rt.allows(role) {
				roles = append(roles, string(role))
			}
		}
		got, _ := c.at("paths", path, method, "x-roles").([]any)
		security, _ := c.at("paths", path, method, "security").([]any)
		ways := 2 // to show a credential
		switch {
		case rt.Credential: // or none
			ways = 3
		case rt.Open:
			ways = 0
		}
		if !slices.Equal(got, roles) || len(security) != ways {
			t.Errorf("%s %s: roles %v, security %v; want %v", method, path, got, security, roles)
		}
		if c.at("paths", path, method, "responses", "default", "content", problem.Media) == nil {
			t.Errorf("%s %s has no default answer", method, path)
		}
	}
	if got := c.at("components", "securitySchemes", "certificate", "type"); got != "mutualTLS" {
		t.Errorf("certificates are %v", got)
	}
}

// The document has the code's closed sets.
func TestDocumentHasClosedSets(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	c := newContract(t, s.spec.Document())
	for name, words := range sets() {
		if slices.Contains(eventUnion().Replaced, name) {
			continue // each kind of event has its own
		}
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

// An operation lists each error code, except the code for wrong methods.
func TestEachErrorCodeIsOfAnOperation(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	listed := map[problem.Code]bool{problem.ClientGone: true, problem.MethodNotAllowed: true}
	for _, rt := range s.routes(nil) {
		for _, c := range rt.AllCodes() {
			listed[c] = true
		}
	}
	for _, c := range problem.Codes() {
		if !listed[c] {
			t.Errorf("no operation lists %s", c)
		}
	}
}

// Mistakes in the table of routes are errors when the server is made.
func TestWrongRoutesAreFound(t *testing.T) {
	type lost struct {
		Where string `json:"where" set:"Nowhere"`
	}
	for want, rt := range map[string]route{
		"lacks": open("GET", "/v1/x", nil, openapi.Operation{}),
		"{x}": open("GET", "/v1/{x}", nil, openapi.Operation{
			ID: "x", Summary: "x", Answers: []openapi.Answer{openapi.Empty(204, "")},
		}),
		`no set "Nowhere"`: open("GET", "/v1/x", nil, openapi.Operation{
			ID: "x", Summary: "x", Answers: []openapi.Answer{openapi.JSON(200, lost{}, "")},
		}),
	} {
		if _, err := describe([]route{rt}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want an error with %q", err, want)
		}
	}
}

// Each operation has an example of its request, which the host accepts as far as its form goes.
func TestRequestsHaveExamples(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	c := newContract(t, s.spec.Document())
	for _, rt := range s.routes(nil) {
		method, path, _ := c.operation(rt.Method + " " + rt.Path)
		for _, p := range objects(c.at("paths", path, method, "parameters")) {
			if p["in"] == "path" && p["example"] == nil {
				t.Errorf("%s %s: no example of %v", method, path, p["name"])
			}
		}
		if rt.Body == nil {
			continue
		}
		media := []string{"paths", path, method, "requestBody", "content", rt.Body.Media}
		example := c.at(append(media, "example")...)
		if err := c.fits(pointer(append(media, "schema")...), example); err != nil || example == "" {
			t.Errorf("%s %s: the example %v: %v", method, path, example, err)
		}
		if rt.Body.Value == nil {
			continue
		}
		text, err := json.Marshal(example)
		if err == nil {
			err = s.spec.Decode(string(text), reflect.New(reflect.TypeOf(rt.Body.Value)).Interface())
		}
		if err != nil || string(text) == "{}" {
			t.Errorf("%s %s: the example %s: %v", method, path, text, err)
		}
	}
}

// objects returns the objects of a list.
func objects(list any) (all []map[string]any) {
	items, _ := list.([]any)
	for _, one := range items {
		all = append(all, one.(map[string]any))
	}
	return all
}

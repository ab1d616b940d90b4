package openapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"

	"wavryhost/session/api/content"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/problem"

	"github.com/danielgtaylor/huma/v2"
)

// Read reads the JSON body of a request into v, a pointer. If the body is optional and missing, Read does not change
// v.
func (sp *Spec) Read(w http.ResponseWriter, r *http.Request, v any, optional bool) error {
	b, err := content.Read(w, r)
	if err != nil {
		return err
	}
	if optional && len(b) == 0 {
		return nil
	}
	if err := content.RequireType(r, content.JSON); err != nil {
		switch r.Method {
		case http.MethodPost:
			return err.With("Accept-Post", content.JSON)
		case http.MethodPatch:
			return err.With("Accept-Patch", content.JSON)
		default:
			return err.With("Accept", content.JSON) // RFC 9110 section 12.5.1
		}
	}
	if err := sp.Decode(string(b), v); err != nil {
		return err
	}
	// A schema cannot express this.
	if err := grant.UniqueNames(b); err != nil {
		return problem.New(problem.BadJSON, "the body is not accepted: %s", problem.Shorten(err.Error()))
	}
	return nil
}

// Decode reads one JSON value into v, a pointer, and refuses what its schema in the document refuses. The error names
// all faults.
func (sp *Spec) Decode(text string, v any) error {
	var value any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	err := d.Decode(&value)
	switch {
	case errors.Is(err, io.EOF):
		return problem.New(problem.BadJSON, "the body is empty; it must be a JSON object")
	case err != nil:
		return problem.New(problem.BadJSON, "the body is not JSON: %s", problem.Shorten(err.Error()))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return problem.New(problem.BadJSON, "the body continues after its JSON value")
	}
	// The schema checks the text itself: v does not show what was missing, null, or in another case, which encoding/json
	// accepts.
	s := sp.registry.Schema(reflect.TypeOf(v), true, "")
	c := check{spec: sp}
	value = c.value(s, "", value)
	if len(c.faults) > 0 {
		return problem.Faulty(problem.BadJSON, c.faults)
	}
	if not := sp.resolve(s).Not; not != nil {
		var found huma.ValidateResult
		huma.Validate(sp.registry, not, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, value, &found)
		if len(found.Errors) == 0 {
			return problem.New(problem.BadJSON, "%s", not.Description)
		}
	}
	// JSON has several notations of a number, such as 1.0 and 1e2. encoding/json accepts only one of them as an integer.
	plain, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(plain, v)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return problem.New(problem.BadJSON, "%s is %s; it is out of range",
			problem.Shorten(wrong.Field), withArticle(wrong.Value))
	}
	if err != nil {
		return problem.New(problem.BadJSON, "the body is not accepted: %s", problem.Shorten(err.Error()))
	}
	return nil
}

// withArticle adds an article to encoding/json's name of a value: bool, number, number with digits, string, array or
// object.
func withArticle(value string) string {
	switch value {
	case "array", "object":
		return "an " + value
	case "bool":
		return "true or false"
	default:
		return "a " + value
	}
}

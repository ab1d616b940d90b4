package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
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

// Decode reads one JSON value into v, a pointer, and refuses what its schema in the document refuses.
func (sp *Spec) Decode(text string, v any) error {
	if err := decodeStrict(text, v); err != nil {
		// JSON has several notations of a number, such as 1.0 and 1e2. encoding/json accepts only one of them as an
		// integer.
		if plain, ok := normalize(text); !ok || decodeStrict(plain, v) != nil {
			return err
		}
	}
	// The schema checks the original text: v does not show what was missing, null, or in another case, which
	// encoding/json accepts.
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return problem.New(problem.BadJSON, "the body is not JSON: %s", problem.Shorten(err.Error()))
	}
	s := sp.registry.Schema(reflect.TypeOf(v), true, "")
	if err := sp.checkNames(s, "the body", value); err != nil {
		return err
	}
	root := huma.NewPathBuffer(nil, 0)
	var found huma.ValidateResult
	if not := sp.resolve(s).Not; not != nil {
		huma.Validate(sp.registry, not, root, huma.ModeWriteToServer, value, &found)
		if len(found.Errors) == 0 {
			return problem.New(problem.BadJSON, "%s", not.Description)
		}
		found.Reset()
	}
	huma.Validate(sp.registry, s, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, value, &found)
	if len(found.Errors) == 0 {
		return nil
	}
	if d, ok := errors.AsType[*huma.ErrorDetail](found.Errors[0]); ok {
		return sp.explain(s, d)
	}
	return problem.New(problem.BadJSON, "%s", problem.Shorten(found.Errors[0].Error()))
}

// normalize rewrites a JSON value as encoding/json writes it.
func normalize(text string) (string, bool) {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return "", false
	}
	b, err := json.Marshal(v)
	return string(b), err == nil
}

// explain returns the error for what validation found, with the range if there is one.
func (sp *Spec) explain(s *huma.Schema, d *huma.ErrorDetail) *problem.Error {
	if s = sp.resolve(s); s != nil {
		if p := s.Properties[d.Location]; p != nil && p.Minimum != nil && p.Maximum != nil {
			return problem.New(problem.BadJSON, "%s is %s; it must be from %v to %v",
				d.Location, brief(d.Value), *p.Minimum, *p.Maximum)
		}
	}
	return problem.New(problem.BadJSON, "%s is %s: %s", d.Location, brief(d.Value), d.Message)
}

func brief(v any) string {
	const most = 40
	text := fmt.Sprint(v)
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// resolve follows references.
func (sp *Spec) resolve(s *huma.Schema) *huma.Schema {
	for s != nil && s.Ref != "" {
		s = sp.registry.SchemaFromRef(s.Ref)
	}
	return s
}

// checkNames refuses what huma.Validate accepts: null, and names in another case. It also finds missing fields, to
// name them in our words.
func (sp *Spec) checkNames(s *huma.Schema, where string, v any) error {
	if s = sp.resolve(s); s == nil {
		return nil
	}
	switch v := v.(type) {
	case nil:
		if s.Nullable || s.Type == "" {
			return nil
		}
		return problem.New(problem.BadJSON, "%s is null", where)
	case []any:
		for _, item := range v {
			if err := sp.checkNames(s.Items, "an item of "+where, item); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok || v[name] == nil && !s.Properties[name].Nullable {
				return problem.New(problem.BadJSON, "%s is missing: %s", name, s.Properties[name].Description)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			p := s.Properties[name]
			if p == nil && s.Properties != nil {
				return problem.New(problem.BadJSON, "there is no field %q", problem.Shorten(name))
			}
			if err := sp.checkNames(p, name, v[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// decodeStrict reads one JSON value into v and refuses fields that v does not have.
func decodeStrict(body string, v any) error {
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return problem.New(problem.BadJSON, "the body continues after its JSON value")
		}
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return problem.New(problem.BadJSON, "the body is %s; it must be an object", withArticle(wrong.Value))
		}
		return problem.New(problem.BadJSON, "%s is %s; it must be %s",
			problem.Shorten(wrong.Field), withArticle(wrong.Value), jsonType(wrong.Type))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return problem.New(problem.BadJSON, "there is no field %s", problem.Shorten(name))
	}
	if errors.Is(err, io.EOF) {
		return problem.New(problem.BadJSON, "the body is empty; it must be a JSON object")
	}
	return problem.New(problem.BadJSON, "the body is not JSON: %s", problem.Shorten(err.Error()))
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

// jsonType returns the name in JSON of a type, with its article.
func jsonType(t reflect.Type) string {
	switch k := t.Kind(); {
	case k == reflect.Bool:
		return "true or false"
	case k == reflect.String:
		return "a string"
	case k == reflect.Slice || k == reflect.Array:
		return "an array"
	case k == reflect.Float32 || k == reflect.Float64:
		return "a number"
	case k >= reflect.Int && k <= reflect.Uint64:
		return "a whole number in the documented range"
	default:
		return "an object"
	}
}

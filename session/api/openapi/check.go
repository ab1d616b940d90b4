package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"wavryhost/session/api/problem"

	"github.com/danielgtaylor/huma/v2"
)

// MaxFaults bounds the faults of a body that an answer names.
const MaxFaults = 16

// check collects the faults of a JSON value. It is stricter than huma.Validate, which accepts null and names in another
// case.
type check struct {
	spec   *Spec
	faults []problem.Fault
}

// fault adds a fault. where is a JSON pointer without its leading "#".
func (c *check) fault(where, format string, args ...any) {
	if len(c.faults) < MaxFaults {
		c.faults = append(c.faults, problem.Fault{Pointer: "#" + where, Detail: fmt.Sprintf(format, args...)})
	}
}

// value checks v, and returns it with numbers as huma.Validate reads them.
func (c *check) value(s *huma.Schema, where string, v any) any {
	if s = c.spec.resolve(s); s == nil {
		return v
	}
	if n, ok := v.(json.Number); ok {
		f, err := n.Float64()
		if err != nil {
			c.fault(where, "%s is %s; it is out of range", name(where), brief(n))
			return v
		}
		v = f
	}
	switch {
	case v == nil && (s.Nullable || s.Type == ""):
		return v
	case v == nil:
		c.fault(where, "%s is null", name(where))
		return v
	case !isType(s, v):
		c.fault(where, "%s is %s; it must be %s", name(where), kind(v), wanted(s))
		return v
	}
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			v[i] = c.value(s.Items, where+"/"+strconv.Itoa(i), item)
		}
	case map[string]any:
		c.object(s, where, v)
		return v
	}
	c.validate(s, where, v)
	return v
}

// object checks the fields of an object.
func (c *check) object(s *huma.Schema, where string, v map[string]any) {
	for _, field := range s.Required {
		if got, ok := v[field]; !ok || got == nil && !s.Properties[field].Nullable {
			c.fault(where+"/"+field, "%s is missing: %s", field, s.Properties[field].Description)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(s.DependentRequired)) {
		for _, other := range s.DependentRequired[field] {
			if _, ok := v[other]; v[field] != nil && !ok {
				c.fault(where+"/"+other, "%s is missing: %s requires it", other, field)
			}
		}
	}
	for _, field := range slices.Sorted(maps.Keys(v)) {
		at := where + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(problem.Shorten(field))
		p := s.Properties[field]
		switch {
		case p == nil && s.Properties != nil:
			c.fault(at, "there is no field %q", problem.Shorten(field))
		case p == nil:
			if extra, ok := s.AdditionalProperties.(*huma.Schema); ok {
				v[field] = c.value(extra, at, v[field])
			}
		case v[field] == nil && slices.Contains(s.Required, field): // it was reported above
		default:
			v[field] = c.value(p, at, v[field])
		}
	}
}

// validate checks the limits of a value that has the right type. Of a list it checks the list alone.
func (c *check) validate(s *huma.Schema, where string, v any) {
	if _, ok := v.([]any); ok {
		whole := *s
		whole.Items = &huma.Schema{}
		s = &whole
	}
	var found huma.ValidateResult
	huma.Validate(c.spec.registry, s, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, v, &found)
	if len(found.Errors) == 0 {
		return
	}
	if s.Minimum != nil && s.Maximum != nil {
		c.fault(where, "%s is %s; it must be from %v to %v", name(where), brief(v), *s.Minimum, *s.Maximum)
		return
	}
	text := found.Errors[0].Error()
	if d, ok := errors.AsType[*huma.ErrorDetail](found.Errors[0]); ok {
		text = d.Message
	}
	c.fault(where, "%s is %s: %s", name(where), brief(v), problem.Shorten(text))
}

// name returns what a pointer points to, for people.
func name(where string) string {
	if where == "" {
		return "the body"
	}
	return strings.NewReplacer("/", ".", "~1", "/", "~0", "~").Replace(strings.TrimPrefix(where, "/"))
}

// isType reports whether a value has the type of a schema.
func isType(s *huma.Schema, v any) bool {
	switch v := v.(type) {
	case bool:
		return s.Type == huma.TypeBoolean || s.Type == ""
	case string:
		return s.Type == huma.TypeString || s.Type == ""
	case float64:
		return s.Type == huma.TypeNumber || s.Type == "" || s.Type == huma.TypeInteger && v == math.Trunc(v)
	case []any:
		return s.Type == huma.TypeArray || s.Type == ""
	default:
		return s.Type == huma.TypeObject || s.Type == ""
	}
}

// kind returns the JSON type of a value, with its article.
func kind(v any) string {
	switch v := v.(type) {
	case bool:
		return "true or false"
	case string:
		return "a string"
	case float64:
		return "the number " + brief(v)
	case []any:
		return "an array"
	default:
		return "an object"
	}
}

// wanted returns the type of a schema, with its article.
func wanted(s *huma.Schema) string {
	switch s.Type {
	case huma.TypeBoolean:
		return "true or false"
	case huma.TypeString:
		return "a string"
	case huma.TypeInteger:
		return "a whole number"
	case huma.TypeNumber:
		return "a number"
	case huma.TypeArray:
		return "an array"
	default:
		return "an object"
	}
}

func brief(v any) string {
	const most = 40
	text := fmt.Sprint(v)
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

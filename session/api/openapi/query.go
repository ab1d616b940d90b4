package openapi

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"wavryhost/session/api/problem"

	"github.com/danielgtaylor/huma/v2"
)

// CheckQuery returns the error for a query that cannot be read, or that has a parameter that the route does not have,
// has twice, or does not accept. It names all faults.
func (sp *Spec) CheckQuery(rt Route, r *http.Request) error {
	if !rt.strict() || r.URL.RawQuery == "" {
		return nil
	}
	all, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem.New(problem.BadRequest, "the query is not valid: %s", problem.Shorten(err.Error()))
	}
	var names []string
	known := map[string]Param{}
	for _, p := range rt.Params {
		if p.In == "query" {
			names, known[p.Name] = append(names, p.Name), p
		}
	}
	var faults []problem.Fault
	for _, name := range slices.Sorted(maps.Keys(all)) {
		var text string
		switch p, ok := known[name]; {
		case !ok && len(names) == 0:
			text = "there is no parameter " + quote(name) + "; this operation has none"
		case !ok:
			text = "there is no parameter " + quote(name) + "; this operation has " + strings.Join(names, ", ")
		case len(all[name]) > 1 && !p.Many:
			text = name + " appears twice"
		default:
			text = sp.parameter(p, all[name])
		}
		if text != "" && len(faults) < MaxFaults {
			faults = append(faults, problem.Fault{Parameter: problem.Shorten(name), Detail: text})
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return problem.Faulty(problem.BadRequest, faults)
}

func quote(text string) string { return problem.Shorten(strconv.Quote(text)) }

// parameter returns what is wrong with the values of a parameter; empty if nothing is.
func (sp *Spec) parameter(p Param, values []string) string {
	s := sp.resolve(sp.registry.Schema(reflect.TypeOf(p.Value), true, ""))
	for _, text := range values {
		var v any = text
		switch s.Type {
		case huma.TypeInteger:
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return p.Name + " is " + quote(text) + "; it must be a whole number" + limits(s)
			}
			v = float64(n)
		case huma.TypeNumber:
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return p.Name + " is " + quote(text) + "; it must be a number" + limits(s)
			}
			v = n
		}
		var found huma.ValidateResult
		huma.Validate(sp.registry, s, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, v, &found)
		if len(found.Errors) > 0 {
			return p.Name + " is " + quote(text) + "; it must be " + accepted(s)
		}
		if words := sp.sets[p.Set]; p.Set != "" && !slices.Contains(words, text) {
			return p.Name + " is " + quote(text) + "; it must be one of " + strings.Join(words, ", ")
		}
		if p.FieldsOf != nil {
			fields := sp.fields(p)
			for name := range strings.SplitSeq(text, ",") {
				if !slices.Contains(fields, name) {
					return p.Name + ": there is no field " + quote(name)
				}
			}
		}
	}
	return ""
}

// limits returns the range of numbers, after a blank.
func limits(s *huma.Schema) string {
	if s.Minimum == nil || s.Maximum == nil {
		return ""
	}
	return fmt.Sprintf(" from %v to %v", *s.Minimum, *s.Maximum)
}

// accepted returns what a schema accepts, for people.
func accepted(s *huma.Schema) string {
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		return "a number" + limits(s)
	case s.MaxLength != nil:
		return fmt.Sprintf("up to %d characters long", *s.MaxLength)
	case len(s.Examples) > 0:
		return fmt.Sprintf("of the form of %v", s.Examples[0])
	default:
		return "text that matches " + s.Pattern
	}
}

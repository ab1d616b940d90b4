package openapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Union makes a schema one of several variants, which a field identifies.
type Union struct {
	// Schema is the name of the schema, which has the fields of all variants.
	Schema string
	// Field identifies the variant. Common are the names of the fields that all variants have.
	Field  string
	Common []string
	// Variants are by the value of Field.
	Variants map[string]Variant
	// Replaced are the names of sets that only the fields of the whole schema referred to.
	Replaced []string
}

// Variant says which of the fields a variant has.
type Variant struct {
	Required, Optional []string
	Words              map[string][]string // closed sets of fields
}

// split makes the schema of u refer to its variants.
func (sp *Spec) split(u Union) error {
	all := sp.registry.Map()[u.Schema]
	if all == nil {
		return fmt.Errorf("union: there is no schema %s", u.Schema)
	}
	whole := &huma.Schema{
		Description:   "The field " + u.Field + " says which of these it is. Later versions may add others.",
		Discriminator: &huma.Discriminator{PropertyName: u.Field, Mapping: map[string]string{}},
		Extensions:    map[string]any{extOpen: true},
	}
	for _, value := range slices.Sorted(maps.Keys(u.Variants)) {
		v := u.Variants[value]
		one := &huma.Schema{
			Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: true,
			Required: slices.Concat(u.Common, v.Required),
		}
		for _, field := range slices.Concat(u.Common, v.Required, v.Optional) {
			p := all.Properties[field]
			if p == nil {
				return fmt.Errorf("union: %s of %s has no field %s", value, u.Schema, field)
			}
			one.Properties[field] = p
			if words := v.Words[field]; words != nil {
				one.Properties[field] = wordsOf(p.Description, words)
			}
		}
		// Generators make a name of each word of an enumeration. This word is one of another set already.
		one.Properties[u.Field] = &huma.Schema{
			Type: huma.TypeString, Description: all.Properties[u.Field].Description, Extensions: map[string]any{"const": value},
		}
		name := variantName(value) + u.Schema
		sp.registry.Map()[name] = one
		ref := schemaPrefix + name
		whole.OneOf = append(whole.OneOf, &huma.Schema{Ref: ref})
		whole.Discriminator.Mapping[value] = ref
	}
	sp.registry.Map()[u.Schema] = whole
	for _, name := range u.Replaced {
		delete(sp.registry.Map(), name)
	}
	return nil
}

// wordsOf returns the schema of a closed set.
func wordsOf(description string, words []string) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Description: description}
	for _, w := range words {
		s.Enum = append(s.Enum, w)
	}
	return s
}

// variantName returns a word in the form of a schema's name: session_ended becomes SessionEnded.
func variantName(word string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(word, "_") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// open lets the schemas of answers have further fields, which later versions add. The schemas of requests stay closed.
func (sp *Spec) open(doc *huma.OpenAPI) {
	closed := map[string]bool{}
	var visit func(s *huma.Schema)
	visit = func(s *huma.Schema) {
		if s == nil {
			return
		}
		if name := strings.TrimPrefix(s.Ref, schemaPrefix); s.Ref != "" && !closed[name] {
			closed[name] = true
			visit(sp.registry.Map()[name])
		}
		visit(s.Items)
		for _, p := range s.Properties {
			visit(p)
		}
	}
	for _, path := range doc.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Post, path.Put, path.Patch, path.Delete} {
			if op == nil || op.RequestBody == nil {
				continue
			}
			for _, media := range op.RequestBody.Content {
				visit(media.Schema)
			}
		}
	}
	for name, s := range sp.registry.Map() {
		switch {
		case closed[name]:
		case s.AdditionalProperties == false:
			s.AdditionalProperties = true
		case len(s.Enum) > 0:
			s.Extensions = map[string]any{extOpen: true}
		}
	}
}

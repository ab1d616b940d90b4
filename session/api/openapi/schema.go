package openapi

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// schema returns the schema of a body.
func (sp *Spec) schema(v any) (*huma.Schema, error) {
	switch v.(type) {
	case nil:
		return &huma.Schema{Type: huma.TypeString}, nil
	case Binary:
		return &huma.Schema{Type: huma.TypeString, Format: "binary"}, nil
	}
	t := reflect.TypeOf(v)
	if err := sp.define(t); err != nil {
		return nil, err
	}
	return sp.registry.Schema(t, true, ""), nil
}

// define makes the schemas of a type and of the types of its fields. Beside what huma reads from the types, lists are
// never null, and words of closed sets refer to a schema that lists them.
func (sp *Spec) define(t reflect.Type) error {
	sp.registry.Schema(t, true, "")
	for name, s := range sp.registry.Map() {
		owner := sp.registry.TypeFromRef(schemaPrefix + name)
		if owner == nil {
			continue // a closed set
		}
		for _, f := range reflect.VisibleFields(owner) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := s.Properties[name]
			if p == nil {
				continue
			}
			if p.Type == huma.TypeArray {
				p.Nullable = false
			}
			if f.Tag.Get("partial") != "" {
				sp.loosen(p)
			}
			if err := sp.restrict(p, f.Tag.Get("set")); err != nil {
				return fmt.Errorf("field %s of %s: %w", f.Name, owner, err)
			}
		}
		s.PrecomputeMessages()
	}
	return nil
}

// restrict limits p, or the items of p, to the words of a set. Without a set it changes nothing.
func (sp *Spec) restrict(p *huma.Schema, set string) error {
	if set == "" {
		return nil
	}
	words, ok := sp.sets[set]
	if !ok {
		return fmt.Errorf("there is no set %q: see session.Sets", set)
	}
	if sp.registry.Map()[set] == nil {
		list := &huma.Schema{Type: huma.TypeString}
		for _, w := range words {
			list.Enum = append(list.Enum, w)
		}
		list.PrecomputeMessages()
		sp.registry.Map()[set] = list
	}
	if p.Type == huma.TypeArray {
		p = p.Items
	}
	p.Type, p.Ref = "", schemaPrefix+set
	return nil
}

// loosen gives the items of a list a schema of their own, which requires the ID only: the client selects the fields.
func (sp *Spec) loosen(p *huma.Schema) {
	name := strings.TrimPrefix(p.Items.Ref, schemaPrefix)
	whole := sp.registry.Map()[name]
	if whole == nil || strings.HasSuffix(name, "Item") {
		return
	}
	some := *whole
	some.Required = []string{"id"}
	sp.registry.Map()[name+"Item"] = &some
	p.Items = &huma.Schema{Ref: schemaPrefix + name + "Item"}
}

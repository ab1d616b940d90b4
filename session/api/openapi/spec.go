package openapi

import "github.com/danielgtaylor/huma/v2"

// extOpen marks closed sets and unions that later versions may extend.
const extOpen = "x-extensible-enum"

const schemaPrefix = "#/components/schemas/"

// Spec is the description of the API: the document, and the schemas of request bodies.
type Spec struct {
	registry huma.Registry
	sets     map[string][]string
	document []byte
}

// Document returns the OpenAPI document. The caller must not change it.
func (sp *Spec) Document() []byte { return sp.document }

// resolve follows references.
func (sp *Spec) resolve(s *huma.Schema) *huma.Schema {
	for s != nil && s.Ref != "" {
		s = sp.registry.SchemaFromRef(s.Ref)
	}
	return s
}

package config

import (
	"io"
	"maps"
	"strings"
)

// SchemaVersion is the version of the settings: a change that refuses earlier files, or gives them another meaning,
// raises it.
const SchemaVersion = 1

// WriteSchema writes the JSON Schema of files, which editors use. It is stricter than Load in one thing: the booleans
// of YAML 1.1, such as yes, are valid, but the schema names only true and false.
func WriteSchema(w io.Writer) error {
	schema, err := Schema()
	if err != nil {
		return err
	}
	return writeJSON(w, schema)
}

// Schema returns the JSON Schema of files.
func Schema() (map[string]any, error) {
	root := object("Configuration of wavry-host.")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "wavry-host"
	root["x-schema-version"] = SchemaVersion
	for _, section := range Sections() {
		for _, s := range section.Settings {
			keys := strings.Split(s.Name, ".")
			into := root
			for i, key := range keys[:len(keys)-1] {
				doc := ""
				if i == 0 {
					doc = section.Doc
				}
				into = child(into, key, doc)
			}
			one, err := s.describe()
			if err != nil {
				return nil, err
			}
			properties(into)[keys[len(keys)-1]] = one
		}
	}
	return root, nil
}

// describe returns the schema of s with its default and its documentation.
func (s Setting) describe() (map[string]any, error) {
	one := maps.Clone(s.Schema())
	one["description"] = s.Doc
	one["x-reload"] = s.Live
	var c Config
	if refused := s.field(&c).set(s.Default); refused == nil && !s.Secret {
		value, err := plain(s.field(&c).encode())
		if err != nil {
			return nil, err
		}
		one["default"] = value
	}
	return one, nil
}

// object returns the schema of a section. A section may be empty.
func object(doc string) map[string]any {
	o := map[string]any{
		"type": []string{"object", "null"}, "additionalProperties": false, "properties": map[string]any{},
	}
	if doc != "" {
		o["description"] = doc
	}
	return o
}

func properties(o map[string]any) map[string]any {
	all, _ := o["properties"].(map[string]any)
	return all
}

// child returns the section of a key in o, which is made if there is none.
func child(o map[string]any, key, doc string) map[string]any {
	if there, ok := properties(o)[key].(map[string]any); ok {
		return there
	}
	made := object(doc)
	properties(o)[key] = made
	return made
}

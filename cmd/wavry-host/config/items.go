package config

import "go.yaml.in/yaml/v3"

// member is one field of an item of a setting.
type member struct {
	name  string
	field target
	// allowed describes the allowed values, to be read after "is not", if the setting's own description does not fit.
	allowed string
	secret  bool // its value is never shown
}

// decodeItems reads a list of items from a file.
func decodeItems[T any](n *yaml.Node, into *[]T, one func(*yaml.Node) (T, []trouble)) []trouble {
	if n.Kind != yaml.SequenceNode {
		return []trouble{{at: n, value: kindOf(n)}}
	}
	var (
		all   []T
		found []trouble
	)
	for i, e := range n.Content {
		item, bad := one(e)
		for _, t := range bad {
			t.in = index(i) + t.in
			found = append(found, t)
		}
		all = append(all, item)
	}
	*into = all
	return found
}

// decodeFields reads the fields of an item from a file.
func decodeFields(n *yaml.Node, members []member) []trouble {
	if n.Kind != yaml.MappingNode {
		return []trouble{{at: n, value: kindOf(n)}}
	}
	var (
		names []string
		found []trouble
	)
	for _, m := range members {
		names = append(names, m.name)
	}
	for _, e := range entries(n) {
		if e.why != "" {
			found = append(found, trouble{at: e.key, value: "key " + show(e.key), why: e.why})
			continue
		}
		known := false
		for _, m := range members {
			if m.name != e.key.Value {
				continue
			}
			known = true
			for _, t := range m.field.decode(e.value) {
				t.in = "." + m.name + t.in
				if m.secret {
					t.value = "the value"
				}
				if t.why == "" && m.allowed != "" {
					t.why = "is not " + m.allowed
				}
				found = append(found, t)
			}
		}
		if !known {
			found = append(
				found, trouble{at: e.key, value: "key " + show(e.key), why: "is unknown" + suggest(e.key.Value, names...)},
			)
		}
	}
	return found
}

// setYAML reads a list of items from text in YAML's short form.
func setYAML(to target, text string) *trouble {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) != 1 {
		return &trouble{value: "the value", why: "is not YAML"} // it may contain a credential, so it is not shown
	}
	if found := to.decode(doc.Content[0]); len(found) > 0 {
		found[0].at = nil
		return &found[0]
	}
	return nil
}

package config

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// target is where the value of a setting is stored.
type target interface {
	// set reads the value from text, as in flags and the environment.
	set(text string) *trouble
	// decode reads it from a file.
	decode(n *yaml.Node) []trouble
	// encode returns it as in a file, with secrets masked.
	encode() *yaml.Node
	// value is the current value, for comparison.
	value() any
	// allows describes the allowed values, to be read after "is not". typ is their type's name for people.
	allows() (allowed, typ string)
	// shape is the JSON Schema of its values.
	shape() map[string]any
}

// trouble is a refused value.
type trouble struct {
	at    *yaml.Node // where in the file, nil elsewhere
	in    string     // where in the value, as "[1].urls[0]"
	value string     // the value
	why   string
}

var (
	_ target = scalar[string]{}
	_ target = list{}
	_ target = items[DisplayRule]{}
)

// scalar is a single value.
type scalar[T any] struct {
	kind[T]
	p *T
}

func (s scalar[T]) set(text string) *trouble {
	v, err := s.parse(text)
	if err != nil {
		return &trouble{value: strconv.Quote(shorten(text)), why: "is not " + s.allowed}
	}
	*s.p = v
	return nil
}

func (s scalar[T]) decode(n *yaml.Node) []trouble {
	tags := s.tags
	if s.literal != "" && (n.Value == s.literal || s.literal == None && isFalse(n.Value)) {
		tags = []string{tagText, tagBool}
	}
	if t := checkScalar(n, s.allowed, tags...); t != nil {
		return []trouble{*t}
	}
	if t := s.set(n.Value); t != nil {
		t.at, t.value = n, show(n)
		return []trouble{*t}
	}
	return nil
}

func (s scalar[T]) value() any { return *s.p }

func (s scalar[T]) allows() (allowed, typ string) { return s.allowed, s.word }

func (s scalar[T]) shape() map[string]any { return s.schema }

func (s scalar[T]) encode() *yaml.Node {
	text, tag := s.format(*s.p), s.tags[0]
	if tag == tagInt && strings.Trim(text, "0123456789") != "" {
		tag = tagText // a bitrate with a unit, or a word
	}
	return textNode(text, tag)
}

// list is a list of texts.
type list struct {
	p       *[]string
	ok      func(string) bool
	allowed string // of an element
}

func (l list) set(text string) *trouble {
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		return setYAML(l, text)
	}
	var values []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			if strings.TrimSpace(text) == "" {
				break
			}
			return &trouble{value: strconv.Quote(shorten(text)), why: "has an empty element"}
		}
		if !l.ok(part) {
			return &trouble{in: index(len(values)), value: strconv.Quote(shorten(part)), why: "is not " + l.allowed}
		}
		values = append(values, part)
	}
	*l.p = values
	return nil
}

func (l list) decode(n *yaml.Node) []trouble {
	if t := checkList(n); t != nil {
		return []trouble{*t}
	}
	var (
		values []string
		found  []trouble
	)
	for i, e := range n.Content {
		if t := checkScalar(e, l.allowed, tagText); t != nil {
			t.in = index(i)
			found = append(found, *t)
			continue
		}
		if !l.ok(e.Value) {
			found = append(found, trouble{at: e, in: index(i), value: show(e), why: "is not " + l.allowed})
			continue
		}
		values = append(values, e.Value)
	}
	*l.p = values
	return found
}

func (l list) value() any { return *l.p }

func (l list) allows() (allowed, typ string) { return "a list; each element is " + l.allowed, "list" }

func (l list) shape() map[string]any {
	return map[string]any{"type": "array", "items": map[string]any{"type": "string", "minLength": 1}}
}

func (l list) encode() *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range *l.p {
		n.Content = append(n.Content, textNode(v, tagText))
	}
	return n
}

// items is a list of items with fields.
type items[T any] struct {
	p *[]T
	// noun is the name of an item for people.
	noun string
	// members returns the fields of an item as they are named in a file.
	members func(*T) []member
	// check returns what is wrong with an item as a whole, to be read after its noun, or nothing.
	check func(*T) string
	// short reads an item that is text, as variables may have them. It is nil for none.
	short func(text string) (T, bool)
}

// member is one field of an item.
type member struct {
	name   string
	field  target
	doc    string
	secret bool // its value is never shown
}

// set reads the list as in a file, in YAML's short form, or items of one text each, separated by commas.
func (s items[T]) set(text string) *trouble {
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		*s.p = nil
		return nil
	case s.short == nil || strings.HasPrefix(trimmed, "["):
		return setYAML(s, text)
	}
	var all []T
	for part := range strings.SplitSeq(trimmed, ",") {
		part = strings.TrimSpace(part)
		item, ok := s.short(part)
		if !ok {
			allowed, _ := s.allows()
			return &trouble{in: index(len(all)), value: strconv.Quote(shorten(part)), why: "is not " + allowed}
		}
		if why := s.check(&item); why != "" {
			return &trouble{in: index(len(all)), value: s.noun, why: why}
		}
		all = append(all, item)
	}
	*s.p = all
	return nil
}

func (s items[T]) decode(n *yaml.Node) []trouble {
	if t := checkList(n); t != nil {
		return []trouble{*t}
	}
	var (
		all   []T
		found []trouble
	)
	for i, e := range n.Content {
		var item T
		bad := decodeFields(e, s.members(&item))
		if why := s.check(&item); len(bad) == 0 && why != "" {
			bad = append(bad, trouble{at: e, value: s.noun, why: why})
		}
		for _, t := range bad {
			t.in = index(i) + t.in
			found = append(found, t)
		}
		all = append(all, item)
	}
	*s.p = all
	return found
}

// decodeFields reads the fields of an item from a file.
func decodeFields(n *yaml.Node, members []member) []trouble {
	if n.Kind != yaml.MappingNode {
		return []trouble{{at: n, value: kindOf(n), why: "is not an item with " + namesOf(members)}}
	}
	var found []trouble
	for _, e := range entries(n) {
		if e.why != "" {
			found = append(found, trouble{at: e.key, value: "key " + show(e.key), why: e.why})
			continue
		}
		i := slices.IndexFunc(members, func(m member) bool { return m.name == e.key.Value })
		if i < 0 {
			var names []string
			for _, m := range members {
				names = append(names, m.name)
			}
			found = append(found, trouble{
				at: e.key, value: "key " + show(e.key), why: "is unknown" + suggest(e.key.Value, names...),
			})
			continue
		}
		for _, t := range members[i].field.decode(e.value) {
			t.in = "." + members[i].name + t.in
			if members[i].secret {
				t.value = "the value"
			}
			found = append(found, t)
		}
	}
	return found
}

func namesOf(members []member) string {
	var names []string
	for _, m := range members {
		names = append(names, m.name)
	}
	return strings.Join(names, ", ")
}

func (s items[T]) value() any { return *s.p }

func (s items[T]) allows() (allowed, typ string) {
	var item T
	return "a list of items with " + namesOf(s.members(&item)), "list"
}

func (s items[T]) shape() map[string]any {
	var item T
	fields := map[string]any{}
	for _, m := range s.members(&item) {
		field := map[string]any{}
		maps.Copy(field, m.field.shape())
		if m.doc != "" {
			field["description"] = m.doc
		}
		fields[m.name] = field
	}
	return map[string]any{
		"type":  "array",
		"items": map[string]any{"type": "object", "additionalProperties": false, "properties": fields},
	}
}

// encode omits fields that are not set.
func (s items[T]) encode() *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if len(*s.p) == 0 {
		n.Style = yaml.FlowStyle
	}
	for i := range *s.p {
		var none T
		item, unset := &yaml.Node{Kind: yaml.MappingNode}, s.members(&none)
		for j, m := range s.members(&(*s.p)[i]) {
			if !reflect.DeepEqual(m.field.value(), unset[j].field.value()) {
				item.Content = append(item.Content, textNode(m.name, tagText), m.field.encode())
			}
		}
		n.Content = append(n.Content, item)
	}
	return n
}

// setYAML reads a value from text in YAML's short form.
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

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

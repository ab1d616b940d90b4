package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// formerGrants are the former settings of one issuer of grants and of several, which auth.grants replaced.
func formerGrants() []string {
	return []string{"grant_keys", "grant_audience", "grant_issuer", "grant_max_role", "grant_issuers"}
}

// Migrate turns a file with all settings on one level into one with sections. Comments stay with their settings. It
// refuses keys that never were settings. What the values mean, Load checks.
func Migrate(name string, data []byte) ([]byte, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return data, nil
	case err != nil:
		return nil, &Error{[]Problem{{Where: name + syntaxLine(err), Text: syntax(err)}}}
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &Error{[]Problem{{Where: name, Text: "there is more than one document; one is allowed"}}}
	}
	old := doc.Content[0]
	if isNothing(old) {
		return data, nil
	}
	if old.Kind != yaml.MappingNode {
		return nil, &Error{[]Problem{{
			Where: fmt.Sprintf("%s:%d", name, old.Line),
			Text:  "found " + kindOf(old) + "; want lines of the form \"setting: value\"",
		}}}
	}
	m := migration{table: newTable(), name: name, root: &yaml.Node{Kind: yaml.MappingNode, HeadComment: old.HeadComment}}
	m.read(old)
	if len(m.found) > 0 {
		return nil, &Error{m.found}
	}
	m.arrange()
	doc.Content[0] = m.root
	var b bytes.Buffer
	err := writeYAML(&b, &doc)
	return b.Bytes(), err
}

// migration is a file on its way.
type migration struct {
	*table
	name   string
	root   *yaml.Node
	moved  map[string]*yaml.Node // values by the name of their setting
	grants map[string]entry      // the former settings of grants
	found  []Problem
	keys   map[string]*yaml.Node // the former keys, which have the comments
}

// read takes the former settings from a file.
func (m *migration) read(old *yaml.Node) {
	m.moved, m.grants, m.keys = map[string]*yaml.Node{}, map[string]entry{}, map[string]*yaml.Node{}
	for _, e := range entries(old) {
		refuse := func(text string) {
			m.found = append(m.found, Problem{Where: fmt.Sprintf("%s:%d", m.name, e.key.Line), Text: text})
		}
		now := m.former[e.key.Value]
		s, known := m.byName[now]
		switch {
		case e.why != "":
			refuse("key " + show(e.key) + " " + e.why)
		case m.sections[e.key.Value] && e.value.Kind == yaml.MappingNode:
			refuse("there is a section already: " + e.key.Value + "; the file has sections, or parts of both forms")
		case slices.Contains(formerGrants(), e.key.Value):
			m.grants[e.key.Value] = e
		case known:
			m.moved[now], m.keys[now] = reword(s, e.value), e.key
		default:
			var known []string
			for name := range m.former {
				known = append(known, name)
			}
			slices.Sort(known)
			refuse("unknown setting " + strconv.Quote(shorten(e.key.Value)) + suggest(e.key.Value, known...))
		}
	}
}

// reword writes a former value as a setting has it now: with a word where it was 0 or empty, and with its unit.
func reword(s Setting, n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.ScalarNode {
		return n
	}
	value := n.Value
	zero := value == "" || value == "0" || value == "0s"
	isList := s.Type == "list"
	for _, word := range []string{None, Auto, Unlimited} {
		if zero && !isList && strings.HasSuffix(s.Allowed, "or "+word) {
			value = word
		}
	}
	if s.Former == "revocations_file" && zero {
		value = None
	}
	if s.Type == "rate" && strings.Trim(value, "0123456789") == "" {
		value += "/s"
	}
	if isFalse(value) && (s.Former == "input" || s.Former == "tls_client_auth") {
		value = None
	}
	if value == n.Value {
		return n
	}
	return &yaml.Node{
		Kind: yaml.ScalarNode, Value: value, Tag: tagText, Line: n.Line,
		LineComment: n.LineComment, HeadComment: n.HeadComment, FootComment: n.FootComment,
	}
}

// arrange puts the settings into their sections, in the order of the table.
func (m *migration) arrange() {
	if list := m.grantList(); list != nil {
		m.moved["auth.grants"] = list
	}
	for _, s := range m.settings {
		value, ok := m.moved[s.Name]
		if !ok {
			continue
		}
		keys := strings.Split(s.Name, ".")
		into := m.root
		for _, key := range keys[:len(keys)-1] {
			into = within(into, key)
		}
		key := textNode(keys[len(keys)-1], tagText)
		if was := m.keys[s.Name]; was != nil {
			key.HeadComment, key.LineComment, key.FootComment = was.HeadComment, was.LineComment, was.FootComment
		}
		into.Content = append(into.Content, key, value)
	}
}

// grantList returns the list of issuers, or nil for none.
func (m *migration) grantList() *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	field := func(item *yaml.Node, name, former string) {
		e, ok := m.grants[former]
		if !ok || e.value.Value == "" {
			return
		}
		for i := 0; i < len(item.Content); i += 2 {
			if item.Content[i].Value == name {
				return // its own
			}
		}
		item.Content = append(item.Content, textNode(name, tagText), e.value)
	}
	if several, ok := m.grants["grant_issuers"]; ok && several.value.Kind == yaml.SequenceNode {
		for _, item := range several.value.Content {
			field(item, "audience", "grant_audience")
			field(item, "max_role", "grant_max_role")
			list.Content = append(list.Content, item)
		}
	}
	if e, ok := m.grants["grant_keys"]; ok && e.value.Value != "" {
		item := &yaml.Node{Kind: yaml.MappingNode}
		field(item, "issuer", "grant_issuer")
		field(item, "keys", "grant_keys")
		field(item, "audience", "grant_audience")
		field(item, "max_role", "grant_max_role")
		list.Content = append(list.Content, item)
	}
	if len(list.Content) == 0 {
		return nil
	}
	return list
}

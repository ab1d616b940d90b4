package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decodeFile reads settings from YAML. It passes each value and its place to take. It returns problems of the file,
// and what take refuses.
func (t *table) decodeFile(name string, data []byte, take func(s Setting, n *yaml.Node,
	where string) []Problem,
) []Problem {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil // an empty file sets nothing
	case err != nil:
		return []Problem{{Where: name + syntaxLine(err), Text: syntax(err)}}
	}
	f := file{table: t, name: name, take: take}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		where := name
		if err == nil {
			where = f.at(&more)
		}
		return []Problem{{Where: where, Text: "there is more than one document; one is allowed"}}
	}
	root := doc.Content[0]
	if isNothing(root) {
		return nil // nothing but comments
	}
	if root.Kind != yaml.MappingNode {
		return []Problem{{
			Where: f.at(root), Text: "found " + kindOf(root) + "; want sections with lines of the form " +
				"\"setting: value\"",
		}}
	}
	if n := f.countFormer(root); n > 2 && 2*n > len(root.Content)/2 {
		return []Problem{{Where: f.at(root), Text: fmt.Sprintf("all settings are on one level, as they were formerly; "+
			"\"wavry-host config migrate %s\" prints the file with sections", name)}}
	}
	return f.section("", root)
}

// countFormer returns how many keys of a file are former names of settings.
func (f file) countFormer(root *yaml.Node) int {
	n := 0
	for _, e := range entries(root) {
		if _, ok := f.former[e.key.Value]; ok && (!f.sections[e.key.Value] || e.value.Kind == yaml.ScalarNode) {
			n++
		}
	}
	return n
}

// file is a file that is read.
type file struct {
	*table
	name string
	take func(s Setting, n *yaml.Node, where string) []Problem
}

func (f file) at(n *yaml.Node) string { return f.name + ":" + strconv.Itoa(n.Line) }

// section reads the settings below a path, which ends in a dot or is empty.
func (f file) section(path string, n *yaml.Node) []Problem {
	var found []Problem
	for _, e := range entries(n) {
		name := path + e.key.Value
		s, known := f.byName[name]
		add := func(text string) { found = append(found, Problem{Where: f.at(e.key), Text: text}) }
		switch {
		case e.why != "":
			add(strings.TrimSuffix(path, ".") + strings.Repeat(": ", min(len(path), 1)) + "key " +
				"" + show(e.key) + " " + e.why)
		case strings.Contains(e.key.Value, "."):
			add(f.unknown(path, e.key.Value))
		case known:
			found = append(found, f.take(s, e.value, f.at(e.key))...)
		case !f.sections[name]:
			add(f.unknown(path, e.key.Value))
		case e.value.Kind == yaml.MappingNode:
			found = append(found, f.section(name+".", e.value)...)
		case isNothing(e.value): // its settings may all be comments
		case path == "" && f.former[name] != "":
			add(f.wasFormer(name))
		default:
			add(name + ": found " + kindOf(e.value) + "; it is a section: write its settings below it, indented")
		}
	}
	return found
}

// unknown describes a key that is neither a setting nor a section.
func (f file) unknown(path, key string) string {
	if f.former[key] != "" && path == "" {
		return f.wasFormer(key)
	}
	name := path + key
	if _, ok := f.byName[name]; ok || f.sections[name] {
		return fmt.Sprintf("unknown key %q: write each of its parts on a line of its own, indented", key)
	}
	text := "unknown setting " + strconv.Quote(shorten(name))
	if s := f.elsewhere(key); s != "" {
		return text + `; did you mean "` + s + `"?`
	}
	return text + suggest(name, f.names()...)
}

func (f file) wasFormer(key string) string {
	return fmt.Sprintf("unknown setting %q: it is %s now; \"wavry-host config migrate %s\" prints the file with "+
		"sections",
		key, f.former[key], f.name)
}

// isNothing reports whether n is an empty value.
func isNothing(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" && n.Value == ""
}

// entry is a key of a mapping and its value. why says what is wrong with the key.
type entry struct {
	key, value *yaml.Node
	why        string
}

func entries(n *yaml.Node) []entry {
	var out []entry
	first := make(map[string]int)
	for pair := range slices.Chunk(n.Content, 2) {
		e := entry{key: pair[0], value: pair[1]}
		line, twice := first[e.key.Value]
		switch {
		case e.key.Kind != yaml.ScalarNode || e.key.ShortTag() != tagText:
			e.why = "is not text"
		case twice:
			e.why = fmt.Sprintf("is set already, in line %d", line)
		default:
			first[e.key.Value] = e.key.Line
		}
		out = append(out, e)
	}
	return out
}

// checkScalar returns what is wrong with n as a value of one of the YAML types.
func checkScalar(n *yaml.Node, allowed string, tags ...string) *trouble {
	switch {
	case n.Kind == yaml.AliasNode:
		return &trouble{at: n, value: "the alias", why: "is not allowed: write the value itself"}
	case isNothing(n):
		return &trouble{at: n, value: "there", why: "is no value: write one, or leave the line out"}
	case n.Kind != yaml.ScalarNode || !slices.Contains(tags, n.ShortTag()):
		return &trouble{at: n, value: show(n), why: "is not " + allowed}
	}
	return nil
}

// checkList returns what is wrong with n as a list.
func checkList(n *yaml.Node) *trouble {
	switch {
	case n.Kind == yaml.SequenceNode:
		return nil
	case n.Kind == yaml.ScalarNode && !isNothing(n):
		return &trouble{at: n, value: show(n), why: "is not a list: write it in brackets, or after a dash"}
	case n.Kind == yaml.ScalarNode:
		return checkScalar(n, "")
	default:
		return &trouble{at: n, value: kindOf(n), why: "is not a list"}
	}
}

// show returns the text in the file, with its type if that may be wrong.
func show(n *yaml.Node) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		return kindOf(n)
	case n.ShortTag() == tagText:
		return strconv.Quote(shorten(n.Value))
	default:
		return shorten(n.Value) + " (" + kindOf(n) + ")"
	}
}

// shorten keeps an error to a line.
func shorten(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	case yaml.AliasNode:
		return "an alias"
	case yaml.ScalarNode, yaml.DocumentNode:
	}
	switch n.ShortTag() {
	case tagText:
		return "text"
	case tagInt, "!!float":
		return "a number"
	case tagBool:
		return "a boolean"
	case "!!null":
		return "nothing"
	default:
		return "a value of type " + n.ShortTag()
	}
}

func textNode(value, tag string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: value, Tag: tag}
	if tag == tagText && (value == "" || yaml11Bool(value)) { // PyYAML and others would read it as a boolean
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// yaml11Bool reports whether YAML 1.1, the dialect of PyYAML and Ansible, reads a bare word as a boolean.
func yaml11Bool(s string) bool {
	return slices.Contains([]string{"on", "off", "yes", "no", "true", "false"}, strings.ToLower(s))
}

// syntaxError is the YAML library's error for broken syntax.
var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

func syntaxLine(err error) string {
	if m := syntaxError.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		return ":" + m[1]
	}
	return ""
}

func syntax(err error) string {
	if m := syntaxError.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " ")); m != nil {
		return "not YAML: " + m[2]
	}
	return "not YAML"
}

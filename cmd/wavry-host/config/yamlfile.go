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

// decodeFile reads settings from YAML. It passes each value and its place to take. It returns problems of the file, and
// what take refuses.
func decodeFile(name string, data []byte, take func(s Setting, n *yaml.Node, where string) []Problem) []Problem {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil // an empty file sets nothing
	case err != nil:
		return []Problem{{Where: name + syntaxLine(err), Text: syntax(err)}}
	}
	at := func(n *yaml.Node) string { return name + ":" + strconv.Itoa(n.Line) }
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		where := name
		if err == nil {
			where = at(&more)
		}
		return []Problem{{Where: where, Text: "there is more than one document; one is allowed"}}
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil // nothing but comments
	}
	if root.Kind != yaml.MappingNode {
		return []Problem{{Where: at(root), Text: "found " + kindOf(root) + "; want lines of the form \"setting: value\""}}
	}
	var found []Problem
	for _, e := range entries(root) {
		if e.why != "" {
			found = append(found, Problem{Where: at(e.key), Text: "key " + show(e.key) + " " + e.why})
			continue
		}
		s, ok := Find(e.key.Value)
		if !ok {
			found = append(found, Problem{
				Where: at(e.key), Text: "unknown setting " + strconv.Quote(e.key.Value) + suggest(e.key.Value, names()...),
			})
			continue
		}
		found = append(found, take(s, e.value, at(e.key))...)
	}
	return found
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
func checkScalar(n *yaml.Node, tags ...string) *trouble {
	switch {
	case n.Kind == yaml.AliasNode:
		return &trouble{at: n, value: "the alias", why: "is not allowed: write the value itself"}
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" && n.Value == "":
		return &trouble{at: n, value: "there", why: `is no value: leave the line out, or write "" for none`}
	case n.Kind != yaml.ScalarNode || !slices.Contains(tags, n.ShortTag()):
		return &trouble{at: n, value: show(n)}
	}
	return nil
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

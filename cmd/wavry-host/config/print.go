package config

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Print writes the configuration as a file, with secrets masked and the origin of each value as a comment.
func (l *Loaded) Print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, section := range Sections() {
		for i, s := range section.Settings {
			keys := strings.Split(s.Name, ".")
			into := root
			for _, key := range keys[:len(keys)-1] {
				into = within(into, key)
			}
			if i == 0 {
				root.Content[len(root.Content)-2].HeadComment = section.Doc
			}
			key, value := textNode(keys[len(keys)-1], tagText), s.field(&l.Config).encode()
			if value.Kind == yaml.SequenceNode && value.Style != yaml.FlowStyle {
				key.LineComment = l.Origin[s.Name] // next to the key: the value begins on the next line
			} else {
				value.LineComment = l.Origin[s.Name]
			}
			into.Content = append(into.Content, key, value)
		}
	}
	return writeYAML(w, root)
}

// within returns the mapping of a key in n, which is made if there is none.
func within(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	m := &yaml.Node{Kind: yaml.MappingNode}
	n.Content = append(n.Content, textNode(key, tagText), m)
	return m
}

func writeYAML(w io.Writer, root *yaml.Node) error {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// printed is a configuration for programs.
type printed struct {
	SchemaVersion int             `json:"schema_version"`
	Files         []string        `json:"files"`
	Settings      []printedOption `json:"settings"`
	Warnings      []string        `json:"warnings"`
}

type printedOption struct {
	Name     string `json:"name"`
	Value    any    `json:"value"`
	Origin   string `json:"origin"`
	Variable string `json:"variable"`
	Live     bool   `json:"live"`
}

// PrintJSON writes the configuration for programs, with secrets masked.
func (l *Loaded) PrintJSON(w io.Writer) error {
	out := printed{
		SchemaVersion: SchemaVersion, Files: append([]string{}, l.Files...), Warnings: append([]string{}, l.Warnings...),
	}
	for _, s := range Settings() {
		value, err := plain(s.field(&l.Config).encode())
		if err != nil {
			return err
		}
		out.Settings = append(out.Settings, printedOption{s.Name, value, l.Origin[s.Name], s.Env(), s.Live})
	}
	return writeJSON(w, out)
}

// plain returns a value of YAML as JSON has it.
func plain(n *yaml.Node) (v any, err error) {
	err = n.Decode(&v)
	return v, err
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

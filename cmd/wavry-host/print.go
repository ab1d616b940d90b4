package main

import (
	"bytes"
	"io"

	"go.yaml.in/yaml/v3"
)

// print writes the configuration as a file, with secrets masked and the origin of each value as a comment.
func (l *loaded) print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, section := range sections() {
		for i, s := range section.settings {
			key, value := textNode(s.name, tagText), s.field(&l.Config).encode()
			if i == 0 {
				key.HeadComment = section.title
			}
			if value.Kind == yaml.SequenceNode && value.Style != yaml.FlowStyle {
				key.LineComment = l.origin[s.name] // next to the key: the value begins on the next line
			} else {
				value.LineComment = l.origin[s.name]
			}
			root.Content = append(root.Content, key, value)
		}
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

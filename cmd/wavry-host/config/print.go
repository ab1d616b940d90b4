package config

import (
	"bytes"
	"io"

	"go.yaml.in/yaml/v3"
)

// Print writes the configuration as a file, with secrets masked and the origin of each value as a comment.
func (l *Loaded) Print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, section := range Sections() {
		for i, s := range section.Settings {
			key, value := textNode(s.Name, tagText), s.field(&l.Config).encode()
			if i == 0 {
				key.HeadComment = section.Title
			}
			if value.Kind == yaml.SequenceNode && value.Style != yaml.FlowStyle {
				key.LineComment = l.Origin[s.Name] // next to the key: the value begins on the next line
			} else {
				value.LineComment = l.Origin[s.Name]
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

package config

import (
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// DisplayRule is a rule for the displays that it names, in addition to the host's settings. Zero fields change nothing.
type DisplayRule struct {
	Display    string
	Hidden     bool
	MaxViewers int
	MaxBitrate int
	FPS        int
	MaxSize    Size
	Weight     int
}

// members returns the fields as they are named in a file.
func (r *DisplayRule) members() []member {
	return []member{
		{
			"display",
			scalar[string]{text("id", false, isPattern), &r.Display},
			"the ID of a display, or a pattern such as x11:*",
			false,
		},
		{"hidden", scalar[bool]{boolean(), &r.Hidden}, "true or false", false},
		{"max_viewers", scalar[int]{count(10_000), &r.MaxViewers}, "a whole number from 1 to 10000", false},
		{"max_bitrate", scalar[int]{bitrate(10e3), &r.MaxBitrate}, "a bitrate from 10k to 1000M, as 500k or 4M", false},
		{"fps", scalar[int]{count(240), &r.FPS}, "a whole number from 1 to 240", false},
		{
			"max_size",
			scalar[Size]{pixels(), &r.MaxSize},
			"WIDTHxHEIGHT of even numbers up to 8192x8192, at least 96x108, such as 1280x720",
			false,
		},
		{"weight", scalar[int]{count(1000), &r.Weight}, "a whole number from 1 to 1000", false},
	}
}

// isPattern reports whether s can name displays: an ID, or a pattern in which * stands for any text and ? for one
// character.
func isPattern(s string) bool {
	_, err := filepath.Match(s, "")
	return err == nil && s != "" && isWord(s) && !strings.ContainsAny(s, `/\`)
}

func decodeRule(n *yaml.Node) (DisplayRule, []trouble) {
	var r DisplayRule
	found := decodeFields(n, r.members())
	if len(found) == 0 {
		if t := r.check(); t != nil {
			t.at = n
			found = append(found, *t)
		}
	}
	return r, found
}

// check checks the rule as a whole.
func (r DisplayRule) check() *trouble {
	none := DisplayRule{Display: r.Display}
	switch {
	case r.Display == "":
		return &trouble{
			value: "the rule",
			why:   "names no display: set display, which may be a pattern such as x11:*",
		}
	case r == none:
		return &trouble{
			value: "the rule",
			why:   "of " + r.Display + " has no effect: set one of hidden, max_viewers, max_bitrate, fps, max_size, weight",
		}
	case r.Hidden && r != DisplayRule{Display: r.Display, Hidden: true}:
		return &trouble{value: "the rule", why: "hides " + r.Display + ", which makes the rest useless"}
	}
	return nil
}

// rules is the list of rules for displays.
type rules struct{ p *[]DisplayRule }

var _ target = rules{}

// set reads the list as in a file, in YAML's short form.
func (r rules) set(text string) *trouble {
	if strings.TrimSpace(text) == "" {
		*r.p = nil
		return nil
	}
	return setYAML(r, text)
}

func (r rules) decode(n *yaml.Node) []trouble { return decodeItems(n, r.p, decodeRule) }

func (r rules) value() any { return *r.p }

func (r rules) encode() *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if len(*r.p) == 0 {
		n.Style = yaml.FlowStyle
	}
	for _, one := range *r.p {
		var unset DisplayRule
		item, none := &yaml.Node{Kind: yaml.MappingNode}, unset.members()
		for i, m := range one.members() {
			if m.field.value() != none[i].field.value() {
				item.Content = append(item.Content, textNode(m.name, tagText), m.field.encode())
			}
		}
		n.Content = append(n.Content, item)
	}
	return n
}

package config

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// members returns the fields as they are named in a file.
func (g *GrantIssuer) members() []member {
	return []member{
		{"issuer", scalar[string]{text("name", false, isWord), &g.Issuer}, "text without spaces", false},
		{"keys", scalar[string]{path(), &g.Keys}, "a path or an https address", false},
		{"audience", scalar[string]{text("name", true, isWord), &g.Audience}, "text without spaces", false},
		{"max_role", scalar[string]{oneOf(Roles()...), &g.MaxRole}, "viewer, controller, operator or metrics", false},
		{"displays", list{&g.Displays, isPattern}, "a list of display IDs, or patterns such as x11:*", false},
	}
}

func decodeIssuer(n *yaml.Node) (GrantIssuer, []trouble) {
	var g GrantIssuer
	found := decodeFields(n, g.members())
	if len(found) == 0 && (g.Issuer == "" || g.Keys == "") {
		found = append(found, trouble{at: n, value: "the issuer", why: "has no issuer or no keys: set both"})
	}
	return g, found
}

// issuers is the list of issuers of grants.
type issuers struct{ p *[]GrantIssuer }

var _ target = issuers{}

// set reads the list as in a file, in YAML's short form.
func (s issuers) set(text string) *trouble {
	if strings.TrimSpace(text) == "" {
		*s.p = nil
		return nil
	}
	return setYAML(s, text)
}

func (s issuers) decode(n *yaml.Node) []trouble { return decodeItems(n, s.p, decodeIssuer) }

func (s issuers) value() any { return *s.p }

func (s issuers) encode() *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if len(*s.p) == 0 {
		n.Style = yaml.FlowStyle
	}
	for _, one := range *s.p {
		item := &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range one.members() {
			if m.name == "displays" && one.Displays == nil || m.field.value() == "" {
				continue
			}
			item.Content = append(item.Content, textNode(m.name, tagText), m.field.encode())
		}
		n.Content = append(n.Content, item)
	}
	return n
}

// ClientRule is the role of some client certificates.
type ClientRule struct{ Name, Issuer, Role string }

// ruleMembers returns the fields of a rule of client certificates.
func ruleMembers(r *ClientRule) []member {
	isPattern := func(s string) bool { return isPrintable(s) && strings.Count(s, "*") < 2 }
	return []member{
		{"name", scalar[string]{text("name", true, isPattern), &r.Name}, "text with at most one *", false},
		{"issuer", scalar[string]{text("name", true, isPattern), &r.Issuer}, "text with at most one *", false},
		{"role", scalar[string]{oneOf(Roles()...), &r.Role}, "viewer, controller, operator or metrics", false},
	}
}

func decodeClientRule(n *yaml.Node) (ClientRule, []trouble) {
	var r ClientRule
	found := decodeFields(n, ruleMembers(&r))
	if len(found) == 0 && (r.Role == "" || r.Name == "" && r.Issuer == "") {
		found = append(found, trouble{at: n, value: "the rule", why: "has no role, or neither name nor issuer"})
	}
	return r, found
}

// clientRules is the list of rules of client certificates.
type clientRules struct{ p *[]ClientRule }

var _ target = clientRules{}

// set reads the list as in a file, in YAML's short form.
func (s clientRules) set(text string) *trouble {
	if strings.TrimSpace(text) == "" {
		*s.p = nil
		return nil
	}
	return setYAML(s, text)
}

func (s clientRules) decode(n *yaml.Node) []trouble { return decodeItems(n, s.p, decodeClientRule) }

func (s clientRules) value() any { return *s.p }

func (s clientRules) encode() *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if len(*s.p) == 0 {
		n.Style = yaml.FlowStyle
	}
	for _, one := range *s.p {
		item := &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range ruleMembers(&one) {
			if m.field.value() != "" {
				item.Content = append(item.Content, textNode(m.name, tagText), m.field.encode())
			}
		}
		n.Content = append(n.Content, item)
	}
	return n
}

package main

import (
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"wavryhost/session/relay"
)

// servers is the list of ICE servers.
type servers struct{ p *[]iceServer }

// set takes URLs parted by commas, each being a server that needs no credential, or the list as in a file.
func (s servers) set(text string) *trouble {
	if !strings.HasPrefix(strings.TrimSpace(text), "[") {
		var urls []string
		if t := (list{&urls, relay.IsURL}).set(text); t != nil {
			return t
		}
		var all []iceServer
		for i, u := range urls {
			one := iceServer{URLs: []string{u}}
			if t := one.check(); t != nil {
				t.in = index(i)
				return t
			}
			all = append(all, one)
		}
		*s.p = all
		return nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) != 1 {
		return &trouble{value: "the value", why: "is not YAML"} // it may hold a credential, so it is not shown
	}
	if found := s.decode(doc.Content[0]); len(found) > 0 {
		found[0].at = nil
		return &found[0]
	}
	return nil
}

func (s servers) decode(n *yaml.Node) []trouble {
	if n.Kind != yaml.SequenceNode {
		return []trouble{{at: n, value: kindOf(n)}}
	}
	var (
		all   []iceServer
		found []trouble
	)
	for i, e := range n.Content {
		one, bad := decodeServer(e)
		for _, t := range bad {
			t.in = index(i) + t.in
			found = append(found, t)
		}
		all = append(all, one)
	}
	*s.p = all
	return found
}

func decodeServer(n *yaml.Node) (iceServer, []trouble) {
	var (
		one            iceServer
		hidden, shared string
	)
	fields := map[string]target{
		"urls":       list{&one.URLs, relay.IsURL},
		"username":   scalar[string]{text("text", true, isPrintable), &one.Username},
		"credential": scalar[string]{text("text", true, func(s string) bool { return isPrintable(s) && s != mask }), &hidden},
		"secret":     scalar[string]{text("text", true, func(s string) bool { return isPrintable(s) && s != mask }), &shared},
		"region":     scalar[string]{text("region", true, relay.IsRegion), &one.Region},
		"priority":   scalar[int]{number(1000), &one.Priority},
	}
	if n.Kind != yaml.MappingNode {
		return one, []trouble{{at: n, value: kindOf(n)}}
	}
	var found []trouble
	for _, e := range entries(n) {
		if e.why != "" {
			found = append(found, trouble{at: e.key, value: "key " + show(e.key), why: e.why})
			continue
		}
		field, ok := fields[e.key.Value]
		if !ok {
			found = append(found, trouble{
				at: e.key, value: "key " + show(e.key), why: "is unknown" + suggest(e.key.Value, "urls", "username", "credential", "secret", "region", "priority"),
			})
			continue
		}
		for _, t := range field.decode(e.value) {
			t.in = "." + e.key.Value + t.in
			switch {
			case t.why != "":
			case e.key.Value == "region":
				t.why = "is not up to 32 letters, digits, dots, dashes and underscores"
			case e.key.Value == "priority":
				t.why = "is not a whole number from 0 to 1000"
			}
			if e.key.Value == "credential" || e.key.Value == "secret" {
				t.value = "the value"
			}
			found = append(found, t)
		}
	}
	one.Credential, one.Secret = secret(hidden), secret(shared)
	if len(found) == 0 {
		if t := one.check(); t != nil {
			t.at = n
			found = append(found, *t)
		}
	}
	return one, found
}

// check looks at the server as a whole.
func (s iceServer) check() *trouble {
	if len(s.URLs) == 0 {
		return &trouble{value: "the server", why: "has no urls"}
	}
	for _, u := range s.URLs {
		if strings.HasPrefix(u, "turn") && s.Secret == "" && (s.Username == "" || s.Credential == "") {
			return &trouble{value: strconv.Quote(u), why: "takes a username and a credential, or a secret"}
		}
	}
	if s.Secret != "" && (s.Username != "" || s.Credential != "") {
		return &trouble{value: "the server", why: "has a secret, which makes username and credential: leave them out"}
	}
	return nil
}

func (s servers) value() any { return *s.p }

func (s servers) encode() *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if len(*s.p) == 0 {
		n.Style = yaml.FlowStyle
	}
	for _, one := range *s.p {
		m := &yaml.Node{Kind: yaml.MappingNode}
		put := func(key string, value *yaml.Node) { m.Content = append(m.Content, textNode(key, tagText), value) }
		put("urls", list{p: &one.URLs}.encode())
		if one.Username != "" {
			put("username", textNode(one.Username, tagText))
		}
		if one.Credential != "" {
			put("credential", textNode(one.Credential.String(), tagText))
		}
		if one.Secret != "" {
			put("secret", textNode(one.Secret.String(), tagText))
		}
		if one.Region != "" {
			put("region", textNode(one.Region, tagText))
		}
		if one.Priority != 0 {
			put("priority", textNode(strconv.Itoa(one.Priority), tagInt))
		}
		n.Content = append(n.Content, m)
	}
	return n
}

func isPrintable(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) }

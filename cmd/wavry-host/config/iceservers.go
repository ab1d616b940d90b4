package config

import (
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"wavryhost/session/relay"
)

// servers is the list of ICE servers.
type servers struct{ p *[]ICEServer }

// set reads URLs separated by commas, each a server without a credential, or the list as in a file.
func (s servers) set(text string) *trouble {
	if !strings.HasPrefix(strings.TrimSpace(text), "[") {
		var urls []string
		if t := (list{&urls, relay.IsURL}).set(text); t != nil {
			return t
		}
		var all []ICEServer
		for i, u := range urls {
			one := ICEServer{URLs: []string{u}}
			if t := one.check(); t != nil {
				t.in = index(i)
				return t
			}
			all = append(all, one)
		}
		*s.p = all
		return nil
	}
	return setYAML(s, text)
}

func (s servers) decode(n *yaml.Node) []trouble { return decodeItems(n, s.p, decodeServer) }

func decodeServer(n *yaml.Node) (ICEServer, []trouble) {
	var (
		one            ICEServer
		hidden, shared string
	)
	found := decodeFields(n, []member{
		{"urls", list{&one.URLs, relay.IsURL}, "", false},
		{"username", scalar[string]{text("text", true, isPrintable), &one.Username}, "", false},
		{
			"credential",
			scalar[string]{text("text", true, func(s string) bool { return isPrintable(s) && s != mask }), &hidden},
			"",
			true,
		},
		{
			"secret",
			scalar[string]{text("text", true, func(s string) bool { return isPrintable(s) && s != mask }), &shared},
			"",
			true,
		},
		{"credential_file", scalar[string]{path(), &one.CredentialFile}, "a path", false},
		{"secret_file", scalar[string]{path(), &one.SecretFile}, "a path", false},
		{
			"region",
			scalar[string]{text("region", true, relay.IsRegion), &one.Region},
			"up to 32 letters, digits, dots, dashes and underscores",
			false,
		},
		{"priority", scalar[int]{number(1000), &one.Priority}, "a whole number from 0 to 1000", false},
	})
	one.Credential, one.Secret = Secret(hidden), Secret(shared)
	if len(found) == 0 {
		if t := one.check(); t != nil {
			t.at = n
			found = append(found, *t)
		}
	}
	return one, found
}

// check checks the server as a whole.
func (s ICEServer) check() *trouble {
	if len(s.URLs) == 0 {
		return &trouble{value: "the server", why: "has no urls"}
	}
	for _, u := range s.URLs {
		if strings.HasPrefix(u, "turn") && s.Secret == "" && s.SecretFile == "" &&
			(s.Username == "" || s.Credential == "" && s.CredentialFile == "") {
			return &trouble{value: strconv.Quote(u), why: "requires a username and a credential, or a secret"}
		}
	}
	if s.Secret != "" && s.SecretFile != "" || s.Credential != "" && s.CredentialFile != "" {
		return &trouble{value: "the server", why: "has a secret and a file with it: set one of the two"}
	}
	if (s.Secret != "" || s.SecretFile != "") && (s.CredentialFile != "" || s.Username != "" || s.Credential != "") {
		return &trouble{value: "the server", why: "has a secret, from which username and credential are made: omit them"}
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
		if one.CredentialFile != "" {
			put("credential_file", textNode(one.CredentialFile, tagText))
		} else if one.Credential != "" {
			put("credential", textNode(one.Credential.String(), tagText))
		}
		if one.SecretFile != "" {
			put("secret_file", textNode(one.SecretFile, tagText))
		} else if one.Secret != "" {
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

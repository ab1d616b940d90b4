package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"wavryhost/cmd/wavry-host/config"
)

// shortestSecret is the least length, in bytes, of a value that is removed: removing shorter ones would only garble the
// text.
const shortestSecret = 4

// largestSecret bounds a file of secrets, in bytes.
const largestSecret = 4096

// scrubber removes secrets from text: the known ones by their value, and others by their form.
type scrubber struct{ known [][]byte }

// The forms of secrets, and what replaces them.
var secretForms = []struct {
	form *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(?i)(bearer[ \t]+)[^\s"',;]+`), "${1}(hidden)"},
	{regexp.MustCompile(`((?:token|secret|credential|password)=)[^\s"'&]+`), "${1}(hidden)"},
	{regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]*`), "(hidden)"},      // a signed grant (RFC 7519)
	{regexp.MustCompile(`(://)[^/\s"'@]+@`), "${1}(hidden)@"},          // user and password of a URL
	{regexp.MustCompile(`("reservation": ?")[^"]*"`), `${1}(hidden)"`}, // the key to a place
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\z)`), "(hidden)"},
}

// secretLines finds the values of secrets in a configuration that is refused, and in variables.
var secretLines = regexp.MustCompile(`(?i)(?:token|secret|credential)["']?\s*[:=]\s*` +
	`(?:'([^'\n]*)'|"([^"\n]*)"|([^\s'",}]+))`)

// newScrubber returns a scrubber that knows the secrets of the configuration, of the files that it names, of the
// environment, and of the daemon. l is nil if the configuration is refused; file is its path then.
func newScrubber(l *loaded, file string, env []string) scrubber {
	var values []string
	raw := slices.Clone(env)
	if l == nil {
		more, _ := filepath.Glob(filepath.Join(filepath.Dir(file), config.DropInFolder, "*.yaml")) // the pattern is valid
		for _, path := range append(more, file) {
			text, _ := config.ReadFile(path) // what cannot be read is not in the bundle either
			raw = append(raw, string(text))
		}
	}
	for _, m := range secretLines.FindAllStringSubmatch(strings.Join(raw, "\n"), -1) {
		values = append(values, m[1]+m[2]+m[3])
	}
	files := []string{ownTokenPath(env), filepath.Join("/var/lib/wavry-host", filepath.Base(ownTokenPath(env)))}
	if l != nil {
		values = append(values, l.Auth.Token.Reveal(), l.SharedToken.Reveal())
		for _, s := range l.ICE.Servers {
			values = append(values, s.Credential.Reveal(), s.Secret.Reveal())
		}
		files = append(files, l.Gateway.TokenFile, l.Gateway.AccountFile, l.Auth.TokenFile)
	}
	for _, path := range files {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() <= largestSecret {
			text, _ := os.ReadFile(path) // this user cannot have put into the bundle what it cannot read
			values = append(values, strings.Fields(string(text))...)
		}
	}
	var s scrubber
	for _, v := range values {
		if len(v) < shortestSecret {
			continue
		}
		quoted, _ := json.Marshal(v) // a string can always be encoded
		for _, form := range []string{v, string(quoted[1 : len(quoted)-1]), url.QueryEscape(v), url.PathEscape(v)} {
			s.known = append(s.known, []byte(form))
		}
	}
	// A secret may contain another one.
	slices.SortFunc(s.known, func(a, b []byte) int { return cmp.Compare(len(b), len(a)) })
	return s
}

// scrub returns text without secrets.
func (s scrubber) scrub(text []byte) []byte {
	hidden := []byte(config.Secret("x").String())
	for _, v := range s.known {
		text = bytes.ReplaceAll(text, v, hidden)
	}
	for _, f := range secretForms {
		text = f.form.ReplaceAll(text, []byte(f.with))
	}
	return text
}

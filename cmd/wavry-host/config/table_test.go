package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// TestTableIsSound checks what the table promises of each setting.
func TestTableIsSound(t *testing.T) {
	seen := make(map[string]string)
	unique := func(text, what string) {
		if other, ok := seen[text]; ok && text != "" {
			t.Errorf("%s is there twice: %s and %s", text, other, what)
		}
		seen[text] = what
	}
	live := 0
	for _, s := range Settings() {
		unique(s.Name, s.Name)
		unique(s.Env(), s.Name)
		unique(s.Flag(), s.Name)
		if s.Live {
			live++
		}
		var c Config
		if trouble := s.field(&c).set(s.Default); trouble != nil {
			t.Errorf("%s: its default %q is refused: %+v", s.Name, s.Default, *trouble)
		}
		if s.Doc == "" || s.Allowed == "" || s.Type == "" || !strings.HasSuffix(s.Doc, ".") {
			t.Errorf("%s is not documented: %+v", s.Name, s)
		}
		if !strings.Contains(s.Name, ".") || strings.ToLower(s.Name) != s.Name {
			t.Errorf("%s is not in a section", s.Name)
		}
	}
	if 2*live <= len(Settings()) {
		t.Errorf("a reload applies %d of %d settings; most should be", live, len(Settings()))
	}
	if n := len(flaggedSettings()); n > 12 {
		t.Errorf("%d settings have flags; they are for what people type", n)
	}
}

func flaggedSettings() []Setting {
	return slices.DeleteFunc(Settings(), func(s Setting) bool { return s.Flag() == "" })
}

// asFile returns a file that sets a setting to a value in YAML.
func asFile(name, value string) string {
	keys := strings.Split(name, ".")
	var b strings.Builder
	for i, key := range keys[:len(keys)-1] {
		fmt.Fprintf(&b, "%s%s:\n", strings.Repeat(" ", i), key)
	}
	fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat(" ", len(keys)-1), keys[len(keys)-1], value)
	return b.String()
}

// candidates are values for all settings: valid ones of every type, and what resembles them.
func candidates(s Setting) []string {
	all := []string{
		"0", "1", "-1", "3", "10", "64", "100", "576", "1000", "1024", "70000", "2147483648", "1e9", "0x10",
		"1.5", ".inf", ".nan", "99999999999999999999",
		`""`, "none", "auto", "unlimited", "nonsense", "all", "true", "false", "on", "off", "yes", "no", "Yes",
		"null", "~",
		"1s", "0s", "15s", "1m", "1h", "500ms", "-1s", "1000h", "1d", `"30"`, "30", "10k", "4M", "4.5M", "1G",
		"2G", "100G", "4m", "4 M", "M", "..M", "1kk",
		"2000/s", "0/s", "1/m", "/s", "1280x720", "1281x720", "1280", "1x1", "50000-50100", "80-90", "5-",
		"50100-50000",
		"/a", "a b", `"a\tb"`, `"a\u0000b"`, "127.0.0.1:8470", "[::1]:1", `"[::1]:1"`, "0123456789abcdef",
		"(hidden)", "x11:0", "virtual",
		"viewer", "operator", "optional", "required", "limits", "measured", "libx264", "latency",
		"controllers", "json", "debug",
		"wss://g/ws", "https://a.example", "[]", "[a]", "[1]", "[[a]]", "[null]", "[192.0.2.1]",
		"[192.0.2.0/24]", "[https://a.example]",
		"{}", "{a: 1}", "[{}]", "[{a: 1}]", "[{urls: [stun:a]}]", "[{display: a, fps: 3}]", "[{keys: /k, audience: a}]",
		"[{name: a, role: viewer}]", "[{name: a-1, count: 2, size: 640x480, programs: [xterm -e top], keep: unlimited}]",
		"[{name: A}]", "[{name: a, count: 65}]", "[{name: a, size: 641x480}]", "[{name: a, programs: [a &]}]", "[{count: 2}]",
		"!!binary aGk=", "2026-11-28", "!!str 3", "!!int \"3\"", "&a 3", "!x 3", s.Default,
	}
	if s.Default == "" {
		all = all[:len(all)-1]
	}
	limits(s.Schema(), func(n float64) {
		all = append(all, strconv.FormatFloat(n-1, 'f', -1, 64), strconv.FormatFloat(n, 'f', -1, 64),
			strconv.FormatFloat(n+1, 'f', -1, 64))
	})
	return all
}

// limits calls f with the bounds in a schema.
func limits(schema map[string]any, f func(float64)) {
	for _, key := range []string{"minimum", "maximum"} {
		switch n := schema[key].(type) {
		case int:
			f(float64(n))
		case float64:
			f(n)
		}
	}
	if several, ok := schema["anyOf"].([]any); ok {
		for _, one := range several {
			if m, ok := one.(map[string]any); ok {
				limits(m, f)
			}
		}
	}
}

// TestEverySettingWithEveryValue sets each setting to good and bad values of every kind. A value is either accepted,
// and then printed so that it reads back, or refused by one error with the place, the setting and what is allowed. The
// schema accepts whatever is accepted.
func TestEverySettingWithEveryValue(t *testing.T) {
	schema, table := compiled(t), newTable()
	for _, s := range table.settings {
		accepted, refused := 0, 0
		for _, value := range candidates(s) {
			file := asFile(s.Name, value)
			where := "f:" + strconv.Itoa(strings.Count(file, "\n"))
			var c Config
			found := decodeInto(table, &c, file)
			if len(found) == 0 {
				accepted++
				checkAccepted(t, table, s, &c, value, file, schema)
				continue
			}
			refused++
			for _, p := range found {
				if strings.HasPrefix(p.Text, "not YAML") {
					continue
				}
				if p.Where != where || !strings.HasPrefix(p.Text, s.Name) || strings.Contains(p.Text, "\n") {
					t.Errorf("%s: %s: reported as %s", s.Name, value, p)
				}
				if !strings.Contains(p.Text, " is ") && !strings.Contains(p.Text, " has "+
					"") && !strings.Contains(p.Text, " requires ") &&
					!strings.Contains(p.Text, " of ") && !strings.Contains(p.Text, " names ") {
					t.Errorf("%s: %s: the error does not say what is wrong: %s", s.Name, value, p)
				}
			}
		}
		if accepted < 1 || refused < 20 {
			t.Errorf("%s: %d values accepted, %d refused", s.Name, accepted, refused)
		}
	}
}

// decodeInto reads a file into c.
func decodeInto(table *table, c *Config, text string) []Problem {
	return table.decodeFile("f", []byte(text), func(s Setting, n *yaml.Node, _ string) []Problem {
		var bad []Problem
		for _, tr := range s.field(c).decode(n) {
			bad = append(bad, Problem{Where: "f:" + strconv.Itoa(tr.at.Line), Text: s.Name + tr.in + ": " +
				"" + s.refuse(tr)})
		}
		return bad
	})
}

func checkAccepted(t *testing.T, table *table, s Setting, c *Config, value, file string, schema *jsonschema.Schema) {
	t.Helper()
	n := s.field(c).encode()
	n.LineComment = ""
	n.Style |= yaml.FlowStyle
	if n.Kind == yaml.ScalarNode {
		n.Style &^= yaml.FlowStyle
	}
	text, err := yaml.Marshal(n)
	if err != nil {
		t.Errorf("%s: %s: %v", s.Name, value, err)
		return
	}
	var again Config
	shown := asFile(s.Name, strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", " "))
	found := decodeInto(table, &again, shown)
	switch masked := s.Secret && strings.Contains(shown, mask); {
	case masked && len(found) == 0:
		t.Errorf("%s: the mask is accepted", s.Name)
	case !masked && (len(found) > 0 || !same(s.Value(c), s.Value(&again))):
		t.Errorf("%s: %s is printed as %s, which gives %v %v", s.Name, value, text, s.Value(&again), found)
	}
	if slices.Contains([]string{"on", "off", "yes", "no", "Yes", "true", "false"}, value) {
		return // the schema has one form of each
	}
	if err := validate(schema, file); err != nil {
		t.Errorf("%s: %s is accepted, but not by the schema: %v", s.Name, value, err)
	}
}

// compiled returns the schema of files as editors use it.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	var b bytes.Buffer
	if err := WriteSchema(&b); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("config.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate checks a file by the schema.
func validate(schema *jsonschema.Schema, file string) error {
	var v any
	if err := yaml.Unmarshal([]byte(file), &v); err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(plain)
}

func TestSchemaKnowsEveryFile(t *testing.T) {
	schema := compiled(t)
	for _, file := range []string{full, "{}", "media:\n  # nothing yet\n", "displays: {fps: 30}"} {
		if err := validate(schema, file); err != nil {
			t.Errorf("%v\n%s", err, file)
		}
	}
	for _, file := range []string{
		flat, "displas: {}", "displays: {fsp: 30}", "displays: {fps: 0}", "displays: {fps: fast}", "media: " +
			"{udp: {port: 0}}",
		"displays: {rules: [{dsplay: a}]}", "log: {level: loud}", "media: 3",
	} {
		if err := validate(schema, file); err == nil {
			t.Errorf("the schema accepts %s", file)
		}
	}
}

// A misspelt key of every setting is reported with its place, and with the right one.
func TestEveryMisspeltSettingHasASuggestion(t *testing.T) {
	table := newTable()
	for _, s := range Settings() {
		key := s.Name[strings.LastIndex(s.Name, ".")+1:]
		for at := range min(len(key), 3) {
			name := strings.TrimSuffix(s.Name, key) + key[:at] + "z" + key[at+min(1, int(math.Max(0,
				float64(len(key)-at)))):]
			var c Config
			found := decodeInto(table, &c, asFile(name, "1"))
			want := "f:" + strconv.Itoa(strings.Count(name, ".")+1) + ": unknown setting \"" + name + "\"; did " +
				"you mean \""
			if len(found) != 1 || !strings.HasPrefix(found[0].String(), want) {
				t.Errorf("%s: got %v", name, found)
			}
		}
		if _, err := Load(Sources{Env: []string{s.Env() + "Z=1"}}); err == nil ||
			!strings.Contains(err.Error(), "did you mean \""+s.Env()) {
			t.Errorf("%sZ: got %v", s.Env(), err)
		}
	}
}

// The same values are refused in variables, and named as such.
func TestEverySettingInAVariable(t *testing.T) {
	for _, s := range Settings() {
		for _, value := range []string{"a\x01b", "\xff\xfe\x00", "[", "[{]"} {
			_, err := Load(Sources{Env: []string{s.Env() + "=" + value}})
			if err == nil {
				if s.Type == "path" && !strings.ContainsAny(value, "\x00\x01") {
					continue // file names are bytes
				}
				if slices.Contains([]string{"name", "list", "secret"}, s.Type) {
					continue
				}
				t.Errorf("%s=%q is accepted", s.Env(), value)
				continue
			}
			raw := strings.ContainsFunc(err.Error(), func(r rune) bool { return r < 2 || r == utf8.RuneError })
			if !strings.HasPrefix(err.Error(), s.Env()) || raw {
				t.Errorf("%s=%q: %q", s.Env(), value, err.Error())
			}
		}
	}
}

func FuzzConfigFile(f *testing.F) {
	f.Add(full)
	f.Add(flat)
	f.Add("ice: {servers: [{urls: [turn:a], username: ann, credential: (hidden)}]}")
	f.Add("a: &a [*a]\n? [x]\n: y")
	f.Add("displays: {fps: 30}\n---\ndisplays: {fps: 31}")
	f.Add("media:\n  udp:\n    port: none\n  tcp: *a")
	f.Add("displays: &d\n  bitrate: {max: 4M}\nlog: *d")
	schema := func() []byte {
		var b bytes.Buffer
		if err := WriteSchema(&b); err != nil {
			f.Fatal(err)
		}
		return b.Bytes()
	}()
	if !json.Valid(schema) {
		f.Fatal("the schema is not JSON")
	}
	table := newTable()
	f.Fuzz(func(t *testing.T, content string) {
		var c Config
		found := decodeInto(table, &c, content)
		for _, p := range found {
			if !strings.HasPrefix(p.Where, "f") || p.Text == "" || strings.Contains(p.Text, "\n") {
				t.Errorf("problem %+v", p)
			}
		}
		// A file of one level is either refused, or becomes one with sections that are all known.
		if migrated, err := Migrate("f", []byte(content)); err == nil {
			var d Config
			for _, p := range decodeInto(table, &d, string(migrated)) {
				if strings.Contains(p.Text, "unknown") && !strings.Contains(p.Text, "key ") {
					t.Errorf("migrated to %q, which has %s", migrated, p)
				}
			}
		}
		if len(found) > 0 {
			return
		}
		// What was accepted is printed.
		l := &Loaded{Config: c, Origin: map[string]string{}}
		if err := l.Print(new(bytes.Buffer)); err != nil {
			t.Fatal(err)
		}
		if err := l.PrintJSON(new(bytes.Buffer)); err != nil {
			t.Fatal(err)
		}
	})
}

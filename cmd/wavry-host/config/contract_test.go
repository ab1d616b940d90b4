package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var accept = flag.Bool("accept", false, "write the contract although it breaks the former one")

// contractFile has what operators rely on: the names, types, defaults and ways of all settings.
const contractFile = "../../../testdata/contracts/config.json"

// howToAccept says how to change the contract deliberately.
const howToAccept = `operators rely on this. To change it all the same:
  1. raise SchemaVersion in schema.go if files that were valid are refused, or mean something else
  2. add a line "[CHANGE] config: …" to CHANGELOG.md that says what operators must change
  3. scripts/go test ./cmd/wavry-host/config -run TestContract -accept`

// contract is the configuration as operators rely on it.
type contract struct {
	SchemaVersion int                     `json:"schema_version"`
	Settings      map[string]contractLine `json:"settings"`
}

type contractLine struct {
	Type     string         `json:"type"`
	Default  string         `json:"default"`
	Variable string         `json:"variable"`
	Flag     string         `json:"flag,omitempty"`
	Reload   bool           `json:"reload"`
	Secret   bool           `json:"secret,omitempty"`
	Schema   map[string]any `json:"schema"`
}

// contractNow is the contract of this program, as it reads from a file.
func contractNow(t *testing.T) contract {
	t.Helper()
	c := contract{SchemaVersion: SchemaVersion, Settings: map[string]contractLine{}}
	for _, s := range Settings() {
		c.Settings[s.Name] = contractLine{s.Type, s.Default, s.Env(), s.Flag(), s.Live, s.Secret, s.Schema()}
	}
	var plain contract
	if err := json.Unmarshal(asJSON(t, c), &plain); err != nil {
		t.Fatal(err)
	}
	return plain
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// TestContract compares the settings with the recorded ones. What was added is recorded by make generate.
func TestContract(t *testing.T) {
	now := contractNow(t)
	text, err := os.ReadFile(contractFile)
	if err != nil && !*accept {
		t.Fatal(err)
	}
	var recorded contract
	if err == nil {
		if err := json.Unmarshal(text, &recorded); err != nil {
			t.Fatal(err)
		}
	}
	found := contractBreaks(recorded, now)
	switch {
	case len(found) > 0 && !*accept:
		t.Fatalf("%s\n%s", strings.Join(found, "\n"), howToAccept)
	case *accept || *update:
		if err := os.MkdirAll(filepath.Dir(contractFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(contractFile, asJSON(t, now), 0o644); err != nil {
			t.Fatal(err)
		}
	case !reflect.DeepEqual(recorded, now):
		t.Errorf("the settings have additions that %s lacks: run make generate", contractFile)
	}
}

// contractBreaks returns what operators cannot rely on any more.
func contractBreaks(before, now contract) []string {
	var found []string
	for name, old := range before.Settings {
		s, ok := now.Settings[name]
		add := func(format string, args ...any) { found = append(found, name+" "+fmt.Sprintf(format, args...)) }
		if !ok {
			add("is gone, or has another name")
			continue
		}
		if s.Default != old.Default {
			add("has the default %q, not %q", s.Default, old.Default)
		}
		if s.Variable != old.Variable {
			add("is set by the variable %s, not %s", s.Variable, old.Variable)
		}
		if old.Flag != "" && s.Flag != old.Flag {
			add("has no flag %s any more", old.Flag)
		}
		if old.Reload && !s.Reload {
			add("is not applied by a reload any more")
		}
		if old.Secret && !s.Secret {
			add("is not a secret any more")
		}
		for _, why := range narrower(old.Schema, s.Schema) {
			add("%s", why)
		}
	}
	if now.SchemaVersion < before.SchemaVersion {
		found = append(found, "the version of the schema went back")
	}
	slices.Sort(found)
	return found
}

// narrower returns which values of before are not valid now.
func narrower(before, now map[string]any) []string {
	if several, ok := before["anyOf"].([]any); ok {
		var found []string
		for _, one := range several {
			found = append(found, narrower(one.(map[string]any), now)...)
		}
		return found
	}
	if several, ok := now["anyOf"].([]any); ok {
		var least []string
		for i, one := range several {
			found := narrower(before, one.(map[string]any))
			if len(found) == 0 {
				return nil
			}
			if i == 0 || len(found) <= len(least) {
				least = found
			}
		}
		return least
	}
	var found []string
	for _, v := range listOf(before["type"]) {
		if now["type"] != nil && !slices.Contains(listOf(now["type"]), v) {
			found = append(found, fmt.Sprintf("is no %v any more", v))
		}
	}
	if word, ok := before["const"]; ok && now["const"] != word {
		found = append(found, fmt.Sprintf("does not accept %v any more", word))
	}
	if words, ok := now["enum"]; ok {
		for _, v := range listOf(before["enum"]) {
			if !slices.Contains(listOf(words), v) {
				found = append(found, fmt.Sprintf("does not accept %v any more", v))
			}
		}
		if before["enum"] == nil && before["const"] == nil {
			found = append(found, "accepts some words only")
		}
	}
	found = append(found, bounds(before, now)...)
	if now["pattern"] != nil && now["pattern"] != before["pattern"] && before["const"] == nil {
		found = append(found, fmt.Sprintf("must match %v", now["pattern"]))
	}
	oldItems, _ := before["items"].(map[string]any)
	if items, ok := now["items"].(map[string]any); ok && oldItems != nil {
		for _, why := range narrower(oldItems, items) {
			found = append(found, "has elements whose value "+why)
		}
	}
	fields, _ := now["properties"].(map[string]any)
	oldFields, _ := before["properties"].(map[string]any)
	for name, old := range oldFields {
		field, ok := fields[name].(map[string]any)
		if !ok {
			found = append(found, fmt.Sprintf("has no field %s any more", name))
			continue
		}
		for _, why := range narrower(old.(map[string]any), field) {
			found = append(found, fmt.Sprintf("has a field %s that %s", name, why))
		}
	}
	return found
}

// bounds returns which numbers and lengths are not valid any more.
func bounds(before, now map[string]any) []string {
	var found []string
	for key, sign := range map[string]float64{"minimum": 1, "minLength": 1, "maximum": -1} {
		limit, ok := now[key].(float64)
		old, had := before[key].(float64)
		if before["const"] == nil && ok && (!had || sign*limit > sign*old) {
			found = append(found, fmt.Sprintf("has the %s %v, not %v", key, now[key], before[key]))
		}
	}
	return found
}

func listOf(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// The comparison finds every kind of change that operators would notice, and lets additions pass.
func TestContractBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		setting string
		change  func(*contractLine)
		want    string
	}{
		"default": {
			"displays.fps", func(l *contractLine) { l.Default = "30" },
			`displays.fps has the default "30", not "60"`,
		},
		"flag": {"displays.fps", func(l *contractLine) { l.Flag = "" }, "displays.fps has no flag --fps any more"},
		"reload": {"displays.fps", func(l *contractLine) { l.Reload = false }, "displays.fps is not applied by " +
			"a reload any more"},
		"secret": {"auth.token", func(l *contractLine) { l.Secret = false }, "auth.token is not a secret any more"},
		"maximum": {"displays.fps", func(l *contractLine) { l.Schema["maximum"] = 120.0 }, "displays.fps has " +
			"the maximum 120, not 240"},
		"minimum": {"displays.fps", func(l *contractLine) { l.Schema["minimum"] = 10.0 }, "displays.fps has the " +
			"minimum 10, not 1"},
		"type": {"displays.fps", func(l *contractLine) { l.Schema["type"] = "string" }, "displays.fps is no " +
			"integer any more"},
		"word": {
			"log.level", func(l *contractLine) { l.Schema["enum"] = []any{"info", "warn", "error"} },
			"log.level does not accept debug any more",
		},
		"pattern": {
			"timeouts.linger", func(l *contractLine) { l.Schema["pattern"] = "^[0-9]+s$" },
			"timeouts.linger must match ^[0-9]+s$",
		},
		"variable": {"media.mtu", func(l *contractLine) { l.Variable = "X" }, "media.mtu is set by the variable " +
			"X, not WAVRY_HOST_MEDIA__MTU"},
		"none": {
			"media.tcp.port", func(l *contractLine) {
				l.Schema = map[string]any{"type": "integer", "minimum": 1.0, "maximum": 65535.0}
			},
			"media.tcp.port does not accept none any more",
		},
		"field": {
			"displays.rules", func(l *contractLine) {
				delete(l.Schema["items"].(map[string]any)["properties"].(map[string]any), "weight")
			}, "displays.rules has elements whose value has no field weight any more",
		},
		"wider": {"displays.fps", func(l *contractLine) { l.Schema["maximum"] = 1000.0 }, ""},
		"more": {"log.level", func(l *contractLine) {
			l.Schema["enum"] = append(l.Schema["enum"].([]any),
				"trace")
		}, ""},
		"as well": {"displays.fps", func(l *contractLine) {
			l.Schema = map[string]any{"anyOf": []any{map[string]any{"const": "auto"}, l.Schema}}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before, now := contractNow(t), contractNow(t)
			line := now.Settings[c.setting]
			c.change(&line)
			now.Settings[c.setting] = line
			got := contractBreaks(before, now)
			if c.want == "" && len(got) > 0 || c.want != "" && !slices.Contains(got, c.want) {
				t.Errorf("got %q; want %q", got, c.want)
			}
		})
	}
	before, now := contractNow(t), contractNow(t)
	delete(now.Settings, "media.mtu")
	now.Settings["media.largest"] = before.Settings["media.mtu"]
	if got := contractBreaks(before, now); len(got) != 1 || got[0] != "media.mtu is gone, or has another name" {
		t.Errorf("got %q", got)
	}
	if got := contractBreaks(now, now); len(got) > 0 {
		t.Errorf("nothing changed, but %q", got)
	}
}

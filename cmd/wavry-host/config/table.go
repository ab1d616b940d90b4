package config

import (
	"slices"
	"strings"
)

// table is the table of settings with its indexes.
type table struct {
	settings []Setting
	byName   map[string]Setting
	byEnv    map[string]Setting
	sections map[string]bool
	former   map[string]string // the name of a setting by its former name
}

func newTable() *table {
	t := &table{
		settings: Settings(), byName: map[string]Setting{}, byEnv: map[string]Setting{}, sections: map[string]bool{},
		former: map[string]string{},
	}
	for _, s := range t.settings {
		t.byName[s.Name], t.byEnv[s.Env()] = s, s
		for i, c := range s.Name {
			if c == '.' {
				t.sections[s.Name[:i]] = true
			}
		}
		if s.Former != "" {
			t.former[s.Former] = s.Name
		}
	}
	t.former["max_encodes"] = t.former["max_encodings"] // it had two former names
	for _, name := range formerGrants() {
		t.former[name] = "part of auth.grants"
	}
	return t
}

// names lists the settings and the sections, for suggestions.
func (t *table) names() []string {
	var names []string
	for _, s := range t.settings {
		names = append(names, s.Name)
	}
	for name := range t.sections {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// elsewhere returns the setting whose last key is key, if there is one only.
func (t *table) elsewhere(key string) string {
	found := ""
	for _, s := range t.settings {
		if s.Name[strings.LastIndex(s.Name, ".")+1:] != key {
			continue
		}
		if found != "" {
			return ""
		}
		found = s.Name
	}
	return found
}

// suggestEnv returns what to write instead of an unknown variable.
func (t *table) suggestEnv(name string) string {
	if now, ok := t.former[strings.ToLower(strings.TrimPrefix(name, prefix))]; ok {
		if s, ok := t.byName[now]; ok {
			now = s.Env()
		}
		return ": it is " + now + " now"
	}
	known := []string{variable}
	for env := range t.byEnv {
		known = append(known, env)
	}
	slices.Sort(known)
	return suggest(name, known...)
}

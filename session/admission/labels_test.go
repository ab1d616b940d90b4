package admission

import (
	"maps"
	"strings"
	"testing"
)

func FuzzLabels(f *testing.F) {
	f.Add("team", "cad")
	f.Add("a,b", "=")
	f.Add(strings.Repeat("x", 64), "")
	f.Fuzz(func(t *testing.T, name, value string) {
		all := map[string]string{name: value, "z": "1"}
		l, err := ParseLabels(all)
		if err == nil && !maps.Equal(l.Map(), all) {
			t.Errorf("%q became %q", all, l.Map())
		}
	})
}

func TestLabels(t *testing.T) {
	a, _ := ParseLabels(map[string]string{"b": "", "a": "x/y"})
	b, _ := ParseLabels(map[string]string{"a": "x/y", "b": ""})
	if a != b || a == (Labels{}) || (Labels{}).Map() != nil {
		t.Errorf("%v and %v", a, b)
	}
	many := map[string]string{}
	for i := range maxLabels + 1 {
		many["n"+strings.Repeat("x", i)] = ""
	}
	for _, bad := range []map[string]string{many, {"": "x"}, {"1": "x"}, {"a": "b c"}, {"a": strings.Repeat("x", 129)}} {
		if _, err := ParseLabels(bad); err == nil {
			t.Errorf("%v are taken", bad)
		}
	}
}

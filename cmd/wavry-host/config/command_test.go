package config

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseCommand(t *testing.T) {
	for line, want := range map[string][]string{
		"xclock":                       {"xclock"},
		"  xterm  -e  top ":            {"xterm", "-e", "top"},
		`xterm -title "My terminal"`:   {"xterm", "-title", "My terminal"},
		`sh -c 'a && b | c > "$d"'`:    {"sh", "-c", `a && b | c > "$d"`},
		`a b\ c "d\"e" "f\g" '\' ""`:   {"a", "b c", `d"e`, `f\g`, `\`, ""},
		`firefox https://a.example/#b`: {"firefox", "https://a.example/#b"},
		`x"y"'z'`:                      {"xyz"},
	} {
		if got, err := ParseCommand(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s is %q, %v; want %q", line, got, err, want)
		}
	}
	for line, want := range map[string]error{
		"":                        errCommand,
		"   ":                     errCommand,
		`"" a`:                    errCommand,
		"a\nb":                    errCommand,
		strings.Repeat("x", 1001): errCommand,
		`a "b`:                    errQuote,
		`a 'b`:                    errQuote,
		`a \`:                     errQuote,
		"xterm &":                 errShell,
		"a; b":                    errShell,
		"a | b":                   errShell,
		"echo $HOME":              errShell,
		`echo "$HOME"`:            errShell,
		"ls ~/x":                  errShell,
		"a # comment":             errShell,
		"(a)":                     errShell,
	} {
		if got, err := ParseCommand(line); !errors.Is(err, want) {
			t.Errorf("%q is %q, %v; want %v", line, got, err, want)
		}
	}
}

func TestVirtualDisplays(t *testing.T) {
	file := `
displays:
  default: virtual:desk
  virtual_size: 800x600
  virtual_programs: [xfce4-session]
  virtual:
    - {name: ann, size: 640x480, programs: ["xterm -e 'top -s'"], keep: unlimited}
    - {name: desk, count: 2, keep: 1m}
    - name: kiosk-3
`
	l, err := Load(Sources{Path: write(t, "config.yaml", file)})
	if err != nil {
		t.Fatal(err)
	}
	usual := [][]string{{"xfce4-session"}}
	want := []VirtualDisplay{
		{ID: "virtual:ann", Size: Size{640, 480}, Programs: [][]string{{"xterm", "-e", "top -s"}}, Keep: -1},
		{ID: "virtual:desk-1", Group: "virtual:desk", Size: Size{800, 600}, Programs: usual, Keep: time.Minute},
		{ID: "virtual:desk-2", Group: "virtual:desk", Size: Size{800, 600}, Programs: usual, Keep: time.Minute},
		{ID: "virtual:kiosk-3", Size: Size{800, 600}, Programs: usual, Keep: 10 * time.Minute},
	}
	if got := l.Displays.Virtuals(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v; want %+v", got, want)
	}
}

func TestVirtualDisplaysThatCannotBe(t *testing.T) {
	for value, want := range map[string]string{
		"[{name: a}, {name: a}]":                       "virtual:a appears twice",
		"[{name: a-2}, {name: a, count: 3}]":           "virtual:a-2 appears twice",
		"[{name: a, count: 40}, {name: b, count: 25}]": "it has 65 displays; at most 64",
		"[{name: a, count: 65}]":                       "is not a whole number from 1 to 64",
		"[{name: Ann}]":                                "is not up to 32 lower-case letters",
		"[{name: -a}]":                                 "is not up to 32 lower-case letters",
		"[{name: " + strings.Repeat("a", 33) + "}]":    "is not up to 32 lower-case letters",
		"[{count: 2}]":                                 "has no name",
		"[{name: a, size: 641x480}]":                   "is not WIDTHxHEIGHT, both even",
		"[{name: a, keep: 0s}]":                        "is not a duration",
		"[{name: a, programs: [xterm &]}]":             "is not a program with its arguments",
	} {
		_, err := Load(Sources{Env: []string{"WAVRY_HOST_DISPLAYS__VIRTUAL=" + value}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v; want one error with %q", value, err, want)
		}
	}
	_, err := Load(Sources{Env: []string{
		"WAVRY_HOST_DISPLAYS__VIRTUAL=[{name: a, count: 2}]", "WAVRY_HOST_DISPLAYS__DEFAULT=virtual:a-3",
	}})
	if err == nil || !strings.Contains(err.Error(), "virtual:a-3 is not a display of displays.virtual") {
		t.Errorf("a default that is not configured: got %v", err)
	}
	for _, id := range []string{"virtual:a", "virtual:a-1", "virtual:a-2"} {
		if _, err := Load(Sources{Env: []string{
			"WAVRY_HOST_DISPLAYS__VIRTUAL=[{name: a, count: 2}]", "WAVRY_HOST_DISPLAYS__DEFAULT=" + id,
		}}); err != nil {
			t.Errorf("default %s: %v", id, err)
		}
	}
}

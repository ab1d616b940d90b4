package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var accept = flag.Bool("accept", false, "write the contract although it breaks the former one")

// contractFile has what scripts rely on: commands, flags, arguments and exit codes.
const contractFile = "../../testdata/contracts/cli.json"

// howToAccept says how to change the contract deliberately.
const howToAccept = `scripts rely on this. To change it all the same:
  1. add a line "[CHANGE] cli: …" to CHANGELOG.md that says what to write instead
  2. scripts/go test ./cmd/wavry-host -run TestCommandLineContract -accept`

// contract is the command line as scripts rely on it. The flags of settings are in the contract of the configuration.
type contract struct {
	Commands  map[string]contractCommand `json:"commands"`
	ExitCodes map[string]string          `json:"exit_codes"`
}

type contractCommand struct {
	Arguments []contractArgument      `json:"arguments,omitempty"`
	Flags     map[string]contractFlag `json:"flags"`
}

type contractArgument struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
}

type contractFlag struct {
	Type    string   `json:"type"`
	Default string   `json:"default,omitempty"`
	Enum    []string `json:"enum,omitempty"`
	Short   string   `json:"short,omitempty"`
}

func contractNow(t *testing.T) contract {
	t.Helper()
	var grammar cli
	parser, err := newParser(&grammar, &app{})
	if err != nil {
		t.Fatal(err)
	}
	c := contract{Commands: map[string]contractCommand{}, ExitCodes: map[string]string{}}
	for _, leaf := range parser.Model.Leaves(true) {
		command := contractCommand{Flags: map[string]contractFlag{}}
		for _, group := range leaf.AllFlags(true) {
			for _, f := range group {
				one := contractFlag{Type: f.Target.Kind().String(), Default: f.Default}
				if f.Enum != "" {
					one.Enum = f.EnumSlice()
				}
				if f.Short != 0 {
					one.Short = string(f.Short)
				}
				command.Flags["--"+f.Name] = one
			}
		}
		for _, p := range leaf.Positional {
			command.Arguments = append(command.Arguments, contractArgument{p.Name, p.Required})
		}
		c.Commands[path(leaf)] = command
	}
	for _, e := range exits() {
		c.ExitCodes[strconv.Itoa(e.code)] = e.meaning
	}
	return c
}

// path returns the words of a command.
func path(n *kong.Node) string {
	if n.Parent == nil || n.Parent.Type == kong.ApplicationNode {
		return n.Name
	}
	return path(n.Parent) + " " + n.Name
}

// TestCommandLineContract compares the command line with the recorded one. What was added is recorded by make
// generate.
func TestCommandLineContract(t *testing.T) {
	now := contractNow(t)
	var recorded contract
	text, err := os.ReadFile(contractFile)
	if err == nil {
		err = json.Unmarshal(text, &recorded)
	}
	if err != nil && !*accept {
		t.Fatal(err)
	}
	found := contractBreaks(recorded, now)
	switch {
	case len(found) > 0 && !*accept:
		t.Fatalf("%s\n%s", strings.Join(found, "\n"), howToAccept)
	case *accept || *update:
		text, err := json.MarshalIndent(now, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(contractFile, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	case !reflect.DeepEqual(recorded, now):
		t.Errorf("the command line has additions that %s lacks: run make generate", contractFile)
	}
}

// contractBreaks returns what scripts cannot rely on any more.
func contractBreaks(before, now contract) []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for name, old := range before.Commands {
		command, ok := now.Commands[name]
		if !ok {
			add("the command %q is gone", name)
			continue
		}
		for i, a := range command.Arguments {
			if a.Required && (i >= len(old.Arguments) || !old.Arguments[i].Required) {
				add("%s requires the argument %s", name, a.Name)
			}
		}
		if len(command.Arguments) < len(old.Arguments) {
			add("%s takes fewer arguments", name)
		}
		for flag, was := range old.Flags {
			f, ok := command.Flags[flag]
			if !ok {
				add("%s has no flag %s any more", name, flag)
				continue
			}
			if f.Type != was.Type || f.Default != was.Default || was.Short != "" && f.Short != was.Short {
				add("%s %s is %+v, not %+v", name, flag, f, was)
			}
			for _, word := range was.Enum {
				if len(f.Enum) > 0 && !slices.Contains(f.Enum, word) {
					add("%s %s does not accept %s any more", name, flag, word)
				}
			}
		}
	}
	for code, meaning := range before.ExitCodes {
		if now.ExitCodes[code] != meaning {
			add("the exit code %s means %q, not %q", code, now.ExitCodes[code], meaning)
		}
	}
	slices.Sort(found)
	return found
}

func TestCommandLineContractBreaks(t *testing.T) {
	for want, change := range map[string]func(*contract){
		`the command "url" is gone`: func(c *contract) {
			delete(c.Commands,
				"url")
		},
		"version has no flag --json any " +
			"more": func(c *contract) { delete(c.Commands["version"].Flags, "--json") },
		`the exit code 78 means "", not "the configuration is refused"`: func(c *contract) { delete(c.ExitCodes, "78") },
		"service print --init does not accept launchd any more": func(c *contract) {
			f := c.Commands["service print"].Flags["--init"]
			f.Enum = []string{"auto", "systemd"}
			c.Commands["service print"].Flags["--init"] = f
		},
		"url requires the argument host": func(c *contract) {
			u := c.Commands["url"]
			u.Arguments = []contractArgument{{"host", true}}
			c.Commands["url"] = u
		},
		"": func(c *contract) {
			c.Commands["more"] = contractCommand{}
			c.Commands["url"].Flags["--more"] = contractFlag{}
			c.ExitCodes["99"] = "more"
		},
	} {
		before, now := contractNow(t), contractNow(t)
		change(&now)
		got := contractBreaks(before, now)
		if want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{want}) {
			t.Errorf("got %q; want %q", got, want)
		}
	}
}

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd is "wavry-host completion".
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: bash, zsh or fish."`
}

// Run is called by kong.
func (c *completionCmd) Run(a *app) error {
	var grammar cli
	parser, err := newParser(&grammar, a)
	if err != nil {
		return err
	}
	words := completions(parser.Model)
	if c.Shell == "fish" {
		return fishScript(a.stdout, words)
	}
	return bashScript(a.stdout, words, c.Shell == "zsh")
}

// completions returns the words that may follow each command: its commands, or its flags and the words of arguments.
func completions(app *kong.Application) map[string][]string {
	all := make(map[string][]string)
	var visit func(n *kong.Node, path string)
	visit = func(n *kong.Node, path string) {
		var words []string
		for _, child := range n.Children {
			if !child.Hidden {
				words = append(words, child.Name)
				visit(child, strings.TrimSpace(path+" "+child.Name))
			}
		}
		for _, group := range n.AllFlags(true) {
			for _, f := range group {
				words = append(words, "--"+f.Name)
			}
		}
		for _, p := range n.Positional {
			if p.Enum != "" {
				words = append(words, p.EnumSlice()...)
			}
		}
		slices.Sort(words)
		all[path] = slices.Compact(words)
	}
	visit(app.Node, "")
	return all
}

// sortedPaths returns the commands in order.
func sortedPaths(words map[string][]string) []string {
	var paths []string
	for path := range words {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// bashScript writes the completion for bash, which zsh understands by bashcompinit. The command is what the words
// before the cursor begin with, as far as they are commands; files complete what has no words.
func bashScript(w io.Writer, words map[string][]string, zsh bool) error {
	var b strings.Builder
	if zsh {
		b.WriteString("autoload -U +X bashcompinit && bashcompinit\n")
	}
	b.WriteString("_wavry_host() {\n\tlocal path='' word i\n\tCOMPREPLY=()\n" +
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tword=\"${path:+$path }${COMP_WORDS[i]}\"\n\t\tcase $word in\n")
	for _, path := range sortedPaths(words) {
		if path != "" {
			fmt.Fprintf(&b, "\t\t'%s') path=$word ;;\n", path)
		}
	}
	b.WriteString("\t\tesac\n\tdone\n\tcase $path in\n")
	for _, path := range sortedPaths(words) {
		fmt.Fprintf(&b, "\t'%s') COMPREPLY=($(compgen -W '%s' -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;\n", path,
			strings.Join(words[path], " "))
	}
	b.WriteString("\tesac\n}\ncomplete -o default -F _wavry_host wavry-host\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// fishScript writes the completion for fish.
func fishScript(w io.Writer, words map[string][]string) error {
	var b strings.Builder
	for _, path := range sortedPaths(words) {
		condition := "__fish_use_subcommand"
		if path != "" {
			var seen []string
			for word := range strings.FieldsSeq(path) {
				seen = append(seen, "__fish_seen_subcommand_from "+word)
			}
			condition = strings.Join(seen, "; and ")
		}
		for _, word := range words[path] {
			option := "-a " + word
			if long, ok := strings.CutPrefix(word, "--"); ok {
				option = "-l " + long
			}
			fmt.Fprintf(&b, "complete -c wavry-host -n '%s' %s\n", condition, option)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

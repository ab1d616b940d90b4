package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"wavryhost/cmd/wavry-host/config"
)

// manCmd is "wavry-host man".
type manCmd struct {
	Page string `arg:"" optional:"" enum:"wavry-host,wavry-host.yaml" default:"wavry-host" help:"Page: wavry-host (the command line) or wavry-host.yaml (the configuration)."` //nolint:lll // a struct tag is one line
}

// Run is called by kong.
func (c *manCmd) Run(a *app) error {
	if c.Page == "wavry-host.yaml" {
		return configurationPage(a.stdout)
	}
	var grammar cli
	parser, err := newParser(&grammar, a)
	if err != nil {
		return err
	}
	return commandPage(a.stdout, parser.Model)
}

// roff makes text safe: backslashes and hyphens are escaped, and no line begins with a control character.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	var b strings.Builder
	for _, r := range text {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\[u%04X]`, r)
		}
	}
	return b.String()
}

// commandPage writes the manual page of the command line.
func commandPage(w io.Writer, app *kong.Application) error {
	var b strings.Builder
	b.WriteString(".TH WAVRY\\-HOST 1\n.SH NAME\nwavry\\-host \\- stream the displays of this machine to browsers\n" +
		".SH SYNOPSIS\n.B wavry\\-host\n.RI [ command ]\n.RI [ flags ]\n.SH DESCRIPTION\n" + roff(app.Help) +
		"\n.SH COMMANDS\n")
	for _, leaf := range app.Leaves(true) {
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(strings.TrimPrefix(leaf.FullPath(),
			app.Name+" ")+positionals(leaf)), roff(leaf.Help))
		for _, p := range leaf.Positional {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(p.Name), roff(p.Help))
		}
		for _, f := range leaf.Flags {
			if f.Hidden {
				continue
			}
			name := "--" + f.Name
			if !f.IsBool() {
				name += "=" + f.FormatPlaceHolder()
			}
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(name), roff(f.Help))
		}
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, e := range exits() {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", e.code, roff(e.meaning))
	}
	b.WriteString(".SH FILES\n.TP\n.I " + roff(config.DefaultPath) +
		"\nThe configuration, see\n.BR wavry\\-host.yaml (5).\n" +
		".SH SEE ALSO\n.BR wavry\\-host.yaml (5),\n.BR systemctl (1)\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// positionals returns the arguments of a command as help shows them.
func positionals(n *kong.Node) string {
	var b strings.Builder
	for _, p := range n.Positional {
		b.WriteString(" " + p.Summary())
	}
	return b.String()
}

// configurationPage writes the manual page of the configuration.
func configurationPage(w io.Writer) error {
	var b strings.Builder
	b.WriteString(".TH WAVRY\\-HOST.YAML 5\n.SH NAME\nwavry\\-host.yaml \\- configuration of wavry\\-host\n" +
		".SH DESCRIPTION\nThe file is " + roff(config.DefaultPath) +
		". Files in conf.d in its folder override it, in the order of\ntheir names. " +
		"Variables and flags override both.\n.SH SETTINGS\n")
	for _, s := range config.Settings() {
		fmt.Fprintf(&b, ".TP\n.BR %s \" (%s)\"\n%s\n", roff(s.Name), roff(s.Type), roff(s.Help()))
	}
	b.WriteString(".SH SEE ALSO\n.BR wavry\\-host (1)\n")
	_, err := io.WriteString(w, b.String())
	return err
}

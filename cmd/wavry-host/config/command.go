package config

import (
	"errors"
	"strings"
	"unicode"
)

// maxCommand bounds a command line, in bytes.
const maxCommand = 1000

// The errors of command lines.
var (
	errQuote   = errors.New("a quotation mark has no end")
	errShell   = errors.New("no shell reads it")
	errCommand = errors.New("it is empty or too long")
)

// ParseCommand returns the program and the arguments of a command line. Words are separated by blanks. Quotation marks
// and backslashes have the meaning that they have in a shell. No shell reads the line: characters that only a shell
// understands are refused outside of quotation marks.
func ParseCommand(line string) (args []string, err error) {
	var (
		word  strings.Builder
		begun bool // word is an argument, even if it is empty
		quote rune // the open quotation mark, 0 for none
		after bool // a backslash
	)
	if len(line) > maxCommand || strings.ContainsFunc(line, unicode.IsControl) {
		return nil, errCommand
	}
	for _, r := range line {
		switch {
		case after:
			if quote == '"' && !strings.ContainsRune("\"\\$`", r) {
				word.WriteRune('\\')
			}
			word.WriteRune(r)
			after = false
		case r == '\\' && quote != '\'':
			after, begun = true, true
		case r == quote:
			quote = 0
		case quote == '"' && strings.ContainsRune("$`", r):
			return nil, errShell
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, begun = r, true
		case r == ' ':
			if begun {
				args = append(args, word.String())
				word.Reset()
			}
			begun = false
		case strings.ContainsRune("|&;<>()$`#~", r) && (r != '#' && r != '~' || !begun):
			return nil, errShell
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 || after {
		return nil, errQuote
	}
	if begun {
		args = append(args, word.String())
	}
	if len(args) == 0 || args[0] == "" {
		return nil, errCommand
	}
	return args, nil
}

func isCommand(s string) bool {
	_, err := ParseCommand(s)
	return err == nil
}

// commandAllowed describes the command lines that are allowed.
const commandAllowed = "a program with its arguments, such as xterm -title \"My terminal\"; what requires a shell is " +
	"sh -c 'COMMANDS'"

// commands returns the programs and arguments of command lines that are valid.
func commands(lines []string) (all [][]string) {
	for _, line := range lines {
		args, _ := ParseCommand(line) // it is valid once Load has returned it
		all = append(all, args)
	}
	return all
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// now is the time of checks.
var now = time.Now

// checkCmd makes each check of the list. It prints a line for each, and fails if one stops the release.
type checkCmd struct {
	Dir      string            `arg:"" help:"Folder with the files of the release."`
	Version  string            `required:"" help:"Version of the release."`
	Licenses string            `required:"" help:"The table of licenses that go-licenses writes."`
	Rebuilt  string            `help:"Folder with the program rebuilt from the source archive, by architecture."`
	Waive    map[string]string `placeholder:"STEP=REASON" help:"Let the release go out although a step stops it."`
	Results  string            `placeholder:"FILE" help:"File for the results, which the manifest contains."`
	Former   string            `placeholder:"FILE" help:"The .deb of the former release for this machine, from which hosts are upgraded."` //nolint:lll // a struct tag is one line
	Tests    string            `default:"make test" help:"The command that runs the tests."`
	Roots    string            `default:"deploy/signature/roots.pub" help:"The root keys."`
	Key      string            `help:"The signing key."`
	Lock     string            `default:"deploy/release/inputs.lock" help:"The pinned inputs."`
}

// verdict is what a step says of a release.
type verdict string

const (
	verdictOK     verdict = "ok"
	verdictStop   verdict = "stop"
	verdictWaived verdict = "waived"
)

// result is the result of a step. The manifest has it.
type result struct {
	Step    string  `json:"step"`
	Verdict verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Waiver  string  `json:"waiver,omitempty"`
}

// step is a check. An error stops the release.
type step struct {
	name string
	run  func(ctx context.Context, c *checkCmd) (detail string, err error)
}

// steps lists the checks in order, quick ones first.
func steps() []step {
	return []step{
		{"tree", checkTree},
		{"version", checkVersion},
		{"changelog", checkChangelog},
		{"contracts", checkContracts},
		{"licenses", checkLicenses},
		{"keys", checkKeys},
		{"programs", checkPrograms},
		{"encoders", checkEncoders},
		{"source", checkSource},
		{"files", checkFiles},
		{"lintian", checkLintian},
		{"image", checkImage},
		{"rebuild", checkRebuild},
		{"repositories", checkRepositories},
		{"packages", checkPackages},
		{"lab", checkLab},
		{"tests", checkTests},
	}
}

// Run is called by kong.
func (c *checkCmd) Run(ctx context.Context) error {
	results, err := c.check(ctx, steps(), func(r result) {
		line := fmt.Sprintf("%-7s %-10s %s", r.Verdict, r.Step, r.Detail)
		if r.Verdict == verdictWaived {
			line += " (waived: " + r.Waiver + ")"
		}
		_, _ = fmt.Fprintln(os.Stdout, line)
	})
	if err != nil {
		return err
	}
	if c.Results != "" {
		text, err := json.MarshalIndent(results, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.Results, append(text, '\n'), 0o644); err != nil { //nolint:gosec // a report
			return err
		}
	}
	var stopped []string
	for _, r := range results {
		if r.Verdict == verdictStop {
			stopped = append(stopped, r.Step)
		}
	}
	if len(stopped) > 0 {
		return fmt.Errorf("the release may not go out: %s", strings.Join(stopped, ", "))
	}
	return nil
}

// check runs steps.
func (c *checkCmd) check(ctx context.Context, all []step, report func(result)) ([]result, error) {
	for name, reason := range c.Waive {
		if !slices.ContainsFunc(all, func(s step) bool { return s.name == name }) {
			return nil, fmt.Errorf("--waive names the step %q, which does not exist", name)
		}
		if strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("--waive %s has no reason", name)
		}
	}
	results := make([]result, 0, len(all))
	for _, s := range all {
		detail, err := s.run(ctx, c)
		r := result{Step: s.name, Verdict: verdictOK, Detail: detail}
		if err != nil {
			r.Verdict, r.Detail = verdictStop, oneLine(err.Error())
			if reason, ok := c.Waive[s.name]; ok {
				r.Verdict, r.Waiver = verdictWaived, reason
			}
		}
		report(r)
		results = append(results, r)
	}
	return results, nil
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// output runs a program, and returns what it prints.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		err = fmt.Errorf("%w: %s", err, lastOf(string(exit.Stderr)))
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return strings.TrimRight(string(out), "\n"), err
}

// lastOf returns the last line of a text.
func lastOf(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func checkTree(ctx context.Context, _ *checkCmd) (string, error) {
	changed, err := output(ctx, "git", "status", "--porcelain")
	if err != nil {
		return "", err
	}
	if changed != "" {
		lines := strings.Split(changed, "\n")
		return "", fmt.Errorf("%d uncommitted changes, the first is %q", len(lines), strings.TrimSpace(lines[0]))
	}
	return "no uncommitted change", nil
}

func checkVersion(ctx context.Context, c *checkCmd) (string, error) {
	tag, err := output(ctx, "git", "describe", "--tags", "--exact-match", "--match", "v[0-9]*")
	if err != nil {
		return "", errors.New("the commit has no tag vX.Y.Z")
	}
	if tag != c.Version {
		return "", fmt.Errorf("the commit has the tag %s, and the release is %s", tag, c.Version)
	}
	return tag, nil
}

func checkChangelog(_ context.Context, c *checkCmd) (string, error) {
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return "", err
	}
	n, err := entries(string(text), c.Version)
	return fmt.Sprintf("%d entries", n), err
}

// entries counts the entries of a version in a changelog.
func entries(changelog, version string) (n int, err error) {
	heading := "## " + strings.TrimPrefix(version, "v")
	found, in := false, false
	for line := range strings.Lines(changelog) {
		if strings.HasPrefix(line, "## ") {
			in = line == heading+"\n" || strings.HasPrefix(line, heading+" ")
			found = found || in
		} else if in && strings.HasPrefix(line, "- [") {
			n++
		}
	}
	if !found {
		return 0, fmt.Errorf("CHANGELOG.md has no section %q", heading)
	}
	if n == 0 {
		return 0, fmt.Errorf("the section %q of CHANGELOG.md has no entry", heading)
	}
	return n, nil
}

// checkContracts compares the contracts with the latest release before this one.
func checkContracts(ctx context.Context, c *checkCmd) (string, error) {
	former, err := output(ctx, "git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "--exclude", c.Version)
	if err != nil {
		return "there is no earlier release", nil
	}
	names, err := output(ctx, "git", "ls-tree", "--name-only", former, "testdata/contracts/")
	if err != nil {
		return "", err
	}
	var broken []string
	for name := range strings.FieldsSeq(names) {
		before, err := output(ctx, "git", "show", former+":"+name)
		if err != nil {
			return "", err
		}
		after, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		lost, err := missing([]byte(before), after)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		for _, path := range lost {
			broken = append(broken, filepath.Base(name)+path)
		}
	}
	if len(broken) > 0 {
		return "", fmt.Errorf("%d contracts of %s were changed, the first is %s", len(broken), former, broken[0])
	}
	return "all contracts of " + former + " hold", nil
}

// missing returns the paths of a JSON document that another one lacks or has with another value.
func missing(before, after []byte) ([]string, error) {
	var a, b any
	if err := errors.Join(json.Unmarshal(before, &a), json.Unmarshal(after, &b)); err != nil {
		return nil, err
	}
	var lost []string
	var compare func(path string, a, b any)
	compare = func(path string, a, b any) {
		switch x := a.(type) {
		case map[string]any:
			y, ok := b.(map[string]any)
			if !ok {
				lost = append(lost, path)
				return
			}
			for key, value := range x {
				if _, ok := y[key]; !ok {
					lost = append(lost, path+"/"+key)
					continue
				}
				compare(path+"/"+key, value, y[key])
			}
		case []any:
			y, ok := b.([]any)
			if !ok {
				lost = append(lost, path)
				return
			}
			for i, value := range x { // a list is a set of values
				if !slices.ContainsFunc(y, func(one any) bool { return same(value, one) }) {
					lost = append(lost, fmt.Sprintf("%s/%d", path, i))
				}
			}
		default:
			// Descriptions may be reworded.
			if !same(a, b) && !strings.HasSuffix(path, "/description") && !strings.HasSuffix(path, "/summary") {
				lost = append(lost, path)
			}
		}
	}
	compare("", a, b)
	slices.Sort(lost)
	return lost, nil
}

func same(a, b any) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(x) == string(y)
}

// checkRepositories makes repositories with throwaway keys, and installs from them.
func checkRepositories(ctx context.Context, _ *checkCmd) (string, error) {
	begun := time.Now()
	_, err := output(ctx, "scripts/go", "test", "-count=1", "-tags=integration", "-run=^TestRepositories$",
		"./deploy/release", "-repositories")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("apt and dnf install from them, and refuse changes (%v)", time.Since(begun).Round(time.Second)), nil
}

func checkTests(ctx context.Context, c *checkCmd) (string, error) {
	begun := time.Now()
	words := strings.Fields(c.Tests)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the command is an argument
	out, err := cmd.CombinedOutput()
	if err != nil {
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(strings.TrimSpace(line), "--- FAIL") {
				return "", fmt.Errorf("%s: %s", c.Tests, strings.TrimSpace(line))
			}
		}
		return "", fmt.Errorf("%s: %w: %s", c.Tests, err, lastOf(string(out)))
	}
	return fmt.Sprintf("%s passed in %v", c.Tests, time.Since(begun).Round(time.Second)), nil
}

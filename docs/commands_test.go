package docs_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// functions returns the names of the tests, fuzz targets and benchmarks of each folder.
func functions(t *testing.T) map[string][]string {
	t.Helper()
	names := make(map[string][]string)
	err := filepath.WalkDir(".", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		folder := path.Dir(filepath.ToSlash(file))
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			names[folder] = append(names[folder], m[1])
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("tests in %d folders, %v", len(names), err)
	}
	return names
}

var (
	namedTests = regexp.MustCompile("`(?:([\\w/.-]+): )?((?:Test|Fuzz|Benchmark)[A-Z]\\w*)(…?)`(, )?")
	testRuns   = regexp.MustCompile("(?:go test|scripts/fuzz|^-bench) .*")
	patterns   = regexp.MustCompile(`-(?:bench|run) '?([^ ']+)|(Fuzz[A-Z]\w*)`)
	folders    = regexp.MustCompile(`\./[\w./-]*`)
)

// A test with a package in front of its name is in that package, and so are the tests that follow behind commas. On
// the page of what was verified, tests without a package are end-to-end tests or at the root.
func TestTestsAreInTheNamedPackage(t *testing.T) {
	in := make(map[string][]string) // the folders of a test
	for folder, names := range functions(t) {
		for _, name := range names {
			in[name] = append(in[name], folder)
		}
	}
	isIn := func(name, suffix string, where func(folder string) bool) bool {
		for n, folders := range in {
			for _, folder := range folders {
				if (n == name || suffix != "" && strings.HasPrefix(n, name)) && where(folder) {
					return true
				}
			}
		}
		return false
	}
	for page, text := range documents(t) {
		named, end := "", 0
		for _, at := range namedTests.FindAllStringSubmatchIndex(text, -1) {
			m := namedTests.FindStringSubmatch(text[at[0]:at[1]])
			if at[0] != end {
				named = "" // another list begins
			}
			if m[1] != "" {
				named = m[1]
			}
			end = at[1]
			if m[4] == "" {
				end = 0 // the list ends here
			}
			ok := isIn(m[2], m[3], func(folder string) bool { return folder == named || strings.HasSuffix(folder, "/"+named) })
			if named == "" {
				ok = page != "docs/develop/verification.md" ||
					isIn(m[2], m[3], func(folder string) bool { return folder == "." || folder == "cmd/wavry-host/endtoend" })
			}
			if !ok {
				t.Errorf("%s: %s is not in %q, but in %v", page, m[2], named, in[m[2]])
			}
		}
	}
}

// Commands that run tests or benchmarks find some.
func TestCommandsOfTestsFindSome(t *testing.T) {
	names, found := functions(t), 0
	for page, text := range documents(t) {
		for _, block := range commands.FindAllString(text, -1) {
			lines := strings.ReplaceAll(strings.Trim(block, "`"), "\\\n", " ")
			for line := range strings.SplitSeq(lines, "\n") {
				command := testRuns.FindString(line)
				if command == "" {
					continue
				}
				for _, m := range patterns.FindAllStringSubmatch(command, -1) {
					pattern := m[1] + m[2]
					if pattern == "^$" || pattern == "xxx" || pattern == "NAME" {
						continue // it stands for no test
					}
					found++
					if !matches(t, names, folders.FindAllString(command, -1), pattern) {
						t.Errorf("%s: %q finds nothing by %s", page, strings.TrimSpace(line), pattern)
					}
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("found %d patterns in commands; want more", found)
	}
}

// matches reports whether a folder has a test whose name matches.
func matches(t *testing.T, names map[string][]string, folders []string, pattern string) bool {
	t.Helper()
	name, err := regexp.Compile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		for _, n := range names[path.Clean(folder)] {
			if name.MatchString(n) || name.MatchString(strings.TrimPrefix(n, "Benchmark")) {
				return true
			}
		}
	}
	return false
}

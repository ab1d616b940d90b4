// Package docs_test holds the documents to the tree: links, names of tests, log messages, and requests that work.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMain changes to the root of the tree, so that paths are as people write them.
func TestMain(m *testing.M) {
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

var (
	mentioned = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*…?`)
	declared  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)\(`)
)

// documents returns the text of each Markdown file that readers get, by its path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	add := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.ToSlash(path)] = string(text)
	}
	for _, path := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		add(path)
	}
	err := filepath.WalkDir("docs", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			add(path)
		}
		return err
	})
	if err != nil || len(texts) < 10 {
		t.Fatalf("%d documents, %v", len(texts), err)
	}
	return texts
}

// A document that says that a test proves something must name a test that exists. A name that ends with an ellipsis
// stands for all tests whose names begin like it.
func TestDocumentsNameTestsThatThereAre(t *testing.T) {
	there := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil || len(there) == 0 {
		t.Fatalf("%d tests, %v", len(there), err)
	}
	for path, text := range documents(t) {
		if path == "CHANGELOG.md" {
			continue // it is history
		}
		for _, name := range mentioned.FindAllString(text, -1) {
			begin, several := strings.CutSuffix(name, "…")
			found := there[begin]
			for one := range there {
				found = found || several && strings.HasPrefix(one, begin)
			}
			if !found {
				t.Errorf("%s names %s, which is no test", path, name)
			}
		}
	}
}

// Git merges these files by union (.gitattributes), which can double lines: entries of the changelog, and rows whose
// first cell names what was verified.
func TestMergedListsHaveNoDoubledLines(t *testing.T) {
	for _, path := range []string{"CHANGELOG.md", "docs/develop/verification.md"} {
		if doubled := doubledItems(documents(t)[path]); len(doubled) > 0 {
			t.Errorf("%s has these twice: %q; keep one of each", path, doubled)
		}
	}
}

// doubledItems returns the first lines of list items, and the first cells of rows, that a text contains twice.
func doubledItems(text string) []string {
	var doubled []string
	seen := make(map[string]bool)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		head := i+1 < len(lines) && strings.HasPrefix(lines[i+1], "| ---")
		item := line
		if strings.HasPrefix(line, "| ") {
			item, _, _ = strings.Cut(line, " | ")
		}
		if head || !strings.HasPrefix(item, "- ") && !strings.HasPrefix(item, "| ") || strings.HasPrefix(item, "| ---") {
			continue
		}
		if seen[item] {
			doubled = append(doubled, item)
		}
		seen[item] = true
	}
	return doubled
}

func TestDoubledItems(t *testing.T) {
	table := "| key | test |\n| --- | --- |\n| A1 | x |\n"
	text := table + table + "- one\n  more\n- two\n- one\n"
	if got, want := doubledItems(text), []string{"| A1", "- one"}; !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	inlineCode = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	pathOfDocs = regexp.MustCompile(`\bdocs/[\w/.-]*\w`)
	heading    = regexp.MustCompile(`(?m)^#+ +(.*)$`)
)

// Links between documents lead to files and headings that exist. So do the paths below docs/ that are written in
// documents, code, scripts and alert rules.
func TestLinksOfDocuments(t *testing.T) {
	texts := documents(t)
	for path, text := range texts {
		for _, broken := range brokenLinks(path, text, texts) {
			t.Errorf("%s: the link %s leads nowhere", path, broken)
		}
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", ".test", "dist", "testdata"}, d.Name()):
			return fs.SkipDir
		case d.IsDir() || strings.HasSuffix(path, ".sum") || !d.Type().IsRegular():
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() > 1<<20 {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || filepath.Base(path) == "documents_test.go" {
			return err
		}
		for _, at := range pathOfDocs.FindAllIndex(text, -1) {
			name := string(text[at[0]:at[1]])
			if strings.HasSuffix(string(text[:at[0]]), "://") || precededByHost(text[:at[0]]) {
				continue
			}
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s names %s, which does not exist", path, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// precededByHost reports whether the text ends within a URL, such as https://example.com/.
func precededByHost(text []byte) bool {
	begin := strings.LastIndexAny(string(text), " \t\n\"'(<`") + 1
	return strings.Contains(string(text[begin:]), "://")
}

// brokenLinks returns the links of a document that lead to no file or heading. texts has the other documents.
func brokenLinks(path, text string, texts map[string]string) []string {
	var broken []string
	for _, m := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(text, ""), -1) {
		if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
			continue
		}
		file, fragment, _ := strings.Cut(m[1], "#")
		target := path
		if file != "" {
			target = filepath.ToSlash(filepath.Join(filepath.Dir(path), file))
		}
		if _, err := os.Stat(target); err != nil || fragment != "" && !anchors(texts[target])[fragment] {
			broken = append(broken, m[1])
		}
	}
	return broken
}

// anchors returns the names by which links lead to a document's headings, as GitHub makes them.
func anchors(text string) map[string]bool {
	names := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		var name strings.Builder
		for _, r := range strings.ToLower(m[1]) {
			switch {
			case r == ' ':
				name.WriteByte('-')
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
				name.WriteRune(r)
			}
		}
		names[name.String()] = true
	}
	return names
}

func TestBrokenLinks(t *testing.T) {
	texts := map[string]string{"docs/a.md": "# One\n\n## Two, and `three`\n"}
	text := "[ok](docs/a.md#two-and-three) [none](docs/b.md) [part](docs/a.md#four) `[code](x)` [out](https://x.org/y)"
	// docs/a.md exists in texts only, so its links are broken as files; its headings are checked by themselves.
	if got := brokenLinks("README.md", text, texts); len(got) != 3 {
		t.Errorf("got %q; want three", got)
	}
	if got := anchors(texts["docs/a.md"]); !got["one"] || !got["two-and-three"] || len(got) != 2 {
		t.Errorf("got the anchors %v", got)
	}
	self := map[string]string{"README.md": "# Here\n"}
	if got := brokenLinks("README.md", "[a](#here) [b](#there)", self); len(got) != 1 || got[0] != "#there" {
		t.Errorf("got %q; want #there", got)
	}
}

var (
	quotedLogs = regexp.MustCompile(`(?s)\bLog: (.*?)(?:\.\s|\n\n)`)
	quotes     = regexp.MustCompile("`([^`]*)`")
)

// The log messages that runbooks quote are in the code, so that an operator finds them.
func TestRunbooksQuoteLogMessages(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir(".", func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path == "dist" {
			return filepath.SkipDir // results of a build
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		code.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for path, text := range documents(t) {
		if !strings.HasPrefix(path, "docs/operate/runbooks/") {
			continue
		}
		for _, m := range quotedLogs.FindAllStringSubmatch(text, -1) {
			for _, q := range quotes.FindAllStringSubmatch(m[1], -1) {
				message := strings.Join(strings.Fields(q[1]), " ")
				if !strings.Contains(message, " ") {
					continue // an attribute
				}
				if found++; !strings.Contains(code.String(), `"`+message) {
					t.Errorf("%s quotes the log message %q, which the code does not have", path, message)
				}
			}
		}
	}
	if found < 8 {
		t.Errorf("found %d log messages in the runbooks; want one of most", found)
	}
}

var commands = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")

// Requests in documents work as they are printed: those to the API have a credential.
func TestExamplesOfRequestsHaveACredential(t *testing.T) {
	open := regexp.MustCompile(`/(?:healthz|readyz|v1/openapi\.json)\b`)
	api, found := regexp.MustCompile(`\$HOST/|127\.0\.0\.1:8470/`), 0
	for path, text := range documents(t) {
		for _, block := range commands.FindAllString(text, -1) {
			for line := range strings.SplitSeq(strings.ReplaceAll(block, "\\\n", " "), "\n") {
				if !strings.Contains(line, "curl ") || !api.MatchString(line) || open.MatchString(line) {
					continue
				}
				if found++; !strings.Contains(line, `-H "$AUTH"`) {
					t.Errorf("%s: %s has no -H \"$AUTH\"", path, strings.TrimSpace(line))
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d requests in the documents; want more", found)
	}
}

// The README fits on two screens, and leads to each folder of documents and to the page with all settings.
func TestReadmeIsShort(t *testing.T) {
	text := documents(t)["README.md"]
	if lines := strings.Count(text, "\n"); lines >= 120 {
		t.Errorf("README.md has %d lines; want less than 120: move what few readers need to docs/", lines)
	}
	for _, path := range []string{
		"docs/operate/README.md", "docs/integrate/README.md", "docs/develop/README.md",
		"docs/operate/settings.md", "CONTRIBUTING.md", "make run", "make test",
	} {
		if !strings.Contains(text, path) {
			t.Errorf("README.md does not lead to %s", path)
		}
	}
}

package wavryhost_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	mentioned = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*…?`)
	declared  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)\(`)
)

// TestDocumentsNameTestsThatThereAre holds that what is said to be proved by a test has that test: a document that names one which was renamed
// or went proves nothing. A name that ends with an ellipsis stands for all that begin like it.
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
	if err != nil {
		t.Fatal(err)
	}
	documents, err := filepath.Glob("docs/*.md")
	if err != nil || len(documents) == 0 || len(there) == 0 {
		t.Fatalf("documents %v, %d tests, %v", documents, len(there), err)
	}
	for _, path := range append(documents, "README.md", "CONTRIBUTING.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range mentioned.FindAllString(string(text), -1) {
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

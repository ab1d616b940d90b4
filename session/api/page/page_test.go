package page

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wavryhost/session"
)

// The page names all its modules at its top. A module that the browser only finds in another one costs a further round
// trip before the first picture.
func TestModulesAreLoadedTogether(t *testing.T) {
	index, err := os.ReadFile("index.html")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("*.js")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("there are no scripts: %v", err)
	}
	for _, path := range scripts {
		if name := `"page/` + filepath.Base(path) + `"`; strings.Count(string(index), name) != 1 {
			t.Errorf("index.html names %s %d times; want once", name, strings.Count(string(index), name))
		}
	}
}

// The page has words for each reason of a quality state.
func TestPageKnowsTheReasons(t *testing.T) {
	words, err := os.ReadFile("quality.js")
	if err != nil {
		t.Fatal(err)
	}
	reasons := session.Sets()["QualityReason"]
	if len(reasons) == 0 {
		t.Fatal("there are no reasons")
	}
	for _, r := range reasons {
		if !regexp.MustCompile(`\b` + r + `: "`).Match(words) {
			t.Errorf("quality.js has no words for %s", r)
		}
	}
}

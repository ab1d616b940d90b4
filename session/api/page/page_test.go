package page

import (
	"net/http"
	"net/http/httptest"
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

// The page offers the source code of the program, wherever the address comes from.
func TestPageOffersTheSource(t *testing.T) {
	for source, want := range map[string]string{
		"":                          `<span class="brand">wavry-host</span>`,
		"https://example.net/a?b&c": `<a href="https://example.net/a?b&amp;c" `,
		`https://a/"><script>`:      `<a href="https://a/&#34;&gt;&lt;script&gt;" `,
	} {
		p, err := New(source)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if err := p.Serve(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)); err != nil {
			t.Fatal(err)
		}
		if page := w.Body.String(); !strings.Contains(page, want) || strings.Contains(page, "<!--") {
			t.Errorf("%q: the page lacks %s, or has a mark left", source, want)
		}
		if links := strings.Count(w.Body.String(), want); source != "" && links != 2 {
			t.Errorf("%q: %d links; want one in the bar and one among the statistics", source, links)
		}
	}
}

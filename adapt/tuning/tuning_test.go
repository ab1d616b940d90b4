package tuning_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// mostLaw is the goal for the control law: more constants than that nobody understands.
const mostLaw = 79

// Each constant is explained, and has a unit or a source beside its value. The law has fewer than 80.
func TestConstantsAreExplained(t *testing.T) {
	for name, most := range map[string]int{"law.go": mostLaw, "path.go": 40, "stream.go": 60} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		n, explained := 0, ""
		for _, d := range file.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			if group.Doc.Text() == "" {
				t.Errorf("%s: a group of constants has no heading", name)
			}
			for _, s := range group.Specs {
				spec, ok := s.(*ast.ValueSpec)
				if !ok {
					continue
				}
				if text := spec.Doc.Text(); text != "" {
					explained = text // of this one, and the next ones without a comment
				}
				for _, id := range spec.Names {
					n++
					if !strings.Contains(explained, id.Name) && spec.Doc.Text() == "" && spec.Comment.Text() == "" {
						t.Errorf("%s: %s is not explained", name, id.Name)
					}
				}
				if spec.Comment.Text() == "" && !strings.Contains(name, "stream") {
					t.Errorf("%s: %v has no unit and source", name, spec.Names[0])
				}
			}
		}
		if n > most {
			t.Errorf("%s has %d constants; want %d at most: merge, derive or remove one", name, n, most)
		}
	}
}

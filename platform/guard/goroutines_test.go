package guard_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// caught is how a statement shows that a panic in its goroutine does not end the daemon.
var caught = regexp.MustCompile(`[gG]uard(ed)?\.(Run|Catch|Recover)\(|\.safely\(|// unguarded: `)

// Every goroutine of a session, a display or their surroundings runs under a guard, or says why it need not.
func TestGoroutinesAreGuarded(t *testing.T) {
	seen := 0
	for _, root := range []string{"session", "capture", "encode", "platform"} {
		err := filepath.WalkDir(filepath.Join("../..", root), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
				strings.HasSuffix(filepath.Dir(path), "test") || strings.Contains(path, "testdata") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files := token.NewFileSet()
			tree, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				if !starts(n) {
					return true
				}
				seen++
				end := files.Position(n.End()).Offset
				for end < len(text) && text[end] != '\n' { // its comment may be behind it
					end++
				}
				if !caught.Match(text[files.Position(n.Pos()).Offset:end]) {
					t.Errorf("%s: a panic in this goroutine ends the daemon: run it under a guard, or say why not by // unguarded: …",
						files.Position(n.Pos()))
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 20 {
		t.Errorf("%d goroutines found; the test does not see them", seen)
	}
}

// starts reports whether a node starts a goroutine: a go statement, or a call of a group's Go.
func starts(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		return true
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		return ok && f.Sel.Name == "Go" && len(n.Args) == 1
	}
	return false
}

package session

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEnumerationsAreComplete reads the source: a table of names has a row for each constant of its block, so that an
// addition that is left half done does not pass.
func TestEnumerationsAreComplete(t *testing.T) {
	tables := 0
	for _, dir := range []string{".", "admission", "floor", "hoststate", "relay", "rift"} {
		tables += checkTables(t, dir)
	}
	if tables < 25 {
		t.Errorf("%d tables were found; want all, at least 25", tables)
	}
}

// checkTables checks the tables of a folder's package and returns how many it has.
func checkTables(t *testing.T, dir string) (tables int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	block := make(map[string][]string) // all constants of the block that a constant is in
	var literals [][]string            // the constants in each literal
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				names := constants(g)
				for _, n := range names {
					block[n] = names
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.CompositeLit); ok {
				literals = append(literals, rows(l))
			}
			return true
		})
	}
	for _, l := range literals {
		if len(l) < 2 || block[l[0]] == nil {
			continue
		}
		tables++
		for _, c := range block[l[0]] {
			if !slices.Contains(l, c) {
				t.Errorf("%s: the table with %s has no row for %s", dir, l[0], c)
			}
		}
	}
	return tables
}

// constants returns the names of a block's constants.
func constants(g *ast.GenDecl) (names []string) {
	for _, s := range g.Specs {
		if v, ok := s.(*ast.ValueSpec); ok {
			for _, n := range v.Names {
				names = append(names, n.Name)
			}
		}
	}
	return names
}

// rows returns the identifiers that a literal of an array or slice lists or is indexed by, nil for another literal.
func rows(l *ast.CompositeLit) (names []string) {
	a, ok := l.Type.(*ast.ArrayType)
	if !ok {
		return nil
	}
	if e, ok := a.Elt.(*ast.Ident); !ok || !slices.Contains([]string{"string", "Resource", "Reason", "State"}, e.Name) {
		return nil
	}
	for _, e := range l.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			e = kv.Key
		}
		id, ok := e.(*ast.Ident)
		if !ok {
			return nil
		}
		names = append(names, id.Name)
	}
	return names
}

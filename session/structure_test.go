package session

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	maxFileLines   = 400
	maxTypeMethods = 25
	// maxBackward is the share of dependencies between the files of a package that may run backward.
	maxBackward = 0.1
)

// TestStructure checks what keeps this package and the packages below it readable: short files, types with few
// methods, and files that depend on each other in one direction.
func TestStructure(t *testing.T) {
	err := filepath.WalkDir(".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || strings.Contains(dir, "testdata") {
			return err
		}
		fset := token.NewFileSet()
		files := parseFiles(t, fset, dir)
		if len(files) == 0 {
			return nil
		}
		checkFiles(t, fset, files)
		uses := dependencies(fset, files)
		order := arrangement(uses)
		back := backward(uses, order)
		t.Logf("%s: %d files, %d dependencies between them, %d backward", dir, len(files), len(uses), len(back))
		// Packages for tests are as their tests need them.
		if strings.HasSuffix(dir, "test") {
			return nil
		}
		checkTypes(t, files)
		if float64(len(back)) > max(1, maxBackward*float64(len(uses))) {
			t.Errorf("%d of %d dependencies between the files of %s run backward in the best order of the files, "+
				"over %.0f %%: move a declaration that files further down use into a file of its own\n%s",
				len(back), len(uses), dir, 100*maxBackward, strings.Join(back, "\n"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// parseFiles parses the Go files of a folder, without its tests.
func parseFiles(t *testing.T, fset *token.FileSet, dir string) (files []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

func checkFiles(t *testing.T, fset *token.FileSet, files []*ast.File) {
	t.Helper()
	for _, f := range files {
		if n := fset.Position(f.FileEnd).Line; n > maxFileLines {
			t.Errorf("%s has %d lines, over %d", fset.Position(f.Package).Filename, n, maxFileLines)
		}
	}
}

func checkTypes(t *testing.T, files []*ast.File) {
	t.Helper()
	methods := make(map[string]int) // by type
	for _, f := range files {
		for _, d := range f.Decls {
			if m, ok := d.(*ast.FuncDecl); ok && m.Recv != nil {
				methods[receiver(m)]++
			}
		}
	}
	for name, n := range methods {
		if n > maxTypeMethods {
			t.Errorf("type %s has %d methods, over %d", name, n, maxTypeMethods)
		}
	}
}

// receiver returns the name of a method's type.
func receiver(m *ast.FuncDecl) string {
	e := m.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// dependency says that a file uses what another file of its package declares.
type dependency struct{ from, to string }

// dependencies returns the dependencies between the files of a package, with the names that are used. Imported
// packages are not read: what a file uses of its own package is known without them.
func dependencies(fset *token.FileSet, files []*ast.File) map[dependency][]string {
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object), Selections: make(map[*ast.SelectorExpr]*types.Selection)}
	checker := types.Config{
		Importer: importer.ForCompiler(fset, "none", nil),
		Error:    func(error) {}, // for each imported name
	}
	own, _ := checker.Check(files[0].Name.Name, fset, files, info)
	uses := make(map[dependency][]string)
	for id, what := range info.Uses {
		if what.Pkg() != own {
			continue
		}
		d := dependency{filepath.Base(fset.Position(id.Pos()).Filename), filepath.Base(fset.Position(what.Pos()).Filename)}
		if d.from != d.to && !slices.Contains(uses[d], what.Name()) {
			uses[d] = append(uses[d], what.Name())
		}
	}
	return uses
}

// arrangement returns the files in an order in which few dependencies run backward: no file can be moved to another
// place with fewer.
func arrangement(uses map[dependency][]string) []string {
	names := make(map[string]int) // file: how many files it uses, less how many use it
	for d := range uses {
		names[d.from]++
		names[d.to]--
	}
	order := slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		if names[a] != names[b] {
			return names[b] - names[a]
		}
		return strings.Compare(a, b)
	})
	fewest := len(backward(uses, order))
	for moved := true; moved; {
		moved = false
		for i := range order {
			for j := range order {
				file := order[i]
				next := slices.Insert(slices.Delete(slices.Clone(order), i, i+1), j, file)
				if n := len(backward(uses, next)); n < fewest {
					fewest, order, moved = n, next, true
				}
			}
		}
	}
	return order
}

// backward lists the dependencies that run backward in an order of the files.
func backward(uses map[dependency][]string, order []string) (list []string) {
	at := make(map[string]int, len(order))
	for i, name := range order {
		at[name] = i
	}
	for d, names := range uses {
		if at[d.from] > at[d.to] {
			list = append(list, d.from+" uses "+d.to+": "+strings.Join(names, " "))
		}
	}
	slices.Sort(list)
	return list
}

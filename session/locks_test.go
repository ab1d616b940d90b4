package session

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"wavryhost/session/lockorder/lockordertest"
)

func TestMain(m *testing.M) { lockordertest.Main(m, documents...) }

// documents have the order of the locks.
var documents = []string{"doc.go", "pipeline/doc.go"}

// takeWrongLocks, when it is set in the environment, has TestWrongOrderOfLocksFails take locks in the wrong order.
const takeWrongLocks = "WAVRY_TEST_TAKE_WRONG_LOCKS"

// TestWrongOrderOfLocksFails runs itself in another process, where it locks the registry with a viewer locked. Nothing
// else fails there, but the process does, and names both.
func TestWrongOrderOfLocksFails(t *testing.T) {
	if os.Getenv(takeWrongLocks) != "" {
		var v viewer
		var r registry
		v.mu.Lock()
		r.mu.Lock()
		r.mu.Unlock() //nolint:staticcheck // the order is what counts
		v.mu.Unlock()
		return
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.StartProcess(os.Args[0], []string{os.Args[0], "-test.run=^" + t.Name() + "$"}, &os.ProcAttr{
		Env: append(os.Environ(), takeWrongLocks+"=1"), Files: []*os.File{nil, write, write},
	})
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if want := "does not allow viewerLock ─▶ registryLock"; state.Success() || !strings.Contains(string(said), want) {
		t.Errorf("%v; want it to fail and say %q:\n%s", state, want, said)
	}
}

// The documentation names the locks of the code.
func TestDocumentedLocksExist(t *testing.T) {
	order, err := lockordertest.Documented(documents...)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, file := range []string{"locks.go", "floor/locks.go", "pipeline/locks.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			for _, spec := range d.(*ast.GenDecl).Specs {
				have = append(have, spec.(*ast.TypeSpec).Name.Name)
			}
		}
	}
	slices.Sort(have)
	if names := order.Names(); !slices.Equal(names, have) {
		t.Errorf("the documentation has %v; the code %v", names, have)
	}
}

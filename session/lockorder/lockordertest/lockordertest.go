// Package lockordertest has the tests of a package fail when they take locks in an order that is not documented.
package lockordertest

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/petermattis/goid"

	"wavryhost/session/lockorder"
)

// Main runs the tests of m with all locks watched. After the tests it compares the pairs that were seen with the order
// that the files document, and ends the process with an error when there is another one. It never returns.
func Main(m *testing.M, files ...string) {
	order, err := Documented(files...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	flag.Parse()
	if bench := flag.Lookup("test.bench"); bench == nil || bench.Value.String() == "" {
		lockorder.Watch(goid.Get) // benchmarks measure the daemon's mutexes
	}
	code := m.Run()
	pairs := lockorder.Pairs()
	for _, p := range order.Violations(pairs) {
		fmt.Fprintf(os.Stderr, "FAIL: %s does not allow %v:\n%s\n", strings.Join(files, ", "), p, pairs[p])
		code = 1
	}
	os.Exit(code)
}

// Documented returns the order that the package documentation in the files gives below the headings "Locks".
func Documented(files ...string) (lockorder.Order, error) {
	var all strings.Builder
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			return lockorder.Order{}, err
		}
		_, section, ok := strings.Cut(f.Doc.Text(), "# Locks\n")
		if !ok {
			return lockorder.Order{}, fmt.Errorf("lockordertest: %s has no heading Locks", file)
		}
		section, _, _ = strings.Cut(section, "\n# ")
		all.WriteString(section)
	}
	return lockorder.ParseOrder(all.String())
}

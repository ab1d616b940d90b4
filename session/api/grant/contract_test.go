package grant

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var accept = flag.Bool("accept", false, "write the contract although it breaks the former one")

// ledgerContract is a file of used grants as the last release wrote it. A daemon must understand it after an upgrade:
// else it would not start, or accept a grant for a single session again.
const ledgerContract = "../../../testdata/contracts/state/revocations.json.used"

// TestLedgerContract reads the file of the last release, and compares it with what this daemon writes.
func TestLedgerContract(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its time begins at 2000-01-01
		path := filepath.Join(t.TempDir(), "used")
		l, err := newLedger(path, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		used := []Grant{
			{Issuer: "https://a", ID: "g1", Expires: time.Now().UTC().Add(time.Hour)},
			{ID: "g2", Expires: time.Now().UTC().Add(time.Hour)},
		}
		for _, g := range used {
			if err := l.keep(g); err != nil {
				t.Fatal(err)
			}
		}
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if *accept {
			if err := os.WriteFile(ledgerContract, now, 0o644); err != nil { //nolint:gosec // it is a sample
				t.Fatal(err)
			}
		}
		recorded, err := os.ReadFile(ledgerContract)
		if err != nil || !bytes.Equal(recorded, now) {
			t.Errorf("%v; the daemon writes\n%s\nand the last release wrote\n%s", err, now, recorded)
		}
		// refuses reports whether a daemon with that file refuses both grants, or does not start.
		refuses := func(text string) (both, starts bool) {
			path := filepath.Join(t.TempDir(), "used")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := newLedger(path, time.Now())
			if err != nil {
				return false, false
			}
			return l.take(used[0], time.Now()) != nil && l.take(used[1], time.Now()) != nil, true
		}
		if both, starts := refuses(string(recorded)); !both || !starts {
			t.Errorf("with the file of the last release: refused %v, started %v", both, starts)
		}
		for _, field := range []string{"version", "iss", "jti", "until"} {
			if both, _ := refuses(strings.Replace(string(recorded), `"`+field+`"`, `"former_`+field+`"`, 1)); both {
				t.Errorf("the file means the same without %s", field)
			}
		}
	})
}

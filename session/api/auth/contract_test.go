package auth

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/session/api/grant"
)

var accept = flag.Bool("accept", false, "write the contract although it breaks the former one")

// revocationsContract is a file of revocations as the last release wrote it. A daemon must understand it after an
// upgrade: else it would not start, or let revoked grants in.
const revocationsContract = "../../../testdata/contracts/state/revocations.json"

// TestRevocationsContract reads the file of the last release, and compares it with what this daemon writes.
func TestRevocationsContract(t *testing.T) {
	at := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "revocations.json")
	l, err := newRevocations(path, time.Hour, at)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][3]string{{"https://a", "g1", ""}, {"https://a", "", "ann"}, {"", "g2", "bob"}} {
		if err := l.add(at, r[0], r[1], r[2]); err != nil {
			t.Fatal(err)
		}
	}
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if *accept {
		if err := os.WriteFile(revocationsContract, now, 0o644); err != nil { //nolint:gosec // it is a sample
			t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(revocationsContract)
	if err != nil || !bytes.Equal(recorded, now) {
		t.Errorf("%v; the daemon writes\n%s\nand the last release wrote\n%s", err, now, recorded)
	}
	// revoked says which of these grants a file revokes; "" if it is refused.
	revoked := func(text string) string {
		path := filepath.Join(t.TempDir(), "revocations.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := newRevocations(path, time.Hour, at)
		if err != nil {
			return ""
		}
		var list []string
		for _, g := range []grant.Grant{
			{Issuer: "https://a", ID: "g1"},
			{Issuer: "https://a", ID: "x", Subject: "ann", Issued: at},
			{ID: "g2"},
			{ID: "x", Subject: "bob", Issued: at},
			{ID: "g1"},
			{
				Issuer: "https://a", ID: "x",
				Subject: "bob",
			},
		} {
			if l.has(g) {
				list = append(list, g.Issuer+"/"+g.ID+"/"+g.Subject)
			}
		}
		return strings.Join(list, " ")
	}
	const want = "https://a/g1/ https://a/x/ann /g2/ /x/bob"
	if got := revoked(string(recorded)); got != want {
		t.Errorf("the file of the last release revokes %q; want %q", got, want)
	}
	for _, field := range []string{"version", "grants", "subjects"} {
		if got := revoked(strings.Replace(string(recorded), `"`+field+`"`, `"former_`+field+`"`, 1)); got == want {
			t.Errorf("the file means the same without %s", field)
		}
	}
}

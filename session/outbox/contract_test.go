package outbox

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var accept = flag.Bool("accept", false, "write the contract although it breaks the former one")

// outboxContract is an outbox as the last release wrote it. A daemon must understand it after an upgrade: else its
// events would be lost.
const outboxContract = "../../testdata/contracts/state/webhook.jsonl"

// TestOutboxContract reads the file of the last release, and compares it with what this daemon writes.
func TestOutboxContract(t *testing.T) {
	at := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	open := func(path string) (*box, error) {
		return load(path, NewMetrics("webhook"), func(err error) { t.Error(err) })
	}
	items := []Item{
		{ID: 7, Kind: "drained", At: at, Data: []byte(`{"id":7,"kind":"drained"}`)},
		gapItem(7, 100, at),
		{ID: 100, Kind: "resume", At: at, Data: []byte(`{"id":100,"kind":"resume"}`)},
	}
	path := filepath.Join(t.TempDir(), "outbox")
	o, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	o.add(items)
	first, _ := o.first()
	o.done(first)
	o.save()
	o.end(101)
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if *accept {
		if err := os.WriteFile(outboxContract, now, 0o644); err != nil { //nolint:gosec // it is a sample
			t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(outboxContract)
	if err != nil || !bytes.Equal(recorded, now) {
		t.Errorf("%v; the daemon writes\n%s\nand the last release wrote\n%s", err, now, recorded)
	}
	items[1].Seq, items[2].Seq = 2, 3
	// same reports whether a file means the same.
	same := func(text string) bool {
		path := filepath.Join(t.TempDir(), "outbox")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := open(path)
		return err == nil && reflect.DeepEqual(o.items, items[1:]) && o.newest == 101 && !o.broken && o.seq == 3
	}
	if !same(string(recorded)) {
		t.Error("the file of the last release does not mean what it did")
	}
	for _, field := range []string{"version", "item", "sent", "ended", "seq", "id", "kind", "at", "data", "after"} {
		if same(strings.ReplaceAll(string(recorded), `"`+field+`":`, `"former_`+field+`":`)) {
			t.Errorf("the file means the same without %s", field)
		}
	}
}

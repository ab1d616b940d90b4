package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"wavryhost/session/hoststate"
)

// ordersContract is a file of orders as the last release wrote it. A daemon must understand it after an upgrade.
const ordersContract = "../../testdata/contracts/state/orders.json"

// recordedOrders is what that file means.
func recordedOrders() hoststate.Orders {
	at := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	return hoststate.Orders{
		Cordon: &hoststate.CordonStatus{Owner: "ann", Note: "new fan", Begun: at, Until: at.Add(time.Hour)},
		Drain: &hoststate.DrainStatus{
			Policy: "move", Owner: "bob", Note: "update", Begun: at, Deadline: at.Add(time.Hour),
			Done:    at.Add(time.Minute),
			AtStart: 3, Left: 2, Asked: 1,
		},
	}
}

// TestOrdersContract reads the file of the last release, and compares it with what this daemon writes.
func TestOrdersContract(t *testing.T) {
	dir := t.TempDir()
	_, keep := ordersOf([]string{"STATE_DIRECTORY=" + dir}, nil)
	if err := keep(recordedOrders()); err != nil {
		t.Fatal(err)
	}
	now, err := os.ReadFile(filepath.Join(dir, ordersFile))
	if err != nil {
		t.Fatal(err)
	}
	if *accept {
		if err := os.WriteFile(ordersContract, now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(ordersContract)
	if err != nil || !bytes.Equal(recorded, now) {
		t.Errorf("%v; the daemon writes\n%s\nand the last release wrote\n%s\nThe last release must read what this one "+
			"writes: accept only additions, with -accept", err, now, recorded)
	}
	if got, err := readOrders(ordersContract); err != nil || !reflect.DeepEqual(got, recordedOrders()) {
		t.Errorf("the file of the last release means %+v, %v", got, err)
	}
	// A field with another name or type is noticed.
	for _, field := range []string{
		"cordon", "drain", "owner", "note", "begun", "until", "policy", "deadline",
		"sessions_left",
	} {
		path := filepath.Join(t.TempDir(), ordersFile)
		text := strings.Replace(string(recorded), `"`+field+`"`, `"former_`+field+`"`, 1)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readOrders(path); err == nil && reflect.DeepEqual(got, recordedOrders()) {
			t.Errorf("the file means the same without %s", field)
		}
	}
}

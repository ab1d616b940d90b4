package identity

import (
	"errors"
	"regexp"
	"testing"
)

func TestDerive(t *testing.T) {
	const machine = "4bb0f4a3f0a24f7bb1d3a1b1c4c1d2e3"
	id, err := derive(machine + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$`).MatchString(id) {
		t.Errorf("%s is no UUID of version 4", id)
	}
	if same, err := derive("4BB0F4A3-F0A2-4F7B-B1D3-A1B1C4C1D2E3"); err != nil || same != id {
		t.Errorf("the same id in other letters gives %s, %v; want %s", same, err, id)
	}
	if other, err := derive("5bb0f4a3f0a24f7bb1d3a1b1c4c1d2e3"); err != nil || other == id {
		t.Errorf("another machine gives %s, %v", other, err)
	}
	// What is known of one must not tell the other.
	if id == machine {
		t.Error("the system's own id is handed out")
	}
	for _, bad := range []string{"", "uninitialized\n", "4bb0", machine + "00", "not-hexadecimal-not-hexadecimal-"} {
		if id, err := derive(bad); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q gives %s, %v; want ErrUnknown", bad, id, err)
		}
	}
}

// TestMachine holds that the id lasts from one call to the next, where the system gives one.
func TestMachine(t *testing.T) {
	first, err := Machine()
	if errors.Is(err, ErrUnknown) {
		t.Skipf("not without an id of the machine: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if second, err := Machine(); err != nil || second != first {
		t.Errorf("first %s, then %s, %v", first, second, err)
	}
}

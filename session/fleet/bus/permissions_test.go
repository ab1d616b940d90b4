package bus_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"wavryhost/session/fleet/bus"
)

// docs/operate/fleet.md has every subject that hosts and clients need.
func TestPermissionsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operate/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	host, client := bus.HostPermissions("ID"), bus.ClientPermissions(bus.Caller{Role: "ROLE", Name: "NAME"})
	for _, subject := range slices.Concat(host.Publish, host.Subscribe, client.Publish, client.Subscribe) {
		if !strings.Contains(string(text), "`"+subject+"`") {
			t.Errorf("the document has no %s", subject)
		}
	}
	if host.Answers != 65 {
		t.Errorf("a host may send %d replies; the document says 65", host.Answers)
	}
}

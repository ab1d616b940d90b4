package bus_test

import (
	"testing"
	"time"

	"wavryhost/session/fleet/bus"
)

// A host leaves a server that is silent about when the others notice that the host is.
func TestSilentServerIsLeft(t *testing.T) {
	nc, err := bus.Config{URL: "nats://127.0.0.1:1", Insecure: true}.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	// One more than the pings that may be without an answer.
	if after := nc.Opts.PingInterval * time.Duration(nc.Opts.MaxPingsOut+1); after > bus.GoneAfter {
		t.Errorf("a silent server is left after %v; want %v", after, bus.GoneAfter)
	}
}

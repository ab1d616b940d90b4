package peer

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
)

// counted is a socket that counts what is sent by address.
type counted struct {
	net.PacketConn
	mu   sync.Mutex
	sent map[string]int
}

func (c *counted) WriteTo(b []byte, to net.Addr) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[to.String()]++
	return len(b), nil
}

func TestFirstChecksAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check, err := stun.Build(stun.TransactionID, stun.BindingSuccess)
		if err != nil {
			t.Fatal(err)
		}
		c := &counted{sent: make(map[string]int)}
		r := &repeatChecks{PacketConn: c}
		one, two := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 2}
		send := func(b []byte, to net.Addr) {
			t.Helper()
			if n, err := r.WriteTo(b, to); n != len(b) || err != nil {
				t.Fatal(n, err)
			}
			time.Sleep(time.Second)
		}
		for range 100 {
			send(check.Raw, one)
			send([]byte{22, 254, 253, 0}, two) // DTLS
		}
		send(check.Raw, two)
		c.mu.Lock()
		defer c.mu.Unlock()
		if got, want := c.sent[one.String()], 100+repeatedChecks*len(repeatAfter); got != want {
			t.Errorf("100 checks left %d times; want %d", got, want)
		}
		if got, want := c.sent[two.String()], 100+1+len(repeatAfter); got != want {
			t.Errorf("100 packets of DTLS and a check left %d times; want %d", got, want)
		}
	})
}

package peer

import (
	"net"
	"sync"
	"time"

	"github.com/pion/stun/v4"
)

// The first repeatedChecks ICE checks to an address are repeated after each of repeatAfter. Firefox sends its check
// only once after it has received one of ours, and gives up after 5 s if the response is lost. Without repetitions one
// of ten joins failed at 20 % loss in each direction.
const (
	repeatedChecks = 10
	keptAddresses  = 4096
)

var repeatAfter = []time.Duration{25 * time.Millisecond, 80 * time.Millisecond}

// repeatChecks is a socket that repeats the first STUN messages to each address. Receivers recognize copies by the
// transaction.
type repeatChecks struct {
	net.PacketConn

	mu   sync.Mutex
	sent map[string]int // by address
}

// WriteTo implements net.PacketConn.
func (r *repeatChecks) WriteTo(b []byte, to net.Addr) (int, error) {
	n, err := r.PacketConn.WriteTo(b, to)
	if err == nil && stun.IsMessage(b) && r.early(to.String()) {
		r.repeat(append([]byte(nil), b...), to)
	}
	return n, err
}

// early counts a message and reports whether it is among the first to its address.
func (r *repeatChecks) early(to string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent == nil || len(r.sent) >= keptAddresses {
		r.sent = make(map[string]int)
	}
	r.sent[to]++
	return r.sent[to] <= repeatedChecks
}

func (r *repeatChecks) repeat(b []byte, to net.Addr) {
	for _, after := range repeatAfter {
		// It fails if the socket has been closed, which does not matter.
		time.AfterFunc(after, func() { _, _ = r.PacketConn.WriteTo(b, to) })
	}
}

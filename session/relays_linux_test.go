package session

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"wavryhost/session/relay"
)

// blackHole returns an address whose connections never come about: nobody accepts, and the kernel drops what it has no
// room for.
func blackHole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 8 { // a backlog of 0 has room for one, and some kernels for more
		d := net.Dialer{Timeout: 100 * time.Millisecond}
		c, err := d.DialContext(t.Context(), "tcp4", at)
		if err != nil {
			return at
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the listener takes everybody")
	return ""
}

func TestRelayInABlackHoleHoldsNobody(t *testing.T) {
	at := blackHole(t)
	h := openHouse(t, func(c *Config) {
		c.GatherTimeout = 200 * time.Millisecond
		c.ICEServers = []relay.Server{{
			URLs:   []string{"turn:" + at + "?transport=tcp", "turns:" + at},
			Secret: "north", Lifetime: time.Hour,
		}}
	})
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 3)
	began := time.Now()
	if err := h.End(t.Context(), r.id, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > heldUp {
		t.Errorf("the end took %v", took)
	}
}

//go:build linux

package wlproto

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair returns a Conn, and the compositor's end of its connection.
func pair(t testing.TB) (*Conn, *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		nc, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = nc.(*net.UnixConn) //nolint:forcetypeassert // its family is unix
		t.Cleanup(func() { _ = nc.Close() })
	}
	return newConn(ends[0]), ends[1]
}

// wire returns a message as Send writes it.
func wire(object uint32, op uint16, args ...any) []byte {
	var c Conn
	c.Send(object, op, args...)
	return c.out
}

// However malformed the compositor's messages are, they end the connection with an error at most. Nothing grows
// without bound, and what was understood is returned as it was sent.
func FuzzEvents(f *testing.F) {
	name, version := uint32(1), uint32(4)
	global := wire(registryID, 0, name, "wl_output", version)
	f.Add(global)
	f.Add(append(global, wire(registryID, 1, name)...))
	f.Add(append(global, wire(3, 4, "DP-1")...))
	f.Add(append(global, wire(3, 0, int32(1), int32(2), int32(3), int32(4), int32(0), "make", "model", int32(7))...))
	f.Add(append(global, wire(3, 1, uint32(1), int32(-5), int32(1<<31-1), int32(60))...))
	f.Add(wire(displayID, displayError, uint32(1), uint32(2), "why"))
	f.Add(wire(displayID, displayDeleteID, uint32(3)))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 7, 0})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 16, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		c, far := pair(t)
		defer c.Close()
		if id := c.New(c.registryEvent); id != registryID {
			t.Fatalf("got registry %d", id)
		}
		o := &Outputs{conn: c, all: make(map[uint32]*Output)}
		c.OnGlobal = o.global
		if _, err := far.Write(b); err != nil {
			t.Fatal(err)
		}
		_ = far.CloseWrite()
		for {
			err := c.Wait(time.Now().Add(time.Minute))
			if _, lost := errors.AsType[LostError](err); lost {
				break
			}
			if err != nil {
				t.Fatalf("got %v", err)
			}
		}
		if len(c.globals) > maxObjects || c.Objects() > 2*maxObjects+2 {
			t.Errorf("%d globals and %d objects of %d bytes", len(c.globals), c.Objects(), len(b))
		}
		for _, out := range o.List() {
			if out.Scale < 0 || out.Transform > 7 || out.Name == "" {
				t.Errorf("got output %+v", out)
			}
		}
	})
}

// Arguments are read as they were written.
func FuzzArgs(f *testing.F) {
	f.Add(uint32(7), int32(-1), "", "DP-1")
	f.Add(uint32(1<<32-1), int32(1<<31-1), "abc", "äöü")
	f.Fuzz(func(t *testing.T, u uint32, i int32, s1, s2 string) {
		a := Args{b: wire(5, 6, u, s1, i, s2)[8:]}
		if len(s1)+len(s2) > maxMessage {
			return
		}
		if got := a.Uint(); got != u {
			t.Errorf("got %d; want %d", got, u)
		}
		if got := a.Text(); got != s1 {
			t.Errorf("got %q; want %q", got, s1)
		}
		if got := a.Int(); got != int(i) {
			t.Errorf("got %d; want %d", got, i)
		}
		if got := a.Text(); got != s2 || a.bad || len(a.b) != 0 {
			t.Errorf("got %q, %d bytes left; want %q", got, len(a.b), s2)
		}
	})
}

package peer

import (
	"bytes"
	"errors"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// estate is a media socket that two daemons use, and a viewer of each.
type estate struct {
	former *lent
	now    *heir
	over   atomic.Bool
	owned  sync.Map // user fragments of the new daemon's peers
	loan   Loan
	old    net.PacketConn // the viewer of the former daemon
	new    net.PacketConn
}

func udp(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newEstate(t *testing.T) *estate {
	t.Helper()
	shared := udp(t)
	e := &estate{former: &lent{PacketConn: shared}, old: udp(t), new: udp(t)}
	t.Cleanup(func() { _ = e.former.Close() })
	e.loan = Loan{Sockets: []LentSocket{{shared, e.former}}}
	file, err := shared.File()
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.FilePacketConn(file)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	h := &Heritage{Sockets: []net.PacketConn{other}, Dir: dir, Over: e.over.Load, Begin: func() {
		if err := e.loan.Divert(dir); err != nil {
			t.Error(err)
		}
	}}
	c := h.take(e.address(), func(ufrag string) bool { _, ok := e.owned.Load(ufrag); return ok })
	if h.take(e.address(), nil) != nil {
		t.Error("the socket is taken twice")
	}
	e.now = c.(*heir) //nolint:forcetypeassert // it is one
	t.Cleanup(func() { _ = e.now.Close() })
	return e
}

func (e *estate) address() netip.AddrPort {
	return e.former.LocalAddr().(*net.UDPAddr).AddrPort() //nolint:forcetypeassert // it is UDP
}

// send sends a packet of a viewer.
func (e *estate) send(t *testing.T, from net.PacketConn, packet []byte) {
	t.Helper()
	if _, err := from.WriteTo(packet, net.UDPAddrFromAddrPort(e.address())); err != nil {
		t.Fatal(err)
	}
}

// read returns the next packet of a daemon.
func read(t *testing.T, c net.PacketConn) (packet []byte, from string) {
	t.Helper()
	b := make([]byte, 2000)
	n, address, err := c.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n], address.String()
}

// check is an ICE check for a peer of a daemon.
func check(t *testing.T, ufrag string) []byte {
	t.Helper()
	m, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(ufrag+":viewer"), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// Each daemon gets the packets of its viewers, with the addresses that they came from.
func TestTwoDaemonsOnOneMediaPort(t *testing.T) {
	e := newEstate(t)
	e.owned.Store("new", true)
	media := []byte{0x80, 96, 0, 1}
	type arrival struct {
		packet []byte
		from   string
	}
	former := make(chan arrival, 10)
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		b := make([]byte, 2000)
		for {
			n, from, err := e.former.ReadFrom(b)
			if err != nil {
				return
			}
			former <- arrival{bytes.Clone(b[:n]), from.String()}
		}
	}()
	expect := func(who string, got arrival, packet []byte, from net.PacketConn) {
		t.Helper()
		if !bytes.Equal(got.packet, packet) || got.from != from.LocalAddr().String() {
			t.Errorf("%s got %x from %s; want %x from %s", who, got.packet, got.from, packet, from.LocalAddr())
		}
	}
	before := check(t, "old")
	e.send(t, e.old, before)
	expect("before the loan the former daemon", <-former, before, e.old)

	// The new daemon reads: what is not its own goes to the former one.
	e.now.heritage.begin()
	stranger := udp(t) // an unknown viewer is the former daemon's
	want := make(map[string]int)
	for _, p := range [][]byte{check(t, "old"), media, check(t, "old")} {
		e.send(t, e.old, p)
		want[e.old.LocalAddr().String()+string(p)]++
	}
	e.send(t, stranger, media)
	want[stranger.LocalAddr().String()+string(media)]++
	mine := check(t, "new")
	e.send(t, e.new, mine)
	e.send(t, e.new, media)
	packet, from := read(t, e.now)
	expect("the new daemon", arrival{packet, from}, mine, e.new)
	packet, from = read(t, e.now)
	expect("the new daemon", arrival{packet, from}, media, e.new)
	got := make(map[string]int)
	for range want {
		p := <-former
		got[p.from+string(p.packet)]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("the former daemon got %v; want %v", got, want)
	}

	// A viewer that the new daemon has sent a check to is its own.
	third := udp(t)
	if _, err := e.now.WriteTo(check(t, "viewer"), third.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	e.send(t, third, media)
	packet, from = read(t, e.now)
	expect("the new daemon", arrival{packet, from}, media, third)

	// The new daemon ends: the former one reads the socket again.
	e.loan.Return()
	e.send(t, e.old, media)
	expect("after the return the former daemon", <-former, media, e.old)
	if err := e.former.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-reading:
	case <-time.After(time.Minute):
		t.Error("the reader of a closed socket hangs")
	}
	// Alone, the new daemon takes all packets.
	e.over.Store(true)
	e.send(t, e.old, media)
	packet, from = read(t, e.now)
	expect("the new daemon, alone,", arrival{packet, from}, media, e.old)
}

// A closed socket wakes its reader, also while it is on loan.
func TestLentSocketThatIsClosed(t *testing.T) {
	for _, diverted := range []bool{false, true} {
		shared := udp(t)
		l := &lent{PacketConn: shared}
		loan := Loan{Sockets: []LentSocket{{shared, l}}}
		done := make(chan error, 1)
		go func() {
			_, _, err := l.ReadFrom(make([]byte, 100))
			done <- err
		}()
		if diverted {
			if err := loan.Divert(t.TempDir()); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Errorf("diverted %v: a closed socket has a packet", diverted)
		}
	}
}

// What cannot be diverted is not.
func TestLoanThatFails(t *testing.T) {
	shared := udp(t)
	l := &lent{PacketConn: shared}
	loan := Loan{Sockets: []LentSocket{{shared, l}}}
	if err := loan.Divert(t.TempDir() + "/missing"); err == nil {
		t.Error("a folder that does not exist will do")
	}
	viewer := udp(t)
	if _, err := viewer.WriteTo([]byte{1}, shared.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if packet, _ := read(t, l); len(packet) != 1 {
		t.Errorf("got %x", packet)
	}
	if err := loan.Retire(); err != nil {
		t.Error(err)
	}
}

func FuzzUnpack(f *testing.F) {
	whole, err := pack(nil, netip.MustParseAddrPort("[fe80::1%eth0]:5"), []byte("packet"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte{})
	f.Add([]byte{255, 1})
	f.Add(append([]byte{255}, make([]byte, 300)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		from, packet, ok := unpack(b)
		if !ok {
			return
		}
		again, err := pack(nil, from, packet)
		if err != nil {
			t.Fatal(err)
		}
		address, same, ok := unpack(again)
		if !ok || address != from || !bytes.Equal(same, packet) {
			t.Errorf("%v, %x became %v, %x", from, packet, address, same)
		}
	})
}

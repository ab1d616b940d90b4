package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/session/peer/peertest"
)

// placed is a socket that says to be at another address.
type placed struct {
	net.PacketConn
	at *net.UDPAddr
}

func (p placed) LocalAddr() net.Addr { return p.at }

// machine is what a mediaPort sees of one.
type machine struct {
	nics   []nic
	err    error
	taken  map[string]bool // addresses that cannot be listened at
	opened []string
}

func (m *machine) port(t *testing.T, cfg Config) *mediaPort {
	t.Helper()
	p, err := newMediaPort(Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p.cfg = cfg
	p.low, p.high = cfg.UDPPortMin, cfg.UDPPortMax
	p.nics = func() ([]nic, error) { return m.nics, m.err }
	p.listen = func(at netip.AddrPort) (net.PacketConn, error) {
		if m.taken[at.String()] || m.taken[at.Addr().String()] {
			return nil, errors.New("address already in use")
		}
		c, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		if at.Port() == 0 {
			at = netip.AddrPortFrom(at.Addr(), 4321)
		}
		m.opened = append(m.opened, at.String())
		return placed{c, net.UDPAddrFromAddrPort(at)}, nil
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// look returns the current addresses, whatever the age of the previous ones.
func look(p *mediaPort) []string {
	p.mu.Lock()
	p.read = time.Time{}
	p.mu.Unlock()
	var list []string
	for _, a := range p.GetListenAddresses() {
		list = append(list, a.String())
	}
	return list
}

func ips(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestMediaAddresses(t *testing.T) {
	lo := nic{name: "lo", up: true, loopback: true, ips: ips("127.0.0.1", "::1")}
	lo6 := nic{name: "lo", up: true, loopback: true, ips: ips("::1")}
	eth := nic{name: "eth0", up: true, ips: ips("192.0.2.1", "2001:db8::1", "fe80::1")}
	wlan := nic{name: "wlan0", up: true, ips: ips("198.51.100.1")}
	down := nic{name: "eth1", ips: ips("203.0.113.1")}
	cable := nic{name: "eth0", up: true, ips: ips("169.254.7.7", "fe80::1")}
	many := nic{name: "br", up: true}
	for i := range maxAddresses + 5 {
		many.ips = append(many.ips, netip.AddrFrom4([4]byte{10, 0, byte(i), 1}))
	}
	for _, c := range []struct {
		name string
		cfg  Config
		nics []nic
		want string
	}{
		{"all", Config{}, []nic{lo, eth, wlan, down}, "192.0.2.1 2001:db8::1 198.51.100.1"},
		{"no address yet", Config{}, []nic{lo, down}, ""},
		{"an interface", Config{Interfaces: []string{"wlan0"}}, []nic{lo, eth, wlan}, "198.51.100.1"},
		{"a network", Config{Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8::/64")}}, []nic{
			lo, eth,
			wlan,
		}, "2001:db8::1"},
		{"two machines on a cable", Config{}, []nic{lo, cable}, "169.254.7.7"},
		{"loopback", Config{Loopback: true}, []nic{lo, eth}, "127.0.0.1"},
		{"loopback of IPv6 alone", Config{Loopback: true}, []nic{lo6, eth}, "::1"},
		{"no loopback at all", Config{Loopback: true}, []nic{eth}, ""},
	} {
		got, _ := c.cfg.mediaAddresses(c.nics)
		if text := strings.Trim(fmt.Sprint(got), "[]"); text != c.want {
			t.Errorf("%s: got %q; want %q", c.name, text, c.want)
		}
	}
	if use, left := (&Config{}).mediaAddresses([]nic{many}); len(use) != maxAddresses || left != 5 {
		t.Errorf("of %d addresses %d are used, %d left", len(many.ips), len(use), left)
	}
}

// The port follows the addresses of the host. The socket of a lost address stays open while a session uses it.
func TestMediaPortFollowsAddresses(t *testing.T) {
	m := &machine{}
	p := m.port(t, Config{})
	if got := look(p); got != nil {
		t.Fatalf("without an address: %v", got)
	}
	m.nics = []nic{{name: "eth0", up: true, ips: ips("192.0.2.1")}}
	if got := look(p); !slices.Equal(got, []string{"192.0.2.1:4321"}) {
		t.Fatalf("an address has come, and there is %v", got)
	}
	conn, err := p.GetConn("first", p.GetListenAddresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m.nics[0].ips = ips("192.0.2.9", "2001:db8::1")
	if got := look(p); !slices.Equal(got, []string{"192.0.2.9:4321", "[2001:db8::1]:4321"}) {
		t.Fatalf("the address has changed, and there is %v; want the new ones at the same port", got)
	}
	if _, err := conn.WriteTo([]byte{1}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}); err != nil {
		t.Errorf("the session that used the old address: %v", err)
	}
	m.nics[0].ips = ips("192.0.2.1")
	look(p)
	if want := 3; len(m.opened) != want {
		t.Errorf("opened are %v; want %d, as the old address is back", m.opened, want)
	}
	p.RemoveConnByUfrag("first")
	m.nics[0].ips = nil
	if got := look(p); got != nil || len(p.sockets) != 0 {
		t.Errorf("without an address and a session %v and %d sockets are left", got, len(p.sockets))
	}
	// That the list cannot be read, as without descriptors, takes away nothing.
	m.nics[0].ips = ips("192.0.2.1")
	look(p)
	m.err = errors.New("too many open files")
	if got := look(p); !slices.Equal(got, []string{"192.0.2.1:4321"}) {
		t.Errorf("the addresses cannot be read, and there is %v", got)
	}
}

func TestMediaPortSaysWhatKeepsItFromListening(t *testing.T) {
	m := &machine{
		nics:  []nic{{name: "eth0", up: true, ips: ips("192.0.2.1", "198.51.100.1")}},
		taken: map[string]bool{"192.0.2.1": true},
	}
	p := m.port(t, Config{})
	if got := look(p); !slices.Equal(got, []string{"198.51.100.1:4321"}) {
		t.Errorf("one of two addresses can be used, and there is %v", got)
	}
	m.err = errors.New("too many open files")
	look(p)
	if why := p.why(); !strings.Contains(why, "too many open files") {
		t.Errorf("got %q; want the cause", why)
	}
}

func TestMediaPortOfARange(t *testing.T) {
	m := &machine{
		nics:  []nic{{name: "eth0", up: true, ips: ips("192.0.2.1", "198.51.100.1")}},
		taken: map[string]bool{"192.0.2.1:50000": true, "192.0.2.1:50001": true, "198.51.100.1:50002": true},
	}
	p := m.port(t, Config{UDPPortMin: 50000, UDPPortMax: 50003})
	if got := look(p); !slices.Equal(got, []string{"192.0.2.1:50002", "198.51.100.1:50000"}) {
		t.Errorf("got %v; want free ports of the range", got)
	}
}

// A host without an address for media refuses an offer in words instead of an answer that leads nowhere.
func TestNoAnswerWithoutDescriptors(t *testing.T) {
	h := openHost(t, nil)
	h.port.nics = func() ([]nic, error) { return nil, errors.New("too many open files") }
	v := peertest.New(t)
	defer v.Close()
	offer := v.Offer(false)
	_, _, err := h.answer(offer)
	if !errors.Is(err, ErrNoNetwork) || !strings.Contains(err.Error(), "too many open files") {
		t.Fatalf("got %v; want ErrNoNetwork with the cause", err)
	}
	h.port.nics = systemNICs
	h.port.read = time.Time{}
	_, answer := h.mustAnswer(t, offer)
	v.Accept(answer)
	v.Playing(t, 1)
}

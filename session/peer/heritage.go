package peer

import (
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/pion/stun/v4"
)

// Heritage has the media sockets of the daemon that this one takes over from; see Loan.
type Heritage struct {
	// Sockets are its UDP sockets, in the order of the loan.
	Sockets []net.PacketConn
	// Listener is that of MediaTCPPort; nil for none. Nothing is accepted before Alone is closed.
	Listener net.Listener
	Alone    <-chan struct{}
	// Dir is the folder with the Unix sockets for packets to the former daemon. Begin is called before the first packet is
	// read, and lets the former daemon open them. Over reports whether the former daemon has ended.
	Dir   string
	Begin func()
	Over  func() bool

	once sync.Once
}

// begin calls Begin before the first packet.
func (h *Heritage) begin() { h.once.Do(h.Begin) }

// take returns the socket at an address, and nil if there is none. owns reports whether a user fragment is of a peer of
// this daemon.
func (h *Heritage) take(at netip.AddrPort, owns func(ufrag string) bool) net.PacketConn {
	if h == nil {
		return nil
	}
	for i, c := range h.Sockets {
		if c == nil {
			continue // it is taken
		}
		if udp, ok := c.LocalAddr().(*net.UDPAddr); ok && udp.AddrPort() == at {
			h.Sockets[i] = nil
			return &heir{PacketConn: c, heritage: h, path: passedPath(h.Dir, i), owns: owns}
		}
	}
	return nil
}

// listener returns the listener for media on a port, and nil if there is none.
func (h *Heritage) listener(port uint16) net.Listener {
	if h == nil || h.Listener == nil {
		return nil
	}
	if at, ok := h.Listener.Addr().(*net.TCPAddr); !ok || at.Port != int(port) {
		return nil
	}
	return h.Listener
}

// heir is a UDP socket that the former daemon still writes to. Packets for its peers are passed on to it.
type heir struct {
	net.PacketConn
	heritage *Heritage
	path     string
	owns     func(ufrag string) bool
	former   net.Conn // nil before the first packet for it; only the reader uses it
	buffer   []byte   // only the reader uses it

	mu   sync.Mutex // guards mine
	mine map[netip.AddrPort]struct{}
}

// ReadFrom implements net.PacketConn. It has one caller at a time.
func (h *heir) ReadFrom(b []byte) (int, net.Addr, error) {
	h.heritage.begin()
	for {
		n, address, err := h.PacketConn.ReadFrom(b)
		udp, ok := address.(*net.UDPAddr)
		if err != nil || !ok || h.heritage.Over() || h.takes(b[:n], udp.AddrPort()) {
			return n, address, err
		}
		h.pass(b[:n], udp.AddrPort())
	}
}

// WriteTo implements net.PacketConn. The receiver of a STUN message of this daemon is a viewer of its peers.
func (h *heir) WriteTo(b []byte, to net.Addr) (int, error) {
	if udp, ok := to.(*net.UDPAddr); ok && stun.IsMessage(b) {
		h.learn(udp.AddrPort())
	}
	return h.PacketConn.WriteTo(b, to)
}

// takes reports whether a packet is for a peer of this daemon: its STUN request names the peer, or its sender has sent
// or got STUN messages here.
func (h *heir) takes(packet []byte, from netip.AddrPort) bool {
	if stun.IsMessage(packet) {
		if name := userOf(packet); name != "" {
			if h.owns(name) {
				h.learn(from)
				return true
			}
			return false
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.mine[from]
	return ok
}

// learn notes the address of a viewer of this daemon.
func (h *heir) learn(address netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mine == nil || len(h.mine) >= keptAddresses {
		h.mine = make(map[netip.AddrPort]struct{})
	}
	h.mine[address] = struct{}{}
}

// pass passes a packet on to the former daemon. What does not arrive is lost, as on a network.
func (h *heir) pass(packet []byte, from netip.AddrPort) {
	if h.former == nil {
		c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: h.path, Net: "unixgram"})
		if err != nil {
			return // it is about to end
		}
		h.former = c
	}
	if h.buffer == nil {
		h.buffer = make([]byte, 0, maxPassed)
	}
	if whole, err := pack(h.buffer, from, packet); err == nil {
		_, _ = h.former.Write(whole)
	}
}

// userOf returns the user fragment of this host that a STUN request names (RFC 8445 section 7.2.2); empty for none.
func userOf(packet []byte) string {
	m := &stun.Message{Raw: packet}
	if m.Decode() != nil {
		return ""
	}
	name, err := m.Get(stun.AttrUsername)
	if err != nil {
		return ""
	}
	own, _, _ := strings.Cut(string(name), ":")
	return own
}

// later is a listener that accepts nothing before a channel is closed.
type later struct {
	net.Listener
	begin  <-chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (l *later) Accept() (net.Conn, error) {
	select {
	case <-l.begin:
		return l.Listener.Accept()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *later) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

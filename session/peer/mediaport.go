package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
)

const (
	// maxAddressAge is the age at which the list of local addresses is read again. Many peers gather at once.
	maxAddressAge = 500 * time.Millisecond
	// socketBuffer holds 50 ms at 160 Mbit/s. All peers share the socket of an address.
	socketBuffer = 1 << 20
)

// mediaPort is the UDP port of all peers: one socket at each local address for media, so that a reply leaves from the
// address that received the request. The addresses are read again when a peer gathers candidates. A socket whose
// address is gone stays open while a peer uses it, since the address may come back.
type mediaPort struct {
	log       *slog.Logger
	cfg       Config
	nics      func() ([]nic, error)
	listen    func(netip.AddrPort) (net.PacketConn, error)
	low, high uint16 // the range of ports

	mu      sync.Mutex
	port    uint16 // 0 before the first socket is open
	sockets map[netip.Addr]*mediaSocket
	order   []netip.Addr          // the current addresses that have a socket
	read    time.Time             // when the addresses were read last
	refused map[netip.Addr]string // the logged error of each address that has no socket
	trouble error                 // the error of the last update, or nil
	left    int                   // addresses beyond maxAddresses
	closed  bool
}

var _ ice.UDPMux = (*mediaPort)(nil)

// mediaSocket is the socket of one address. Users are the user fragments of its peers.
type mediaSocket struct {
	mux   *ice.UDPMuxDefault
	lent  *lent
	users map[string]struct{}
}

// newMediaPort returns the port. A configured port is opened at once, at the current addresses, and it is an error if
// it is taken. A port of a range is opened when the first peer gathers candidates.
func newMediaPort(cfg Config, log *slog.Logger) (*mediaPort, error) {
	p := &mediaPort{
		log: log, cfg: cfg, nics: systemNICs, listen: listenMedia,
		low: cfg.UDPPortMin, high: cfg.UDPPortMax,
		sockets: make(map[netip.Addr]*mediaSocket), refused: make(map[netip.Addr]string),
	}
	if cfg.MediaPort == 0 {
		return p, nil
	}
	p.low, p.high = cfg.MediaPort, cfg.MediaPort
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.update(time.Now()); err != nil {
		_ = p.closeAll()
		return nil, err
	}
	return p, nil
}

func listenMedia(at netip.AddrPort) (net.PacketConn, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	raw, err := c.SyscallConn()
	if err == nil {
		var refused error
		err = errors.Join(raw.Control(func(fd uintptr) { refused = noBroadcast(fd) }), refused)
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("refuse broadcasts: %w", err)
	}
	// The system may limit the size.
	_, _ = c.SetReadBuffer(socketBuffer), c.SetWriteBuffer(socketBuffer)
	return c, nil
}

// update reads the addresses and opens and closes sockets accordingly. It returns an error if a port is taken at an
// address. If the addresses cannot be read, the previous ones stay. The caller holds mu.
func (p *mediaPort) update(now time.Time) error {
	nics, err := p.nics()
	if err != nil {
		return fmt.Errorf("peer: list the addresses of this host: %w", err)
	}
	p.read = now
	current, left := p.cfg.mediaAddresses(nics)
	if left > 0 && left != p.left {
		p.log.Warn("too many addresses for media; choose with media.interfaces or media.local_networks",
			"used", len(current), "left", left)
	}
	p.left = left
	before := p.order
	p.order = nil
	var errs []error
	for _, a := range current {
		if p.sockets[a] == nil {
			if err := p.open(a); err != nil {
				if p.refused[a] != err.Error() {
					p.refused[a] = err.Error()
					p.log.Warn("cannot use an address for media", "address", a, "err", err)
				}
				errs = append(errs, err)
				continue
			}
			delete(p.refused, a)
		}
		p.order = append(p.order, a)
	}
	for a, s := range p.sockets {
		if len(s.users) == 0 && !slices.Contains(current, a) {
			_ = s.mux.Close()
			delete(p.sockets, a)
		}
	}
	for a := range p.refused {
		if !slices.Contains(current, a) {
			delete(p.refused, a)
		}
	}
	if !slices.Equal(before, p.order) {
		p.log.Info("media addresses", "addresses", p.order, "port", p.port)
	}
	return errors.Join(errs...)
}

// open opens the socket of an address, with the port of the other sockets if it is free. The caller holds mu.
func (p *mediaPort) open(a netip.Addr) error {
	try := func(port uint16) error {
		at := netip.AddrPortFrom(a, port)
		c := p.cfg.Heritage.take(at, p.owns)
		if c == nil {
			var err error
			if c, err = p.listen(at); err != nil {
				return err
			}
		}
		p.port = uint16(c.LocalAddr().(*net.UDPAddr).Port) //nolint:forcetypeassert // it listens on UDP
		shared := &lent{PacketConn: c}
		mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{
			UDPConn: &repeatChecks{PacketConn: shared}, Logger: NewLoggerFactory(p.log).NewLogger("mux"),
		})
		p.sockets[a] = &mediaSocket{mux: mux, lent: shared, users: make(map[string]struct{})}
		return nil
	}
	err := try(max(p.port, p.low))
	if p.low != p.high { // another port of the range
		for port := int(p.low); err != nil && port <= int(p.high); port++ {
			err = try(uint16(port))
		}
	} else if err != nil && p.low == 0 {
		err = try(0)
	}
	if err != nil {
		return fmt.Errorf("peer: listen on UDP port %d of %v for media: %w", max(p.port, p.low), a, err)
	}
	return nil
}

// GetListenAddresses returns the current addresses.
func (p *mediaPort) GetListenAddresses() []net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); !p.closed && now.Sub(p.read) >= maxAddressAge {
		p.trouble = p.update(now)
		if p.trouble != nil {
			p.log.Debug("addresses not updated", "err", p.trouble)
		}
	}
	list := make([]net.Addr, 0, len(p.order))
	for _, a := range p.order {
		list = append(list, p.sockets[a].mux.LocalAddr())
	}
	return list
}

// why returns why this host cannot use its addresses, or an empty string.
func (p *mediaPort) why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trouble == nil {
		return ""
	}
	return strings.TrimPrefix(p.trouble.Error(), "peer: ")
}

// GetConn returns a peer's share of the socket at an address.
func (p *mediaPort) GetConn(ufrag string, at net.Addr) (net.PacketConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	udp, ok := at.(*net.UDPAddr)
	if !ok {
		return nil, fmt.Errorf("peer: %v is not a UDP address", at)
	}
	s := p.sockets[udp.AddrPort().Addr().Unmap()]
	if s == nil || p.closed {
		return nil, fmt.Errorf("peer: no socket at %v: %w", at, net.ErrClosed)
	}
	c, err := s.mux.GetConn(ufrag, s.mux.LocalAddr())
	if err != nil {
		return nil, err
	}
	s.users[ufrag] = struct{}{}
	return c, nil
}

// owns reports whether a user fragment is of a peer of this port.
func (p *mediaPort) owns(ufrag string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sockets {
		if _, ok := s.users[ufrag]; ok {
			return true
		}
	}
	return false
}

// RemoveConnByUfrag ends a peer's use of the port.
func (p *mediaPort) RemoveConnByUfrag(ufrag string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sockets {
		if _, ok := s.users[ufrag]; ok {
			delete(s.users, ufrag)
			s.mux.RemoveConnByUfrag(ufrag)
		}
	}
}

// Close closes all sockets.
func (p *mediaPort) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.closeAll()
}

func (p *mediaPort) closeAll() error {
	var errs []error
	for a, s := range p.sockets {
		errs = append(errs, s.mux.Close())
		delete(p.sockets, a)
	}
	p.order = nil
	return errors.Join(errs...)
}

package session

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
	// followAddresses is how old the list of local addresses may be when a session gathers candidates. Many come at once.
	followAddresses = 500 * time.Millisecond
	// socketBuffer holds 50 ms at 160 Mbit/s: all sessions share the socket of an address.
	socketBuffer = 1 << 20
)

// mediaPort is the UDP port of all sessions: one socket at each local address that media uses, so that an answer leaves from
// the address that was asked. The addresses are read again when a session gathers candidates, at its start or by an ICE
// restart. A socket whose address is gone stays as long as a session uses it, as the address may come back.
type mediaPort struct {
	log       *slog.Logger
	cfg       Config
	nics      func() ([]nic, error)
	listen    func(netip.AddrPort) (net.PacketConn, error)
	low, high uint16 // the ports to choose from

	mu      sync.Mutex
	port    uint16 // 0 before the first socket is open
	sockets map[netip.Addr]*mediaSocket
	order   []netip.Addr // the addresses that are there and have a socket
	read    time.Time
	refused map[netip.Addr]string // why a socket could not be opened, as logged
	trouble error                 // why the newest look found no address, nil where it found one
	left    int
	closed  bool
}

var _ ice.UDPMux = (*mediaPort)(nil)

// mediaSocket is the socket of one address, with the sessions that use it by their user fragments.
type mediaSocket struct {
	mux   *ice.UDPMuxDefault
	users map[string]struct{}
}

// newMediaPort returns the port. One that is configured is opened at once, at the addresses of the moment, of which there may be
// none yet, and is an error where it is taken; another when the first session gathers candidates.
func newMediaPort(cfg Config, log *slog.Logger) (*mediaPort, error) {
	p := &mediaPort{
		log: log, cfg: cfg, nics: systemNICs, listen: listenMedia, low: cfg.UDPPortMin, high: cfg.UDPPortMax,
		sockets: make(map[netip.Addr]*mediaSocket), refused: make(map[netip.Addr]string),
	}
	if cfg.MediaPort == 0 {
		return p, nil
	}
	p.low, p.high = cfg.MediaPort, cfg.MediaPort
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.follow(time.Now()); err != nil {
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
	// The system may allow less.
	_, _ = c.SetReadBuffer(socketBuffer), c.SetWriteBuffer(socketBuffer)
	return c, nil
}

// follow reads the addresses and opens and closes sockets accordingly. It returns an error when a port is taken at an address.
// When the addresses cannot be read, those from before stay. The caller holds mu.
func (p *mediaPort) follow(now time.Time) error {
	nics, err := p.nics()
	if err != nil {
		return fmt.Errorf("session: list the addresses of this host: %w", err)
	}
	p.read = now
	there, left := p.cfg.mediaAddresses(nics)
	if left > 0 && left != p.left {
		p.log.Warn("this host has more addresses than media uses: choose by interfaces or media_addresses", "used", len(there), "left", left)
	}
	p.left = left
	before := p.order
	p.order = nil
	var errs []error
	for _, a := range there {
		if p.sockets[a] == nil {
			if err := p.open(a); err != nil {
				if p.refused[a] != err.Error() {
					p.refused[a] = err.Error()
					p.log.Warn("media cannot use an address of this host", "address", a, "err", err)
				}
				errs = append(errs, err)
				continue
			}
			delete(p.refused, a)
		}
		p.order = append(p.order, a)
	}
	for a, s := range p.sockets {
		if len(s.users) == 0 && !slices.Contains(there, a) {
			_ = s.mux.Close()
			delete(p.sockets, a)
		}
	}
	for a := range p.refused {
		if !slices.Contains(there, a) {
			delete(p.refused, a)
		}
	}
	if !slices.Equal(before, p.order) {
		p.log.Info("media addresses", "addresses", p.order, "port", p.port)
	}
	return errors.Join(errs...)
}

// open opens the socket of an address. All have the same port where that is free. The caller holds mu.
func (p *mediaPort) open(a netip.Addr) error {
	try := func(port uint16) error {
		c, err := p.listen(netip.AddrPortFrom(a, port))
		if err != nil {
			return err
		}
		p.port = uint16(c.LocalAddr().(*net.UDPAddr).Port) //nolint:forcetypeassert // it listens on UDP
		p.sockets[a] = &mediaSocket{
			mux: ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: &repeatChecks{PacketConn: c}, Logger: pionLog{p.log}.NewLogger("mux")}), users: make(map[string]struct{}),
		}
		return nil
	}
	err := try(max(p.port, p.low))
	if p.low != p.high { // another of the range will do, too
		for port := int(p.low); err != nil && port <= int(p.high); port++ {
			err = try(uint16(port))
		}
	} else if err != nil && p.low == 0 {
		err = try(0)
	}
	if err != nil {
		return fmt.Errorf("session: listen on UDP port %d of %v for media: %w", max(p.port, p.low), a, err)
	}
	return nil
}

// GetListenAddresses returns the addresses of the moment.
func (p *mediaPort) GetListenAddresses() []net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); !p.closed && now.Sub(p.read) >= followAddresses {
		p.trouble = p.follow(now)
		if p.trouble != nil {
			p.log.Debug("addresses not followed", "err", p.trouble)
		}
	}
	list := make([]net.Addr, 0, len(p.order))
	for _, a := range p.order {
		list = append(list, p.sockets[a].mux.LocalAddr())
	}
	return list
}

// why returns what keeps this host from using its addresses, or nothing.
func (p *mediaPort) why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trouble == nil {
		return ""
	}
	return strings.TrimPrefix(p.trouble.Error(), "session: ")
}

// GetConn returns a session's share of the socket at an address.
func (p *mediaPort) GetConn(ufrag string, at net.Addr) (net.PacketConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	udp, ok := at.(*net.UDPAddr)
	if !ok {
		return nil, fmt.Errorf("session: %v is no UDP address", at)
	}
	s := p.sockets[udp.AddrPort().Addr().Unmap()]
	if s == nil || p.closed {
		return nil, fmt.Errorf("session: no socket at %v: %w", at, net.ErrClosed)
	}
	c, err := s.mux.GetConn(ufrag, s.mux.LocalAddr())
	if err != nil {
		return nil, err
	}
	s.users[ufrag] = struct{}{}
	return c, nil
}

// RemoveConnByUfrag ends a session's use of the port.
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

// Close ends all that is open.
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

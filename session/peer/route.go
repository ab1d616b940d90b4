package peer

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"

	"wavryhost/session/relay"
)

// The paths of a Route.
const (
	PathDirect = "direct"
	PathRelay  = "relay"
)

// The protocols of a Route.
const (
	ProtocolUDP = "udp"
	ProtocolTCP = "tcp"
)

// Paths returns the paths of routes.
func Paths() []string { return []string{PathDirect, PathRelay} }

// Protocols returns the protocols of routes.
func Protocols() []string { return []string{ProtocolUDP, ProtocolTCP} }

// Route is the route of media. It is empty while no candidate pair is selected.
type Route struct {
	// Path says whether media passes a relay.
	Path string
	// Protocol is the protocol between this host and the viewer, or between this host and its relay.
	Protocol string
	// Guessed: the viewer has not sent its address as a candidate, so the address may belong to its relay.
	Guessed bool
}

// String returns the route's name in events.
func (r Route) String() string { return r.Path + "/" + r.Protocol }

// selectedPair returns the selected candidate pair, or nil.
func (p *Peer) selectedPair() *webrtc.ICECandidatePair {
	t := p.rtp.Transport()
	if t == nil {
		return nil
	}
	pair, err := t.ICETransport().GetSelectedCandidatePair()
	if err != nil {
		return nil
	}
	return pair
}

// Route returns the route of the selected candidate pair.
func (p *Peer) Route() Route {
	pair := p.selectedPair()
	if pair == nil {
		return Route{}
	}
	r := Route{Path: PathDirect, Protocol: pair.Local.Protocol.String()}
	switch {
	case pair.Local.Typ == webrtc.ICECandidateTypeRelay:
		r.Path, r.Protocol = PathRelay, p.relayed.of(p.pc, *pair.Local)
	case pair.Remote.Typ == webrtc.ICECandidateTypeRelay:
		r.Path = PathRelay
	default:
		r.Guessed = pair.Remote.Typ == webrtc.ICECandidateTypePrflx
	}
	return r
}

// relayProtocol caches the protocol between this host and the relay of a candidate, since pion's statistics are
// costly.
type relayProtocol struct {
	address  string
	port     uint16
	protocol string
}

func (r *relayProtocol) of(pc *webrtc.PeerConnection, c webrtc.ICECandidate) string {
	if r.protocol != "" && r.address == c.Address && r.port == c.Port {
		return r.protocol
	}
	*r = relayProtocol{c.Address, c.Port, ProtocolUDP}
	for _, s := range pc.GetStats() {
		one, ok := s.(webrtc.ICECandidateStats)
		if !ok || one.Type != webrtc.StatsTypeLocalCandidate || one.IP != c.Address || one.Port != int32(c.Port) {
			continue
		}
		if one.RelayProtocol == "tcp" || one.RelayProtocol == "tls" {
			r.protocol = ProtocolTCP
		}
	}
	return r.protocol
}

// RoundTrip returns the newest round trip of ICE on the path of media, if there is a new one since the last call and
// the viewer does not report on single packets.
func (p *Peer) RoundTrip() (rtt time.Duration, ok bool) {
	t := p.rtp.Transport()
	if p.payloads[0].ReportsPackets() || t == nil {
		return 0, false
	}
	s, _ := t.ICETransport().GetSelectedCandidatePairStats()
	if s.TotalRoundTripTime == p.echoed {
		return 0, false
	}
	p.echoed = s.TotalRoundTripTime
	return time.Duration(s.CurrentRoundTripTime * float64(time.Second)), true
}

// Local reports whether the selected path ends on this machine or in one of its networks.
func (p *Peer) Local() bool {
	pair := p.selectedPair()
	if pair == nil {
		return false
	}
	p.mu.Lock()
	relays := relay.Any(p.servers)
	p.mu.Unlock()
	return localPath(*pair, relays || p.theirs.count().relays > 0, p.localPrefixes)
}

// localPath reports whether a pair ends on this machine or in a network of prefixes. If there are relays, an address
// that the viewer has not sent may belong to one in the local network.
func localPath(pair webrtc.ICECandidatePair, relays bool, prefixes func() ([]netip.Prefix, error)) bool {
	const relayed = webrtc.ICECandidateTypeRelay
	if pair.Local.Typ == relayed || pair.Remote.Typ == relayed {
		return false
	}
	if strings.HasSuffix(pair.Remote.Address, ".local") {
		return true // mDNS resolves names of the local network only
	}
	at, err := netip.ParseAddr(pair.Remote.Address)
	if err != nil {
		return false
	}
	at = at.Unmap().WithZone("")
	if at.IsLoopback() {
		return true
	}
	if pair.Remote.Typ == webrtc.ICECandidateTypePrflx && relays {
		return false
	}
	own, err := prefixes()
	return err == nil && slices.ContainsFunc(own, func(n netip.Prefix) bool { return n.Contains(at) })
}

// The smallest prefixes of a local network. Larger networks belong to companies and providers, and are routed.
const (
	localBits4 = 16
	localBits6 = 64
)

// interfaces is the part of transport.Net that lists the network interfaces.
type interfaces interface {
	Interfaces() ([]*transport.Interface, error)
}

// localPrefixes returns the networks of this machine without tunnels.
func localPrefixes(n interfaces) ([]netip.Prefix, error) {
	list, err := n.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var all []netip.Prefix
	for _, i := range list {
		if i.Flags&net.FlagPointToPoint != 0 || i.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // the interface is gone
		}
		for _, a := range addresses {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			least := localBits6
			if p.Addr().Unmap().Is4() {
				least = localBits4
			}
			if p.Bits() >= least {
				all = append(all, p.Masked())
			}
		}
	}
	return all, nil
}

package peer

import (
	"net/netip"
	"time"

	"github.com/pion/transport/v5"
)

// Config says how peers use the network.
type Config struct {
	// MediaPort is the UDP port of all peers. If it is 0, a port from UDPPortMin to UDPPortMax is used, or any port if
	// those are 0, too.
	MediaPort, UDPPortMin, UDPPortMax uint16
	// MediaTCPPort is the TCP port of all peers (RFC 6544), or 0 for none. MediaTCPConnections bounds its connections.
	MediaTCPPort        uint16
	MediaTCPConnections int
	// Interfaces names the network interfaces for media. Empty means all.
	Interfaces []string
	// Addresses are the networks whose local addresses are used for media. Empty means all.
	Addresses []netip.Prefix
	// ViewerNetworks are the networks of viewers and their relays. Empty means all. Addresses of no viewer (loopback
	// unless Loopback is set, link-local, multicast, unspecified, reserved) are always refused.
	ViewerNetworks []netip.Prefix
	// Loopback keeps all media on the loopback address: 127.0.0.1, or ::1 on a host without it.
	Loopback bool
	// NAT1To1 are the public addresses of a one-to-one NAT, which replace the local ones in answers.
	NAT1To1 []string
	// MaxMessage is the size of the longest message on a data channel, in bytes.
	MaxMessage int
	// OnCut is called for each TCP connection that is cut, with one of CutReasons. It may be nil.
	OnCut func(reason string)
	// Heritage has the media sockets of the daemon that this one takes over from; nil without one.
	Heritage *Heritage
	// Net replaces the network of this machine, for tests. No media port is opened then. It is called for each peer.
	Net func(limit time.Duration) (transport.Net, error)
}

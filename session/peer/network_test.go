package peer

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	"wavryhost/session/peer/peertest"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// freePort returns a free port. It is below the ephemeral ports of all systems (from 32768 on Linux, from 49152
// elsewhere), which other programs and tests may get meanwhile.
func freePort(t *testing.T, network string) uint16 {
	t.Helper()
	var err error
	for range 100 {
		port := uint16(20_000 + rand.IntN(10_000))
		at := fmt.Sprintf("127.0.0.1:%d", port)
		var c io.Closer
		if network == "udp" {
			c, err = (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", at)
		} else {
			c, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp4", at)
		}
		if err == nil {
			c.Close()
			return port
		}
	}
	t.Fatal(err)
	return 0
}

func TestPeersShareOneUDPPort(t *testing.T) {
	port := freePort(t, "udp")
	h := openHost(t, func(c *Config) { c.MediaPort = port })
	var viewers []*peertest.Viewer
	var peers []*connection
	for range 5 {
		v := peertest.New(t)
		defer v.Close()
		c, answer, err := h.answer(v.Offer(false))
		if err != nil {
			t.Fatal(err)
		}
		v.Accept(answer)
		viewers, peers = append(viewers, v), append(peers, c)
	}
	for _, v := range viewers {
		v.Playing(t, 10)
		pair, err := v.PC.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
		if err != nil || pair == nil || pair.Remote.Port != port {
			t.Errorf("the viewer talks to %v, %v; want port %d", pair, err, port)
		}
	}
	peers[0].close() // the others keep the port
	viewers[1].Playing(t, 10)
	for _, c := range peers[1:] {
		c.close()
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	isFree(t, port)
}

func TestViewerBehindAFirewallComesInByTCP(t *testing.T) {
	port := freePort(t, "tcp")
	h := openHost(t, func(c *Config) { c.MediaTCPPort = port })
	se := webrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	se.SetIPFilter(func(ip net.IP) bool { return ip.Equal(net.IPv4(127, 0, 0, 1)) })
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	v := peertest.NewWith(t, peertest.API(t, se), webrtc.Configuration{}, "video", "audio")
	defer v.Close()
	c := h.connect(t, v)
	v.Playing(t, 10)
	if r := c.Route(); r.Path != PathDirect || r.Protocol != ProtocolTCP {
		t.Errorf("route %+v; want direct over TCP", r)
	}
	udp := peertest.New(t) // others still use UDP
	defer udp.Close()
	h.connect(t, udp)
	udp.Playing(t, 10)
}

func TestPortsThatAreTaken(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := freePort(t, "udp")
	cfg := Config{Loopback: true, MediaPort: port, MediaTCPPort: uint16(l.Addr().(*net.TCPAddr).Port)}
	_, err = NewNetwork(cfg, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "TCP port") {
		t.Errorf("got %v; want the port by name", err)
	}
	isFree(t, port)
}

func TestAddressesChooseWhatIsAnnounced(t *testing.T) {
	c := Config{Addresses: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("2001:db8::/32"),
	}}
	keep := c.addressFilter()
	for text, want := range map[string]bool{
		"192.0.2.7": true, "192.0.3.7": false, "2001:db8::1": true,
		"::1": false, "::ffff:192.0.2.9": true,
	} {
		if got := keep(net.ParseIP(text)); got != want {
			t.Errorf("%s: %v; want %v", text, got, want)
		}
	}
	if (&Config{}).addressFilter() != nil {
		t.Error("without networks some addresses are left out")
	}
	c.Loopback = true
	if keep := c.addressFilter(); keep(net.ParseIP("192.0.2.7")) || !keep(net.IPv4(127, 0, 0, 1)) {
		t.Error("loopback does not go before")
	}
}

package session

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/session/admission"
)

// freePort returns a port that nobody has. It is below those that systems hand out by themselves (from 32768 on under Linux, from 49152 on elsewhere), of which another
// program, or another package's tests, could be given the same one before it is used here, or between that and the look whether it is free again.
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

func TestSessionsShareOneUDPPort(t *testing.T) {
	port := freePort(t, "udp")
	h := openHouse(t, func(c *Config) { c.MediaPort = port })
	h.alive(t)
	var all []*remote
	for range 5 {
		r := newRemote(t)
		defer r.close()
		r.watch(h)
		all = append(all, r)
	}
	for _, r := range all {
		r.playing(t, 10)
		pair, err := r.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
		if err != nil || pair == nil || pair.Remote.Port != port {
			t.Errorf("the viewer talks to %v, %v; want port %d", pair, err, port)
		}
	}
	// One that leaves takes the port from nobody.
	if err := h.End(t.Context(), all[0].id, EndOperator); err != nil {
		t.Fatal(err)
	}
	all[1].playing(t, 10)
	h.close(t)
	c, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", (&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}).String())
	if err != nil {
		t.Fatalf("the port is still held after the end: %v", err)
	}
	c.Close()
}

func TestViewerBehindAFirewallComesInByTCP(t *testing.T) {
	port := freePort(t, "tcp")
	h := openHouse(t, func(c *Config) { c.MediaTCPPort = port })
	defer h.close(t)
	h.alive(t)
	se := webrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	se.SetIPFilter(func(ip net.IP) bool { return ip.Equal(net.IPv4(127, 0, 0, 1)) })
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	r := remoteOf(t, webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(se)))
	defer r.close()
	r.watch(h)
	r.playing(t, 10)
	if s, err := h.Session(r.id); err != nil || s.Path != pathDirect || s.Protocol != protocolTCP {
		t.Errorf("path %q over %q, %v; want direct over tcp", s.Path, s.Protocol, err)
	}
	udp := newRemote(t) // others still come by UDP
	defer udp.close()
	udp.watch(h)
	udp.playing(t, 10)
}

func TestPortsThatAreTaken(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := freePort(t, "udp")
	cfg := Config{Loopback: true, MediaPort: port, MediaTCPPort: uint16(l.Addr().(*net.TCPAddr).Port)}
	if _, _, err := multiplex(&webrtc.SettingEngine{}, cfg, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry())); err == nil || !strings.Contains(err.Error(), "TCP port") {
		t.Errorf("got %v; want the port by name", err)
	}
	c, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", (&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}).String())
	if err != nil {
		t.Fatalf("the other port is held after the failure: %v", err)
	}
	c.Close()
}

func TestHandshakesAreLimited(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.MaxHandshakes, c.MaxSessions = 3, 100 })
	defer h.close(t)
	h.alive(t)
	var all []*remote
	for range 4 {
		r := newRemote(t)
		defer r.close()
		all = append(all, r)
	}
	var answers []Answer
	for _, r := range all[:3] {
		a, err := h.Create(t.Context(), Offer{Display: "default", SDP: r.offer(false)})
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	offer := Offer{Display: "default", SDP: all[3].offer(false)}
	_, err := h.Create(t.Context(), offer)
	refusal, ok := errors.AsType[*RefusalError](err)
	if !ok || refusal.Resource != string(admission.Handshakes) || refusal.RetryAfter < time.Second || refusal.RetryAfter > 3*time.Second {
		t.Fatalf("got %v; want a refusal for now", err)
	}
	if _, err := h.Reserve(t.Context(), admission.ReservationRequest{Display: "default"}); err != nil {
		t.Errorf("a place for later: %v", err)
	}
	all[0].accept(answers[0])
	all[0].playing(t, 1)
	a, err := h.Create(t.Context(), offer)
	if err != nil {
		t.Fatalf("after one has connected: %v", err)
	}
	all[3].accept(a)
	all[3].playing(t, 3)
}

func TestAddressesChooseWhatIsAnnounced(t *testing.T) {
	c := Config{Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}}
	keep := c.keeps()
	for text, want := range map[string]bool{"192.0.2.7": true, "192.0.3.7": false, "2001:db8::1": true, "::1": false, "::ffff:192.0.2.9": true} {
		if got := keep(net.ParseIP(text)); got != want {
			t.Errorf("%s: %v; want %v", text, got, want)
		}
	}
	if (Config{}).keeps() != nil {
		t.Error("without networks some addresses are left out")
	}
	c.Loopback = true
	if keep := c.keeps(); keep(net.ParseIP("192.0.2.7")) || !keep(net.IPv4(127, 0, 0, 1)) {
		t.Error("loopback does not go before")
	}
}

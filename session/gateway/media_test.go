package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/capture"
	"wavryhost/capture/synthetic"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/session"
	"wavryhost/session/gateway/gatewaytest"
)

// openManager runs a session manager with a synthetic display and a fake encoder.
func openManager(t *testing.T) *session.Manager {
	t.Helper()
	display := session.Display{
		ID: "synthetic", Backend: "synthetic", Width: 320, Height: 240,
		Open: func(context.Context, capture.Demand) (capture.Source, error) {
			return synthetic.New(synthetic.Config{Width: 320, Height: 240, FPS: 30})
		},
	}
	m, err := session.NewManager(session.Config{
		Displays: func(context.Context) []session.Display { return []session.Display{display} },
		Encoders: []encode.Factory{encodetest.New(encodetest.Config{})}, Loopback: true, Linger: time.Millisecond,
		ConnectTimeout: patience, ShutdownTimeout: patience,
	}, slog.New(slog.DiscardHandler), session.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m
}

// receiver is a viewer's end of the media: a peer connection of pion's own making.
type receiver struct {
	pc      *webrtc.PeerConnection
	packets atomic.Int64
	read    chan struct{} // closed when no more packets come
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	se := webrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	se.SetIPFilter(func(ip net.IP) bool { return ip.Equal(net.IPv4(127, 0, 0, 1)) })
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(media),
		webrtc.WithSettingEngine(se)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{pc: pc, read: make(chan struct{})}
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{
		Direction: webrtc.RTPTransceiverDirectionRecvonly,
	}); err != nil {
		t.Fatal(err)
	}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		defer close(r.read)
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			r.packets.Add(1)
		}
	})
	t.Cleanup(func() {
		if err := pc.GracefulClose(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// connect sets a session up through the gateway: the offer without candidates, the answer, and then the candidates, in
// the form of browsers and in that of native clients by turns.
func (r *receiver) connect(t *testing.T, v *viewer, d Dialect, host string) {
	t.Helper()
	var candidates []string
	gathered := make(chan struct{})
	r.pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c == nil {
			close(gathered)
			return
		}
		init := c.ToJSON()
		text := init.Candidate
		if len(candidates)%2 == 0 {
			b, err := json.Marshal(init)
			if err != nil {
				t.Error(err)
			}
			text = string(b)
		}
		candidates = append(candidates, text)
	})
	offer, err := r.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(offer.SDP, "a=candidate") {
		t.Fatal("the offer has candidates already")
	}
	v.send(d, Message{Kind: KindOffer, Peer: host, SDP: offer.SDP})
	if err := r.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	for _, c := range slices.Clone(candidates) {
		v.send(d, Message{Kind: KindCandidate, Peer: host, Candidate: c})
	}
	m := v.next(d)
	if m.Kind != KindAnswer || m.Peer != host {
		t.Fatalf("got %+v; want the host's answer", m)
	}
	if err := r.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: m.SDP}); err != nil {
		t.Fatal(err)
	}
}

func (r *receiver) playing(t *testing.T, n int64) {
	t.Helper()
	before := r.packets.Load()
	soon(t, "packets arrive", func() bool { return r.packets.Load() >= before+n })
}

func serve(t *testing.T, g *gatewaytest.Gateway) (url string) {
	t.Helper()
	server := httptest.NewServer(g)
	t.Cleanup(func() { g.Close(); server.Close() })
	return "ws" + strings.TrimPrefix(server.URL, "http") + "/ws"
}

func TestASessionThroughTheGateway(t *testing.T) {
	for _, d := range Dialects() {
		t.Run(d.Traits().Name, func(t *testing.T) {
			g := gatewaytest.New(gatewaytest.Config{Master: !d.Traits().Login})
			token, host := g.Token("host"), "host"
			if d.Traits().NameOf != nil {
				host = d.Traits().NameOf(token)
			}
			url, m := serve(t, g), openManager(t)
			link := run(t, Config{
				URL: url, Dialect: d, TokenFile: "token", Username: host, Allow: []string{"user_alice"},
				ReadFile: (&files{data: map[string]string{"token": token}}).read,
			}, m)
			soon(t, "bound", func() bool { return link.Status().Route == routeProven })
			alice := join(t, url, g, http.DefaultClient, "user_alice", d)
			defer alice.close()
			r := newReceiver(t)
			r.connect(t, alice, d, host)
			r.playing(t, 30)
			s := m.Sessions()
			if len(s) != 1 || s[0].State != "connected" || s[0].Remote != "gateway:user_alice" {
				t.Errorf("sessions %+v", s)
			}
		})
	}
}

// The session continues, packet by packet, while its gateway restarts, stalls, is down, lies, and ends every
// connection.
func TestAFailingGatewayLeavesARunningSessionAlone(t *testing.T) {
	g := gatewaytest.New(gatewaytest.Config{ForgetsRoutes: true, Binds: 1000})
	g.Register("host", email, password)
	url, m := serve(t, g), openManager(t)
	counts := &tally{}
	link := run(t, Config{
		URL: url, AccountFile: "account", Allow: []string{"alice"}, Counters: counts,
		ReadFile: (&files{data: map[string]string{"account": accountFile(password)}}).read,
	}, m)
	bound := func() bool { return link.Status().Route == routeProven }
	soon(t, "bound", bound)
	alice := join(t, url, g, http.DefaultClient, "alice", Wavry{})
	defer alice.close()
	r := newReceiver(t)
	r.connect(t, alice, Wavry{}, "host")
	r.playing(t, 30)
	id := m.Sessions()[0].ID

	unharmed := func(what string) {
		t.Helper()
		r.playing(t, 20)
		s := m.Sessions()
		if len(s) != 1 || s[0].ID != id || s[0].State != "connected" ||
			r.pc.ConnectionState() != webrtc.PeerConnectionStateConnected {
			t.Fatalf("%s: sessions %+v", what, s)
		}
	}
	for _, frame := range []string{
		`{"type":"Offer","payload":{"target_username":"alice","sdp":"v=0\r\n"}}`,
		`{"type":"Candidate","payload":{"target_username":"alice","candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host"}}`,
		`{"type":"Candidate","payload":{"target_username":"alice","candidate":"nonsense"}}`,
		`{"type":"Answer","payload":{"target_username":"alice","sdp":"v=0\r\n"}}`,
		`{"type":"Bye","payload":{"target_username":"alice"}}`,
	} {
		if !g.Send("host", frame) {
			t.Fatal("the host is not routed")
		}
	}
	soon(t, "the lies", func() bool {
		return counts.of("offer malformed") == 1 &&
			counts.of("dropped unexpected") == 1
	})
	unharmed("lies")

	g.Restart()
	soon(t, "unbound", func() bool { return !bound() })
	unharmed("restart")
	soon(t, "bound", bound)

	g.Fault(func(f *gatewaytest.Faults) { f.EndAfterBound = true })
	before := counts.of("failure network")
	g.Restart() // the first, and the second once it has waited for up to 8.5 s
	soon(t, "flaps", func() bool { return counts.of("failure network") >= before+2 })
	unharmed("flaps")

	g.Fault(func(f *gatewaytest.Faults) { *f = gatewaytest.Faults{Down: true} })
	g.Restart()
	soon(t, "refused", func() bool { return !bound() })
	unharmed("down")
}

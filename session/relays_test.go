package session

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/session/admission"
	"wavryhost/session/peer"
	"wavryhost/session/peer/peertest"
	"wavryhost/session/relay"
)

// turnServer is pion's TURN server on loopback.
type turnServer struct {
	url  string
	full atomic.Bool // it gives nobody anything
	gave atomic.Int32
}

func startTURN(t *testing.T) *turnServer {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logs := logging.NewDefaultLoggerFactory()
	logs.DefaultLogLevel = logging.LogLevelDisabled
	r := &turnServer{url: "turn:" + conn.LocalAddr().String()}
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "test", LoggerFactory: logs, AuthHandler: turn.LongTermTURNRESTAuthHandler("north",
			logs.NewLogger("auth")),
		QuotaHandler: func(string, string, net.Addr) bool { return !r.full.Load() },
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: conn,
			RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{
				RelayAddress: net.IPv4(127, 0, 0, 1),
				Address:      "127.0.0.1",
			},
		}},
		EventHandler: turn.EventHandler{
			OnAllocationCreated: func(_, _ net.Addr, _, username, _ string, _ net.Addr, _ int) {
				if !strings.HasSuffix(username, "probe") {
					r.gave.Add(1)
				}
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *turnServer) as(region string) relay.Server {
	return relay.Server{URLs: []string{r.url}, Secret: "north", Lifetime: time.Hour, Region: region}
}

func TestSessionsUseTheRelaysOfTheirRegion(t *testing.T) {
	near, far := startTURN(t), startTURN(t)
	h := openHouse(t, func(c *Config) {
		c.ICEServers, c.ICERegions = []relay.Server{far.as("us"), near.as("eu")}, []string{"eu"}
	})
	defer h.close(t)
	h.alive(t)
	eventually(t, "the relays are known", func() bool {
		s := h.Host().ICEServers
		return len(s) == 2 && s[0].State == "up" && s[1].State == "up" && s[0].RTT > 0
	})
	watch := func(o Offer) {
		t.Helper()
		r := newRemote(t)
		defer r.close()
		o.Display, o.SDP = "default", r.offer(false)
		a, err := h.Create(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(a.SDP, "typ relay") {
			t.Error("the answer has no relayed candidate")
		}
		r.accept(a)
		r.playing(t, 3)
	}
	watch(Offer{})
	if near.gave.Load() != 1 || far.gave.Load() != 0 {
		t.Errorf("near gave %d, far %d; want the one of the preferred region alone", near.gave.Load(), far.gave.Load())
	}
	watch(Offer{Region: "us"})
	if near.gave.Load() != 1 || far.gave.Load() != 1 {
		t.Errorf("near gave %d, far %d; want the one that was asked for", near.gave.Load(), far.gave.Load())
	}
	l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "default", Region: "us"})
	if err != nil || l.Region != "us" {
		t.Fatalf("%+v, %v", l, err)
	}
	watch(Offer{Reservation: l.ID})
	if far.gave.Load() != 2 {
		t.Errorf("far gave %d; want the reservation's region", far.gave.Load())
	}
	if user := h.ICEServers("us", "viewer", time.Time{})[0]; user.Secret != "" ||
		!strings.HasSuffix(user.Username, ":viewer") {
		t.Errorf("viewers get %+v", user)
	}
}

func TestRelayThatGivesNothingIsNoticed(t *testing.T) {
	r := startTURN(t)
	h := openHouse(t, func(c *Config) { c.ICEServers = []relay.Server{r.as("")} })
	defer h.close(t)
	h.alive(t)
	eventually(t, "the relay is up", func() bool { return h.Host().ICEServers[0].State == "up" })
	r.full.Store(true)
	one := newRemote(t)
	defer one.close()
	one.watch(h)
	one.playing(t, 3)
	want := "# HELP wavry_host_sessions_without_relay_total Sessions and ICE restarts that had TURN servers and " +
		"got no relayed address.\n" +
		"# TYPE wavry_host_sessions_without_relay_total counter\nwavry_host_sessions_without_relay_total 1\n"
	if err := testutil.GatherAndCompare(h.reg, strings.NewReader(want),
		"wavry_host_sessions_without_relay_total"); err != nil {
		t.Error(err)
	}
	if s := h.Host().ICEServers[0]; s.Unhelpful != 1 {
		t.Errorf("%+v", s)
	}
	// The session's complaint has the relay probed at once, and thrice, and it falls.
	eventually(t, "the relay is down", func() bool { return h.Host().ICEServers[0].State == "down" })
	if s := h.Host().ICEServers[0]; s.Reason != string(relay.ReasonRefused) {
		t.Errorf("%+v; want refused", s)
	}
	seen := false
	list, _, _ := h.journal.Events(0)
	for _, e := range list {
		if e.Kind == "relay_down" {
			seen = true
			if e.Server != r.url || e.Reason != "refused" || strings.Contains(e.Error, "north") {
				t.Errorf("event %+v", e)
			}
		}
	}
	if !seen {
		t.Error("no event tells that the relay is down")
	}
}

// A viewer that is behind a relay of its own, and tells so only after its packets have come, is relayed from the
// start.
func TestRelayThatTheViewerTellsOfLater(t *testing.T) {
	srv := startTURN(t)
	h := openHouse(t, nil)
	h.opener.settle = deadline // however long it takes until the viewer tells
	defer h.close(t)
	h.alive(t)
	s := srv.as("").For("viewer", time.Now(), time.Time{})
	r := &remote{t: t, Viewer: peertest.NewWith(t, peertest.API(t, peertest.Settings()), webrtc.Configuration{
		ICEServers:         []webrtc.ICEServer{{URLs: s.URLs, Username: s.Username, Credential: s.Credential}},
		ICETransportPolicy: webrtc.ICETransportPolicyRelay,
	}, "video", "audio")}
	defer r.close()
	a, err := h.Create(t.Context(), Offer{Display: "default", SDP: r.offer(true)})
	if err != nil {
		t.Fatal(err)
	}
	r.accept(a)
	r.playing(t, 3)
	candidates := r.Candidates()
	if len(candidates) != 1 || !strings.Contains(candidates[0], "typ relay") {
		t.Fatalf("the viewer's candidates are %q; want one, at the relay", candidates)
	}
	if _, err := h.Patch(t.Context(), r.id, r.etag, peertest.Trickle(candidates...)); err != nil {
		t.Fatal(err)
	}
	counted := func(path string) float64 {
		return testutil.ToFloat64(h.met.paths.WithLabelValues(path, peer.ProtocolUDP))
	}
	eventually(t, "the path is known", func() bool { return counted(peer.PathRelay)+counted(peer.PathDirect) > 0 })
	one, err := h.Session(r.id)
	if err != nil || one.Path != peer.PathRelay || one.Protocol != peer.ProtocolUDP {
		t.Errorf("path %q over %q, %v; want relay over udp", one.Path, one.Protocol, err)
	}
	if counted(peer.PathRelay) != 1 || counted(peer.PathDirect) != 0 || h.events(EventPath) != 0 {
		t.Errorf("counted %v relayed, %v direct, and %d "+
			"changes", counted(peer.PathRelay), counted(peer.PathDirect), h.events(EventPath))
	}

	for path, want := range map[string]float64{peer.PathRelay: 1, peer.PathDirect: 0} {
		if got := testutil.ToFloat64(h.met.path.WithLabelValues(path)); got != want {
			t.Errorf("%v sessions are on path %s; want %v", got, path, want)
		}
	}
	eventually(t, "time on the path is "+
		"counted", func() bool { return testutil.ToFloat64(h.met.pathSeconds.WithLabelValues(peer.PathRelay)) > 0 })
}

// heldUp is longer than any session takes that no relay delays, even on a busy machine. A relay that delays a session
// does so for two minutes.
const heldUp = 30 * time.Second

// A relay that does not answer costs a session the wait for it once, and holds nothing of it back when it ends.
func TestMuteRelayHoldsNobody(t *testing.T) {
	udp, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcp, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	h := openHouse(t, func(c *Config) {
		c.GatherTimeout = 200 * time.Millisecond
		c.ICEServers = []relay.Server{{
			URLs: []string{
				"turn:" + udp.LocalAddr().String(),
				"turn:" + tcp.Addr().String() + "?transport=tcp", "turns:" + tcp.Addr().String(),
			},
			Secret: "north", Lifetime: time.Hour,
		}}
	})
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	began := time.Now()
	r.watch(h)
	if took := time.Since(began); took > heldUp {
		t.Errorf("the answer took %v; want 200 ms", took)
	}
	r.playing(t, 3)
	began = time.Now()
	if err := h.End(t.Context(), r.id, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > heldUp {
		t.Errorf("the end took %v", took)
	}
}

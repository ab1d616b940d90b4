package peer

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wavryhost/encode"
	"wavryhost/session/peer/peertest"
	"wavryhost/session/relay"
)

func TestDataChannel(t *testing.T) {
	h := openHost(t, nil)
	messages, closed := make(chan string, 1), make(chan struct{})
	var hints atomic.Int32
	h.prepare = func(p *Peer) {
		p.OnChange(func() { hints.Add(1) })
		p.OnDataChannel(func(c *Channel) {
			c.OnMessage(func(b []byte) { messages <- c.Label() + ": " + string(b) })
			c.OnClose(func() { close(closed) })
			if c.Label() == "refused" {
				_ = c.Close()
			}
		})
	}
	v := peertest.NewOf(t, peertest.Codec{}, "video")
	defer v.Close()
	d, err := v.PC.CreateDataChannel("keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	d.OnOpen(func() { _ = d.SendText("hello") })
	h.connect(t, v)
	within := time.After(peertest.Deadline)
	select {
	case got := <-messages:
		if got != "keys: hello" {
			t.Errorf("got %q", got)
		}
	case <-within:
		t.Fatal("no message arrives")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-within:
		t.Fatal("the peer does not see the end of the channel")
	}
	if hints.Load() == 0 {
		t.Error("there was no hint of a change of state")
	}
}

// pion checks a single fingerprint, and this package several.
func TestNoneOfSeveralFingerprintsMatches(t *testing.T) {
	h := openHost(t, nil)
	var channels atomic.Int32
	h.prepare = func(p *Peer) { p.OnDataChannel(func(*Channel) { channels.Add(1) }) }
	v := peertest.NewOf(t, peertest.Codec{}, "video", "data")
	defer v.Close()
	wrong := wrongHash + strings.Replace(wrongHash, "00:11", "11:00", 1)
	own := v.Offer(false)
	offer := regexp.MustCompile(`a=fingerprint:.*\r\n`).ReplaceAllString(own, strings.ReplaceAll(wrong, "\n", "\r\n"))
	c, answer := h.mustAnswer(t, offer)
	v.Accept(answer)
	peertest.Eventually(t, "the handshake fails", func() bool {
		s := c.State()
		if s.Connected {
			t.Fatal("the peer is connected")
		}
		return s.HandshakeFailed
	})
	if channels.Load() != 0 {
		t.Error("a data channel was accepted")
	}
	if n, _ := v.Received(); n != 0 {
		t.Errorf("%d pictures were sent", n)
	}
}

// A relay that does not answer costs GatherTimeout. The peer reports it, and plays without it.
func TestMuteRelays(t *testing.T) {
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
	h := openHost(t, nil)
	h.relays = []relay.Server{{
		URLs:     []string{"turn:" + udp.LocalAddr().String(), "turn:" + tcp.Addr().String() + "?transport=tcp"},
		Username: "u", Credential: "c",
	}}
	v := peertest.New(t)
	defer v.Close()
	c := h.connect(t, v)
	v.Playing(t, 3)
	if got := c.FailedRelays(); !slices.EqualFunc(got, h.relays, func(a, b relay.Server) bool {
		return slices.Equal(a.URLs, b.URLs)
	}) {
		t.Errorf("failed relays are %v; want %v", got, h.relays)
	}
}

func TestViewerWithoutCandidatesHasNoPath(t *testing.T) {
	c, _ := openHost(t, nil).mustAnswer(t, regexp.MustCompile(`a=candidate:.*\r\n`).
		ReplaceAllString(peertest.ChromiumOffer, ""))
	if c.FailedRelays() != nil {
		t.Error("relays failed without relays")
	}
	if r := c.Route(); r != (Route{}) || c.Local() {
		t.Errorf("route %v without a path", r)
	}
	if cause, err := c.WhyNoPath(); cause != CauseNoCandidates || err == nil {
		t.Errorf("cause %s, %v; want %s", cause, err, CauseNoCandidates)
	}
	if s := c.State(); s != (State{}) {
		t.Errorf("state %+v", s)
	}
}

// A viewer that does not report on single packets has round trips of ICE instead.
func TestRoundTripsOfAViewer(t *testing.T) {
	h := openHost(t, nil)
	v := peertest.NewOf(t, peertest.Codec{}, "video")
	defer v.Close()
	own := v.Offer(false)
	c, answer := h.mustAnswer(t, swap(`^a=rtcp-fb:\S+ transport-cc\n`, "")(own))
	v.Accept(answer)
	peertest.Eventually(t, "a round trip", func() bool {
		rtt, ok := c.RoundTrip()
		return ok && rtt > 0
	})
	for _, f := range []struct {
		removed          string
		request, packets bool
	}{{`^a=rtcp-fb.*\n`, false, false}, {`^a=rtcp-fb:\S+ transport-cc\n`, true, false}, {`^a=none\n`, true, true}} {
		o, err := ParseOffer(swap(f.removed, "")(own), []encode.Format{encode.H264})
		if err != nil {
			t.Fatal(err)
		}
		got := o.PayloadType(encode.H264)
		if got.CanRequest() != f.request || got.ReportsPackets() != f.packets {
			t.Errorf("without %s: can request %v, reports packets %v", f.removed, got.CanRequest(), got.ReportsPackets())
		}
	}
}

func TestSourcesOfProbes(t *testing.T) {
	if (&Config{}).Sources() != nil {
		t.Error("without settings the sources are bounded")
	}
	own := &Config{Loopback: true}
	if got := own.Sources()(); !slices.Equal(got, []netip.Addr{own.loopback()}) {
		t.Errorf("on loopback the sources are %v", got)
	}
	if got := (&Config{Interfaces: []string{"none0"}}).Sources()(); len(got) != 0 {
		t.Errorf("of an interface that is missing the sources are %v", got)
	}
}

// BenchmarkAnswer parses an offer, and makes and answers a peer. Its end is not timed.
func BenchmarkAnswer(b *testing.B) {
	h := openHost(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		c, _, err := h.answer(peertest.ChromiumOffer)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		c.close()
		b.StartTimer()
	}
}

func TestErrorsOfPionAreWarnings(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelWarn}))
	l := NewLoggerFactory(log).NewLogger("ice")
	l.Warn("quiet")
	l.Debugf("quiet %d", 1)
	l.Errorf("password=%s is wrong", "geheim")
	l.Error("broken")
	if got := text.String(); strings.Count(got, "level=WARN") != 2 || strings.Contains(got, "geheim") ||
		strings.Contains(got, "quiet") || !strings.Contains(got, "part=ice") {
		t.Errorf("the log is %s", got)
	}
	if log.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("the log shows details")
	}
}

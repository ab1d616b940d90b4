package peer

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/encode"
	"wavryhost/session/peer/peertest"
	"wavryhost/session/relay"
	"wavryhost/session/wire"
)

// host makes peers on the loopback interface.
type host struct {
	*Network
	t      testing.TB
	relays []relay.Server
	// prepare, if not nil, is called before the answer is made.
	prepare func(*Peer)
}

// openHost opens a network that closes with the test.
func openHost(t testing.TB, change func(*Config)) *host {
	t.Helper()
	cfg := Config{Loopback: true, MaxMessage: 1024, MediaTCPConnections: 128}
	if change != nil {
		change(&cfg)
	}
	n, err := NewNetwork(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return &host{Network: n, t: t}
}

// connection is a peer that sends pictures once it is connected.
type connection struct {
	*Peer
	t      testing.TB
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// answer answers an offer. The caller must close the connection.
func (h *host) answer(offer string) (*connection, string, error) {
	o, err := ParseOffer(offer, []encode.Format{encode.H264})
	if err != nil {
		return nil, "", err
	}
	log := slog.New(slog.DiscardHandler)
	sender, err := wire.New(wire.Config{Log: log, StartRate: 5_000_000})
	if err != nil {
		return nil, "", err
	}
	p, err := h.NewPeer(Params{
		ID: "test", Offer: o, Formats: []encode.Format{encode.H264},
		Largest:       encode.Stream{Width: 1920, Height: 1080, FPS: 60, BitsPerSecond: 20_000_000},
		GatherTimeout: time.Second, FailAfter: 2 * peertest.Deadline,
		Relays: func() []relay.Server { return h.relays }, Log: log,
	}, sender)
	if err != nil {
		return nil, "", err
	}
	if h.prepare != nil {
		h.prepare(p)
	}
	text, err := p.Answer(context.Background())
	if err != nil {
		if err := p.Close(); err != nil {
			h.t.Error(err)
		}
		return nil, "", err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &connection{Peer: p, t: h.t, cancel: cancel}
	c.wg.Go(func() { _ = sender.Run(ctx) })
	c.wg.Go(func() {
		for {
			if _, err := p.Receive(); err != nil {
				return
			}
		}
	})
	c.wg.Go(func() { c.send(ctx, sender) })
	return c, text, nil
}

// send sends a picture every 10 ms, each tenth as a keyframe.
func (c *connection) send(ctx context.Context, sender *wire.Sender) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !c.State().Connected || sender.Queue().Packets > 0 {
			continue
		}
		nal := byte(1)
		if n%10 == 0 {
			nal = 5
		}
		picture := append([]byte{0, 0, 0, 1, nal}, strings.Repeat("x", 3000)...)
		unit := encode.AccessUnit{Data: picture, Key: nal == 5, Time: time.Now()}
		if _, err := c.Track().WriteAccessUnit(unit); err != nil {
			c.t.Log(err) // the viewer may have closed; what matters is that it receives pictures
			return
		}
		n++
	}
}

func (c *connection) close() {
	c.cancel()
	if err := c.Close(); err != nil {
		c.t.Error(err)
	}
	c.wg.Wait()
}

// mustAnswer answers an offer, and closes the connection with the test.
func (h *host) mustAnswer(t testing.TB, offer string) (c *connection, answer string) {
	t.Helper()
	c, answer, err := h.answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c, answer
}

// connect connects a viewer. The connection closes with the test.
func (h *host) connect(t testing.TB, v *peertest.Viewer) *connection {
	t.Helper()
	c, answer := h.mustAnswer(t, v.Offer(false))
	v.Accept(answer)
	return c
}

// patch applies a fragment.
func (c *connection) patch(ctx context.Context, ifMatch, text string) (Patched, error) {
	f, err := ParseFragment(text)
	if err != nil {
		return Patched{}, err
	}
	return c.Patch(ctx, ifMatch, f)
}

// restart restarts ICE of a viewer.
func (c *connection) restart(t testing.TB, v *peertest.Viewer) {
	t.Helper()
	before := c.ETag()
	v.Restart(func(fragment string) string {
		p, err := c.patch(t.Context(), "*", fragment)
		if err != nil {
			t.Fatal(err)
		}
		if p.ETag == before || p.ETag == "" || !p.Restarted {
			t.Errorf("patched %+v; want a new entity tag", p)
		}
		own, err := ParseFragment(p.SDP)
		if err != nil || own.ufrag == "" || own.pwd == "" || len(own.candidates) == 0 || !own.end {
			t.Fatalf("fragment %+v, %v; want new credentials and candidates", own, err)
		}
		return p.SDP
	})
}

// isFree fails the test unless a UDP port is free.
func isFree(t testing.TB, port uint16) {
	t.Helper()
	at := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}
	c, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp4", at.String())
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	c.Close()
}

package session

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/session/peer"
	"wavryhost/session/peer/peertest"
)

const deadline = peertest.Deadline

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	peertest.Eventually(t, what, ok)
}

// house is a running Manager over a fake display and a fake encoder.
type house struct {
	*Manager
	screen *screen
	enc    *encodetest.Fake
	reg    *prometheus.Registry
	cancel context.CancelFunc
	done   chan error

	mu sync.Mutex
}

func openHouse(t testing.TB, change func(*Config)) *house {
	t.Helper()
	return openHouseWith(t, slog.DiscardHandler, change)
}

// openHouseWith is openHouse with a log.
func openHouseWith(t testing.TB, log slog.Handler, change func(*Config)) *house {
	t.Helper()
	h := &house{
		screen: newScreen(640, 480), enc: encodetest.New(encodetest.Config{Took: 100 * time.Microsecond}),
		reg:  prometheus.NewRegistry(),
		done: make(chan error, 1),
	}
	cfg := Config{
		Displays: func(context.Context) []Display { return []Display{h.screen.display()} },
		Encoders: []encode.Factory{h.enc}, Loopback: true, Linger: time.Millisecond,
		// Times that count where the machine is busy with something else, and which a test that is about them sets.
		ConnectTimeout: deadline, ShutdownTimeout: deadline,
	}
	if change != nil {
		change(&cfg)
	}
	m, err := NewManager(cfg, slog.New(log), NewMetrics(h.reg))
	if err != nil {
		t.Fatal(err)
	}
	h.Manager = m
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go func() { h.done <- m.Run(ctx) }()
	return h
}

// useNet makes new sessions use another network than this machine's.
func (h *house) useNet(open func(time.Duration) (transport.Net, error)) {
	if err := h.network.Close(); err != nil {
		panic(err)
	}
	cfg := h.conf.get().network()
	cfg.Net = open
	network, err := peer.NewNetwork(cfg, h.log)
	if err != nil {
		panic(err)
	}
	h.network, h.opener.network = network, network
}

// close stops the Manager and checks that nothing is left.
func (h *house) close(t testing.TB) {
	t.Helper()
	h.cancel()
	if err := <-h.done; err != nil {
		t.Error(err)
	}
	h.empty(t)
	events, _, _ := h.journal.Events(0)
	for _, e := range events {
		if fault := misshapen(t, e); fault != "" {
			t.Errorf("event %+v: %s", e, fault)
		}
	}
}

// misshapen returns what an event has that its shape does not allow, or lacks; empty for nothing.
func misshapen(t testing.TB, e EventRecord) string {
	t.Helper()
	text, err := json.Marshal(e)
	var fields map[string]any
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		t.Fatal(err)
	}
	for kind, shape := range EventShapes() {
		if kind.String() != e.Kind {
			continue
		}
		for _, name := range shape.Required {
			if fields[name] == nil {
				return name + " is missing"
			}
		}
		for name := range fields {
			if !slices.Contains(slices.Concat([]string{"id", "at", "kind"}, shape.Required, shape.Optional), name) {
				return name + " is not of this kind"
			}
		}
		if e.Reason != "" && !slices.Contains(shape.Reasons, e.Reason) {
			return "the reason is not of this kind"
		}
		return ""
	}
	return "the kind is unknown"
}

// empty checks that nothing is held any more.
func (h *house) empty(t testing.TB) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.enc.Stats(); s.Opened != s.Closed {
		t.Errorf("%d encoders opened, %d closed", s.Opened, s.Closed)
	}
	if source := h.screen.Source(); source != nil {
		if n := source.Leaked(); n != 0 {
			t.Errorf("%d frames are not released", n)
		}
		if !source.Closed() {
			t.Error("the source is not closed")
		}
	}
}

// told returns the events so far.
func (h *house) told() []EventRecord {
	list, _, _ := h.journal.Events(0)
	return list
}

// events returns how many there were of a kind.
func (h *house) events(kind EventKind) int {
	n := 0
	for _, e := range h.told() {
		if e.Kind == kind.String() {
			n++
		}
	}
	return n
}

// alive keeps the screen changing until the test ends.
func (h *house) alive(t *testing.T) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if s := h.screen.Source(); s != nil {
					h.screen.Touch(spot)
				}
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

// remote is a viewer of a Manager's session.
type remote struct {
	*peertest.Viewer
	t        testing.TB
	id, etag string
}

func newRemote(t testing.TB) *remote {
	t.Helper()
	return &remote{Viewer: peertest.New(t), t: t}
}

// newRemoteOf returns a viewer with one video codec that requests packets and keyframes.
func newRemoteOf(t testing.TB, mime, format string) *remote {
	t.Helper()
	codec := peertest.Codec{Mime: mime, PayloadType: 121, Form: format, Feedback: peertest.NACKs()}
	return &remote{Viewer: peertest.NewOf(t, codec, "video", "audio"), t: t}
}

func remoteOf(t testing.TB, api *webrtc.API) *remote {
	t.Helper()
	return &remote{Viewer: peertest.NewWith(t, api, webrtc.Configuration{}, "video", "audio"), t: t}
}

func (r *remote) offer(trickle bool) string {
	r.t.Helper()
	return r.Offer(trickle)
}

func (r *remote) accept(a Answer) {
	r.t.Helper()
	r.id, r.etag = a.ID, a.ETag
	r.Accept(a.SDP)
}

// watch connects to the default display.
func (r *remote) watch(h *house) {
	r.t.Helper()
	r.comeWith(h, r.offer(false))
}

// comeWith connects to the default display with an offer.
func (r *remote) comeWith(h *house, offer string) {
	r.t.Helper()
	a, err := h.Create(context.Background(), Offer{
		Display: "default", SDP: offer, RemoteAddr: "test",
		UserAgent: "pion",
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.accept(a)
}

// restart restarts ICE and returns the fragment of the request.
func (r *remote) restart(h *house) string {
	r.t.Helper()
	return r.Restart(func(fragment string) string {
		p, err := h.Patch(r.t.Context(), r.id, "*", fragment)
		if err != nil {
			r.t.Fatal(err)
		}
		if p.ETag == r.etag || p.ETag == "" {
			r.t.Errorf("entity tag %s after the restart; want a new one", p.ETag)
		}
		return p.SDP
	})
}

func (r *remote) playing(t testing.TB, n int) {
	t.Helper()
	r.Playing(t, n)
}

func (r *remote) got() (frames, keys int) { return r.Received() }

func (r *remote) bytes() int { return r.Bytes() }

func (r *remote) pli() error { return r.PLI() }

func (r *remote) close() { r.Close() }

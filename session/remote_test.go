package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// deadline is how long anything on the loopback interface may take. It is there for what never comes: under the race detector, on a machine whose processors others
// have, a connection takes seconds to come about.
const deadline = time.Minute

// eventually waits until ok, and fails the test when that takes too long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.NewTimer(deadline)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-end.C:
			t.Fatalf("%s: not within %v", what, deadline)
		case <-tick.C:
		}
	}
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
		screen: newScreen(640, 480), enc: encodetest.New(encodetest.Config{Took: 100 * time.Microsecond}), reg: prometheus.NewRegistry(),
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

// close stops the Manager and checks that nothing is left.
func (h *house) close(t testing.TB) {
	t.Helper()
	h.cancel()
	if err := <-h.done; err != nil {
		t.Error(err)
	}
	h.empty(t)
}

// empty checks that nothing is held any more.
func (h *house) empty(t testing.TB) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.enc.Stats(); s.Opened != s.Closed {
		t.Errorf("%d encoders opened, %d closed", s.Opened, s.Closed)
	}
	if source := h.screen.now(); source != nil {
		if n := source.leaked(); n != 0 {
			t.Errorf("%d frames are not released", n)
		}
		source.mu.Lock()
		defer source.mu.Unlock()
		if !source.closed {
			t.Error("the source is not closed")
		}
	}
}

// told returns the events so far.
func (h *house) told() []EventRecord {
	list, _, _ := h.Events(0)
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
				if s := h.screen.now(); s != nil {
					h.screen.touch(spot)
				}
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

// remote is a viewer: a peer connection of pion's own making, which shares no code with ours above pion.
type remote struct {
	t     testing.TB
	pc    *webrtc.PeerConnection
	id    string
	etag  string
	state chan webrtc.PeerConnectionState

	mu     sync.Mutex
	frames int
	keys   int
	sizes  []int
	media  int   // bytes of payload
	wrong  error // the first picture that is none
	track  *webrtc.TrackRemote
	cands  []string
	wg     sync.WaitGroup
}

func localSettings() webrtc.SettingEngine {
	se := webrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	se.SetIPFilter(func(ip net.IP) bool { return ip.Equal(net.IPv4(127, 0, 0, 1)) })
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	return se
}

func newRemote(t testing.TB) *remote {
	t.Helper()
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	return remoteOf(t, webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(localSettings())))
}

func remoteOf(t testing.TB, api *webrtc.API) *remote {
	t.Helper()
	return remoteWith(t, api, webrtc.Configuration{})
}

func remoteWith(t testing.TB, api *webrtc.API, c webrtc.Configuration) *remote {
	t.Helper()
	return remoteOfKinds(t, api, c, "video", "audio")
}

// remoteOfKinds returns a viewer whose offers have sections of these kinds: video, audio or data.
func remoteOfKinds(t testing.TB, api *webrtc.API, c webrtc.Configuration, kinds ...string) *remote {
	t.Helper()
	pc, err := api.NewPeerConnection(c)
	if err != nil {
		t.Fatal(err)
	}
	r := &remote{t: t, pc: pc, state: make(chan webrtc.PeerConnectionState, 16)}
	for _, kind := range kinds {
		if kind == "data" {
			if _, err := pc.CreateDataChannel("input", nil); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, err := pc.AddTransceiverFromKind(webrtc.NewRTPCodecType(kind), webrtc.RTPTransceiverInit{
			Direction: webrtc.RTPTransceiverDirectionRecvonly,
		}); err != nil {
			t.Fatal(err)
		}
	}
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c == nil {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.cands = append(r.cands, strings.TrimPrefix(c.ToJSON().Candidate, "candidate:"))
	})
	pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		r.mu.Lock()
		r.track = track
		r.mu.Unlock()
		r.wg.Go(func() { r.read(track) })
		r.wg.Go(func() {
			for {
				if _, _, err := receiver.ReadRTCP(); err != nil {
					return
				}
			}
		})
	})
	return r
}

// read counts whole pictures.
func (r *remote) read(track *webrtc.TrackRemote) {
	size, key := 0, false
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		if len(p.Payload) == 0 {
			continue
		}
		r.mu.Lock()
		r.media += len(p.Payload)
		r.mu.Unlock()
		n, begins, err := part(track.Codec().MimeType, p.Payload)
		size += n
		key = key || begins
		if err != nil {
			r.mu.Lock()
			r.wrong = errors.Join(r.wrong, err)
			r.mu.Unlock()
		}
		if !p.Marker {
			continue
		}
		r.mu.Lock()
		r.frames++
		r.sizes = append(r.sizes, size)
		if key {
			r.keys++
		}
		r.mu.Unlock()
		size, key = 0, false
	}
}

// part returns how much of a picture a payload has, and whether it shows that the picture is a keyframe.
func part(mime string, payload []byte) (size int, key bool, err error) {
	if mime == webrtc.MimeTypeVP9 {
		var d codecs.VP9Packet
		unit, err := d.Unmarshal(payload)
		if err == nil && d.B && (unit[0]&0xf0 != 0x80 || (unit[0]&4 == 0) == d.P) {
			err = fmt.Errorf("a frame that begins with %02x, P %v", unit[0], d.P)
		}
		return len(unit), d.B && !d.P, err
	}
	var d codecs.H264Packet
	unit, err := d.Unmarshal(payload)
	// A parameter set, alone (7), in an aggregate (24), or an IDR slice (5), whole or the first fragment of it (28).
	switch kind := payload[0] & 0x1f; kind {
	case 5, 7, 24:
		key = true
	case 28:
		key = len(payload) > 1 && payload[1]&0x1f == 5
	}
	return len(unit), key, err
}

// bytes is how much media has arrived.
func (r *remote) bytes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.media
}

func (r *remote) got() (frames, keys int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.frames, r.keys
}

// offer returns an offer, with candidates unless it is to trickle.
func (r *remote) offer(trickle bool) string {
	r.t.Helper()
	o, err := r.pc.CreateOffer(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(r.pc)
	if err := r.pc.SetLocalDescription(o); err != nil {
		r.t.Fatal(err)
	}
	<-gathered
	if trickle {
		return o.SDP
	}
	return r.pc.LocalDescription().SDP
}

func (r *remote) accept(a Answer) {
	r.t.Helper()
	r.id, r.etag = a.ID, a.ETag
	if err := r.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: a.SDP}); err != nil {
		r.t.Fatalf("answer refused: %v\n%s", err, a.SDP)
	}
}

// watch connects to the default display.
func (r *remote) watch(h *house) {
	r.t.Helper()
	r.comeWith(h, r.offer(false))
}

// comeWith connects to the default display with an offer.
func (r *remote) comeWith(h *house, offer string) {
	r.t.Helper()
	a, err := h.Create(context.Background(), Offer{Display: "default", SDP: offer, RemoteAddr: "test", UserAgent: "pion"})
	if err != nil {
		r.t.Fatal(err)
	}
	r.accept(a)
}

// restart restarts ICE, and returns the fragment that asked for it.
func (r *remote) restart(h *house) fragment {
	r.t.Helper()
	must := func(err error) {
		r.t.Helper()
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.mu.Lock()
	r.cands = nil
	r.mu.Unlock()
	o, err := r.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	must(err)
	gathered := webrtc.GatheringCompletePromise(r.pc)
	must(r.pc.SetLocalDescription(o))
	<-gathered
	var d sdp.SessionDescription
	must(d.UnmarshalString(r.pc.LocalDescription().SDP))
	f := fragmentOf(&d)
	if len(f.candidates) == 0 {
		r.t.Fatal("the test's own fragment has no candidates")
	}
	p, err := h.Patch(r.t.Context(), r.id, "*", f.String())
	must(err)
	if p.ETag == r.etag || p.ETag == "" {
		r.t.Errorf("entity tag %s after the restart; want a new one", p.ETag)
	}
	own, err := parseFragment(p.SDP)
	if err != nil || own.ufrag == "" || own.pwd == "" || len(own.candidates) == 0 || !own.end {
		r.t.Fatalf("fragment %+v, %v; want new credentials and candidates", own, err)
	}
	old, err := parseAnswer(r.pc.CurrentRemoteDescription().SDP)
	must(err)
	if was := fragmentOf(old).ufrag; was == own.ufrag {
		r.t.Errorf("user fragment %q is the old one", was)
	}
	next, err := own.restarted(old)
	must(err)
	text, err := next.Marshal()
	must(err)
	must(r.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(text)}))
	return f
}

func (r *remote) playing(t *testing.T, n int) {
	t.Helper()
	before, _ := r.got()
	eventually(t, "pictures arrive", func() bool { f, _ := r.got(); return f >= before+n })
}

func (r *remote) pli() error {
	r.mu.Lock()
	track := r.track
	r.mu.Unlock()
	if track == nil {
		return errors.New("no track")
	}
	return r.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}})
}

func (r *remote) close() {
	if err := r.pc.GracefulClose(); err != nil {
		r.t.Error(err)
	}
	r.wg.Wait()
}

func parseAnswer(text string) (*sdp.SessionDescription, error) {
	var d sdp.SessionDescription
	return &d, d.UnmarshalString(text)
}

// fragmentOf returns the ICE part of a whole description.
func fragmentOf(d *sdp.SessionDescription) fragment {
	var f fragment
	f.ufrag, _ = d.Attribute("ice-ufrag")
	f.pwd, _ = d.Attribute("ice-pwd")
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Port.Value == 0 {
			continue
		}
		f.media = m.MediaName.String()
		for _, a := range m.Attributes {
			switch a.Key {
			case "ice-ufrag":
				f.ufrag = a.Value
			case "ice-pwd":
				f.pwd = a.Value
			case "mid":
				f.mid = a.Value
			case "candidate":
				f.candidates = append(f.candidates, a.Value)
			case "end-of-candidates":
				f.end = true
			}
		}
		break
	}
	return f
}

// restarted returns d, which is not changed, with f's credentials and candidates in place of its own.
func (f fragment) restarted(d *sdp.SessionDescription) (*sdp.SessionDescription, error) {
	text, err := d.Marshal()
	if err != nil {
		return nil, fmt.Errorf("marshal session description: %w", err)
	}
	var next sdp.SessionDescription
	if err := next.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("copy session description: %w", err)
	}
	next.Origin.SessionVersion++
	next.Attributes = f.replace(next.Attributes)
	added := false
	for _, m := range next.MediaDescriptions {
		m.Attributes = f.replace(m.Attributes)
		if added || m.MediaName.Port.Value == 0 {
			continue
		}
		added = true
		for _, c := range f.candidates {
			m.Attributes = append(m.Attributes, sdp.NewAttribute("candidate", c))
		}
	}
	return &next, nil
}

func (f fragment) replace(old []sdp.Attribute) []sdp.Attribute {
	var list []sdp.Attribute
	for _, a := range old {
		switch a.Key {
		case "candidate", "end-of-candidates":
			continue
		case "ice-ufrag":
			a.Value = f.ufrag
		case "ice-pwd":
			a.Value = f.pwd
		}
		list = append(list, a)
	}
	return list
}

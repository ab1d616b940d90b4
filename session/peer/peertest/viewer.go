// Package peertest holds a viewer for tests. The viewer is a peer connection of pion and shares no code with package
// peer.
package peertest

import (
	_ "embed"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// ChromiumOffer is an offer of Chromium.
//
//go:embed offer-chromium.sdp
var ChromiumOffer string

// Deadline bounds the wait for anything on the loopback interface. It only matters for what never comes: with the race
// detector on a busy machine, a connection takes seconds.
const Deadline = time.Minute

// Eventually waits until ok returns true. It fails the test after Deadline.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.NewTimer(Deadline)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-end.C:
			t.Fatalf("%s: not within %v", what, Deadline)
		case <-tick.C:
		}
	}
}

// Viewer receives pictures.
type Viewer struct {
	// PC is the peer connection.
	PC *webrtc.PeerConnection
	t  testing.TB
	wg sync.WaitGroup

	mu         sync.Mutex
	frames     int
	keys       int
	bytes      int   // of payload
	malformed  error // the malformed pictures
	track      *webrtc.TrackRemote
	candidates []string
}

// Settings returns settings that keep a viewer on 127.0.0.1.
func Settings() webrtc.SettingEngine {
	se := webrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	se.SetIPFilter(func(ip net.IP) bool { return ip.Equal(net.IPv4(127, 0, 0, 1)) })
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	return se
}

// API returns an API with pion's codecs.
func API(t testing.TB, se webrtc.SettingEngine) *webrtc.API {
	t.Helper()
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(se))
}

// FormOfH264 is the usual fmtp line of H.264.
const FormOfH264 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"

// NACKs is the feedback of a viewer that requests packets and keyframes.
func NACKs() []webrtc.RTCPFeedback {
	return []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}
}

// Codec describes the video codec of a viewer. The zero value is the usual form of H.264 without feedback.
type Codec struct {
	Mime        string
	PayloadType uint8
	Form        string
	Feedback    []webrtc.RTCPFeedback
}

// NewOf returns a viewer of one video codec. Its offer has sections of these kinds: video, audio or data.
func NewOf(t testing.TB, c Codec, kinds ...string) *Viewer {
	t.Helper()
	if c.Mime == "" {
		c.Mime = webrtc.MimeTypeH264
	}
	if c.PayloadType == 0 {
		c.PayloadType = 96
	}
	if c.Form == "" && c.Mime == webrtc.MimeTypeH264 {
		c.Form = FormOfH264
	}
	media := &webrtc.MediaEngine{}
	for kind, p := range map[webrtc.RTPCodecType]webrtc.RTPCodecParameters{
		webrtc.RTPCodecTypeVideo: {
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: c.Mime, ClockRate: 90_000, SDPFmtpLine: c.Form, RTCPFeedback: c.Feedback,
			},
			PayloadType: webrtc.PayloadType(c.PayloadType),
		},
		webrtc.RTPCodecTypeAudio: {
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeOpus, ClockRate: 48_000, Channels: 2,
			},
			PayloadType: 109,
		},
	} {
		if err := media.RegisterCodec(p, kind); err != nil {
			t.Fatal(err)
		}
	}
	for _, uri := range []string{
		"http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
		"http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
	} {
		err := media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo)
		if err != nil {
			t.Fatal(err)
		}
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(Settings()))
	return NewWith(t, api, webrtc.Configuration{}, kinds...)
}

// New returns a viewer of video and audio with pion's codecs.
func New(t testing.TB) *Viewer {
	t.Helper()
	return NewWith(t, API(t, Settings()), webrtc.Configuration{}, "video", "audio")
}

// NewWith returns a viewer with an API. Its offer has sections of these kinds: video, audio or data.
func NewWith(t testing.TB, api *webrtc.API, c webrtc.Configuration, kinds ...string) *Viewer {
	t.Helper()
	pc, err := api.NewPeerConnection(c)
	if err != nil {
		t.Fatal(err)
	}
	v := &Viewer{t: t, PC: pc}
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
		v.mu.Lock()
		defer v.mu.Unlock()
		v.candidates = append(v.candidates, strings.TrimPrefix(c.ToJSON().Candidate, "candidate:"))
	})
	pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		v.mu.Lock()
		v.track = track
		v.mu.Unlock()
		v.wg.Go(func() { v.read(track) })
		v.wg.Go(func() {
			for {
				if _, _, err := receiver.ReadRTCP(); err != nil {
					return
				}
			}
		})
	})
	return v
}

// Offer returns an offer, without candidates if it trickles.
func (v *Viewer) Offer(trickle bool) string {
	v.t.Helper()
	o, err := v.PC.CreateOffer(nil)
	if err != nil {
		v.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(v.PC)
	if err := v.PC.SetLocalDescription(o); err != nil {
		v.t.Fatal(err)
	}
	<-gathered
	if trickle {
		return o.SDP
	}
	return v.PC.LocalDescription().SDP
}

// Accept applies the answer.
func (v *Viewer) Accept(answer string) {
	v.t.Helper()
	err := v.PC.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer})
	if err != nil {
		v.t.Fatalf("answer refused: %v\n%s", err, answer)
	}
}

// Restart restarts ICE. patch sends a fragment and returns the fragment of the response. Restart returns the former.
func (v *Viewer) Restart(patch func(fragment string) string) string {
	v.t.Helper()
	must := func(err error) {
		v.t.Helper()
		if err != nil {
			v.t.Fatal(err)
		}
	}
	v.mu.Lock()
	v.candidates = nil
	v.mu.Unlock()
	o, err := v.PC.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	must(err)
	gathered := webrtc.GatheringCompletePromise(v.PC)
	must(v.PC.SetLocalDescription(o))
	<-gathered
	var own, old sdp.SessionDescription
	must(own.UnmarshalString(v.PC.LocalDescription().SDP))
	fragment := fragmentOf(&own)
	if !strings.Contains(fragment, "a=candidate:") {
		v.t.Fatal("the viewer has no candidates")
	}
	answer := patch(fragment)
	must(old.UnmarshalString(v.PC.CurrentRemoteDescription().SDP))
	must(apply(&old, answer))
	text, err := old.Marshal()
	must(err)
	must(v.PC.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(text)}))
	return fragment
}

// Received returns the number of pictures so far, and of keyframes among them.
func (v *Viewer) Received() (frames, keys int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.frames, v.keys
}

// Bytes returns the bytes of media so far.
func (v *Viewer) Bytes() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bytes
}

// Malformed returns an error if there was a malformed picture.
func (v *Viewer) Malformed() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.malformed
}

// Track returns the video track, or nil.
func (v *Viewer) Track() *webrtc.TrackRemote {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.track
}

// Candidates returns the viewer's candidates.
func (v *Viewer) Candidates() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.candidates...)
}

// Playing waits for n more pictures.
func (v *Viewer) Playing(t testing.TB, n int) {
	t.Helper()
	before, _ := v.Received()
	Eventually(t, "pictures arrive", func() bool { f, _ := v.Received(); return f >= before+n })
}

// PLI requests a keyframe.
func (v *Viewer) PLI() error {
	track := v.Track()
	if track == nil {
		return errors.New("no track")
	}
	return v.PC.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}})
}

// Close closes the viewer and waits for its goroutines.
func (v *Viewer) Close() {
	if err := v.PC.GracefulClose(); err != nil {
		v.t.Error(err)
	}
	v.wg.Wait()
}

//go:build !race

package session

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"

	"wavryhost/adapt"
)

// loseMedia drops every so many packets of media that the host sends.
func (p *path) loseMedia(t *testing.T, every int) {
	t.Helper()
	seen := 0
	p.router.AddChunkFilter(func(c vnet.Chunk) bool {
		b := c.UserData()
		from, ok := c.SourceAddr().(*net.UDPAddr)
		// RFC 5761.
		if !ok || !from.IP.Equal(net.IPv4(192, 0, 2, 1)) || len(b) < 12 || b[0]>>6 != 2 || b[1] >= 192 && b[1] < 224 {
			return true
		}
		seen++
		return seen%every != 0
	})
}

// plainRemote is a viewer with pion's own receiver: its NACK generator asks each 100 ms, for what came on the
// retransmission stream, too.
func plainRemote(t *testing.T, viewer *vnet.Net, rtx bool) *remote {
	t.Helper()
	media, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	codecs := []webrtc.RTPCodecParameters{{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeH264, ClockRate: 90_000,
			SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
			RTCPFeedback: []webrtc.RTCPFeedback{
				{Type: "nack"},
				{Type: "nack", Parameter: "pli"},
				{Type: "transport-cc"},
			},
		},
		PayloadType: 96,
	}}
	if rtx {
		codecs = append(codecs, webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeRTX, ClockRate: 90_000,
				SDPFmtpLine: "apt=96",
			},
			PayloadType: 97,
		})
	}
	opus := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48_000,
			Channels: 2,
		}, PayloadType: 111,
	}
	if err := media.RegisterCodec(opus, webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	for _, c := range codecs {
		if err := media.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	if err := webrtc.RegisterDefaultInterceptors(media, registry); err != nil {
		t.Fatal(err)
	}
	se := webrtc.SettingEngine{}
	se.SetNet(viewer)
	se.SetICEMulticastDNSMode(1)
	return remoteOf(t, webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(se)))
}

// TestLossCostsWhatItLoses has 2 % of the media lost on a path of 3 Mbit/s, for receivers with and without a stream of
// retransmissions.
func TestLossCostsWhatItLoses(t *testing.T) {
	for name, rtx := range map[string]bool{"with RTX": true, "without RTX": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const bits, every = 3_000_000, 50
				p := newPath(t, bits, 10*time.Millisecond)
				h := openHouse(t, func(c *Config) {
					c.Loopback, c.FPS, c.StartBitrate, c.MaxBitrate = false, 30, 500_000, 2_000_000
				})
				h.on(p.host)
				p.loseMedia(t, every)
				r := plainRemote(t, p.viewer, rtx)
				r.watch(h)
				still := h.busy()
				time.Sleep(20 * time.Second)
				s, err := h.Session(r.id)
				if err != nil {
					t.Fatal(err)
				}
				if s.TargetBitrate < 1_800_000 || s.Loss > .05 {
					t.Errorf("target %d, loss %.3f, %s by %s; want nearly 2 Mbit/s, and the 2 %% that are lost",
						s.TargetBitrate, s.Loss, s.Quality, s.Reason)
				}
				if share := float64(s.Retransmissions) / float64(s.PacketsSent); share == 0 || share > 2./every {
					t.Errorf("%.1f %% of %d packets are retransmissions; want about 2 %%", 100*share, s.PacketsSent)
				}
				if s.Quality == adapt.Stalled.String() {
					t.Error("stalled")
				}
				still()
				r.close()
				h.close(t)
				p.close(t)
			})
		})
	}
}

// A packet that never arrives, as where a receiver's retransmissions are lost too, costs the picture until a keyframe
// comes. This viewer sends no request for one.
func TestPacketBeyondRepairIsFollowedByAKeyframe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, 5_000_000, 10*time.Millisecond)
		h := openHouse(t, func(c *Config) {
			c.Loopback, c.FPS, c.StartBitrate, c.MaxBitrate = false, 30, 1_000_000, 2_000_000
		})
		h.on(p.host)
		var lose atomic.Bool
		p.router.AddChunkFilter(func(c vnet.Chunk) bool {
			b := c.UserData()
			if len(b) < 12 || b[0]>>6 != 2 || b[1] >= 192 && b[1] < 224 {
				return true
			}
			switch b[1] & 127 {
			case 97: // retransmissions
				return false
			case 96:
				return !lose.Swap(false)
			}
			return true
		})
		r := plainRemote(t, p.viewer, true)
		r.watch(h)
		still := h.busy()
		time.Sleep(5 * time.Second)
		before, err := h.Session(r.id)
		if err != nil {
			t.Fatal(err)
		}
		lose.Store(true)
		time.Sleep(time.Second)
		after, err := h.Session(r.id)
		if err != nil {
			t.Fatal(err)
		}
		if got := after.KeyframesSent - before.KeyframesSent; got != 1 {
			t.Errorf("%d keyframes within a second after a packet was lost for good; want 1", got)
		}
		still()
		r.close()
		h.close(t)
		p.close(t)
	})
}

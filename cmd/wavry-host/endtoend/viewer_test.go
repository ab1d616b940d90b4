//go:build integration

package endtoend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// audience is a receiving pion viewer with the feedback that browsers send.
type audience struct {
	pc      *webrtc.PeerConnection
	socket  *socket
	path    string
	bytes   atomic.Int64
	packets atomic.Int64
	newest  atomic.Int64 // when a packet came, in Unix nanoseconds
}

// socket carries all packets that a viewer sends and receives. When it is closed, the viewer sends nothing more, not
// even the DTLS close.
type socket struct {
	net.PacketConn
	// All that is sent is lost while cut is set, and all reports on media while mute is.
	cut, mute atomic.Bool
}

// ReadFrom returns io.EOF where pion would log an error.
func (s *socket) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := s.PacketConn.ReadFrom(p)
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF
	}
	return n, from, err
}

func (s *socket) WriteTo(p []byte, to net.Addr) (int, error) {
	report := len(p) > 0 && p[0] >= 128 && p[0] < 192 // RFC 7983
	if s.cut.Load() || s.mute.Load() && report {
		return len(p), nil
	}
	return s.PacketConn.WriteTo(p, to)
}

// prepared returns a viewer on a socket that has not made an offer yet. Received packets go to take, unless it is nil.
func prepared(tb testing.TB, udp net.PacketConn, take func(*rtp.Packet)) *audience {
	tb.Helper()
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		tb.Fatal(err)
	}
	return preparedWith(tb, udp, take, webrtc.WithMediaEngine(media))
}

// preparedWith is prepared with the given codecs and interceptors.
func preparedWith(tb testing.TB, udp net.PacketConn, take func(*rtp.Packet), how ...func(*webrtc.API)) *audience {
	tb.Helper()
	a := &audience{socket: &socket{PacketConn: udp}}
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetICEUDPMux(webrtc.NewICEUDPMux(nil, a.socket))
	pc, err := webrtc.NewAPI(append(how,
		webrtc.WithSettingEngine(settings))...).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		tb.Fatal(err)
	}
	a.pc = pc
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo,
		webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		tb.Fatal(err)
	}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		buffer := make([]byte, 1500)
		for {
			n, _, err := track.Read(buffer)
			if err != nil {
				return
			}
			a.bytes.Add(int64(n))
			a.packets.Add(1)
			a.newest.Store(time.Now().UnixNano())
			if p := new(rtp.Packet); take != nil && p.Unmarshal(bytes.Clone(buffer[:n])) == nil {
				take(p)
			}
		}
	})
	return a
}

// offer makes the viewer's offer. The offer is also applied when candidates must be gathered.
func (a *audience) offer(tb testing.TB) webrtc.SessionDescription {
	tb.Helper()
	offer, err := a.pc.CreateOffer(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return offer
}

// loopback returns a socket on 127.0.0.1.
func loopback(tb testing.TB) net.PacketConn {
	tb.Helper()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return udp
}

// join connects a viewer on this machine, and returns it with the time from offer to answer.
func join(tb testing.TB, h *host) (*audience, time.Duration) {
	tb.Helper()
	return joinDisplay(tb, h, "default", loopback(tb), nil)
}

// joinWith is join for a viewer that prepares the peer connection before it makes its offer.
func joinWith(tb testing.TB, h *host, before func(*webrtc.PeerConnection)) *audience {
	tb.Helper()
	a := prepared(tb, loopback(tb), nil)
	before(a.pc)
	a.join(tb, h, "default")
	return a
}

func joinBy(tb testing.TB, h *host, udp net.PacketConn, take func(*rtp.Packet)) (*audience, time.Duration) {
	tb.Helper()
	return joinDisplay(tb, h, "default", udp, take)
}

// joinDisplay connects a viewer of a display on a socket; take receives each packet, unless it is nil.
func joinDisplay(tb testing.TB, h *host, display string, udp net.PacketConn,
	take func(*rtp.Packet),
) (*audience, time.Duration) {
	tb.Helper()
	a := prepared(tb, udp, take)
	return a, a.join(tb, h, display)
}

// join makes the offer of a viewer, and returns the time to the answer.
func (a *audience) join(tb testing.TB, h *host, display string) time.Duration {
	tb.Helper()
	pc, offer := a.pc, a.offer(tb)
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		tb.Fatal(err)
	}
	<-gathered
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, h.url+"/whep/"+display,
		strings.NewReader(pc.LocalDescription().SDP))
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/sdp")
	if h.token != "" {
		request.Header.Set("Authorization", "Bearer "+h.token)
	}
	start := time.Now()
	response, err := h.client.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	took := time.Since(start)
	if err != nil || response.StatusCode != http.StatusCreated {
		tb.Fatalf("POST: status %d, %v: %s", response.StatusCode, err, answer)
	}
	at, err := response.Location()
	if err != nil {
		tb.Fatal(err)
	}
	a.path = at.Path
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{
		Type: webrtc.SDPTypeAnswer,
		SDP:  string(answer),
	}); err != nil {
		tb.Fatal(err)
	}
	return took
}

func (a *audience) leave(tb testing.TB, h *host) {
	tb.Helper()
	if status, body, err := h.request(http.MethodDelete, a.path); err != nil || status != http.StatusOK {
		tb.Errorf("DELETE: status %d, %v: %s", status, err, body)
	}
	if err := a.pc.Close(); err != nil {
		tb.Error(err)
	}
	_ = a.socket.Close() // the mux has closed it
}

// kill makes the viewer vanish as a killed process does: no message, and a closed port.
func (a *audience) kill(tb testing.TB) {
	tb.Helper()
	a.socket.cut.Store(true)
	if err := a.socket.Close(); err != nil {
		tb.Error(err)
	}
	_ = a.pc.Close() // by a socket that is gone
}

// id is the session's.
func (a *audience) id() string { return a.path[strings.LastIndex(a.path, "/")+1:] }

// waitMedia waits until packets have arrived.
func (a *audience) waitMedia(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	for tick := time.NewTicker(2 * time.Millisecond); a.packets.Load() == 0; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatal("no packet in time")
		}
	}
}

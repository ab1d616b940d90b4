package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"wavryhost/session/rift"
	"wavryhost/session/wire"
)

// The limits of an offer. A browser's has a few kilobytes and as many sections as it has tracks.
const (
	maxOffer    = 256 << 10
	maxSections = 16
)

// skipped tells whether err says that a candidate is of a kind that cannot be used, rather than malformed.
func skipped(err error) bool {
	return errors.Is(err, ice.ErrUnknownCandidateTyp) || errors.Is(err, ice.ErrDetermineNetworkType)
}

// parseOffer checks that text is a session description that this host can answer.
func parseOffer(text string) (*sdp.SessionDescription, error) {
	if len(text) > maxOffer {
		return nil, fmt.Errorf("%w: %d bytes are over %d", ErrBadOffer, len(text), maxOffer)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadOffer, err)
	}
	if n := len(d.MediaDescriptions); n == 0 || n > maxSections {
		return nil, fmt.Errorf("%w: %d media sections are not from 1 to %d", ErrBadOffer, n, maxSections)
	}
	for _, name := range []string{"ice-ufrag", "ice-pwd", "fingerprint"} {
		if !everywhere(&d, name) {
			return nil, fmt.Errorf("%w: no %s", ErrBadOffer, name)
		}
	}
	if f := fragmentOf(&d); !iceChars(f.ufrag, 4) || !iceChars(f.pwd, 22) {
		return nil, fmt.Errorf("%w: ICE credentials are malformed", ErrBadOffer)
	}
	candidates := 0
	for _, m := range d.MediaDescriptions {
		for _, a := range m.Attributes {
			if a.Key == "candidate" {
				candidates++
				if err := checkCandidate(a.Value); err != nil {
					return nil, err
				}
			}
		}
	}
	if candidates > maxCandidates*len(d.MediaDescriptions) {
		return nil, fmt.Errorf("%w: %d candidates", ErrBadOffer, candidates)
	}
	if err := acceptable(&d); err != nil {
		return nil, err
	}
	return &d, checkData(&d)
}

// checkData checks the sections for data channels (RFC 8841), of which there is one at most.
func checkData(d *sdp.SessionDescription) error {
	found := false
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media != "application" {
			continue
		}
		if _, bundled := m.Attribute("bundle-only"); m.MediaName.Port.Value == 0 && !bundled {
			continue
		}
		switch proto := strings.Join(m.MediaName.Protos, "/"); {
		case found:
			return fmt.Errorf("%w: two sections for data channels", ErrBadOffer)
		case proto != "UDP/DTLS/SCTP" && proto != "TCP/DTLS/SCTP":
			return fmt.Errorf("%w: data channels over %.40q", ErrBadOffer, proto)
		case !slices.Equal(m.MediaName.Formats, []string{"webrtc-datachannel"}):
			return fmt.Errorf("%w: data channels of another kind than webrtc-datachannel", ErrBadOffer)
		}
		port, _ := m.Attribute("sctp-port")
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%w: %.40q is no SCTP port", ErrBadOffer, port)
		}
		found = true
	}
	return nil
}

// everywhere tells whether all sections in use have an attribute, of their own or the session's.
func everywhere(d *sdp.SessionDescription, name string) bool {
	if _, ok := d.Attribute(name); ok {
		return true
	}
	for i, m := range d.MediaDescriptions {
		// Only the first of a bundle needs to have it (RFC 9143, section 7.1.3).
		if _, ok := m.Attribute(name); !ok && i == 0 {
			return false
		}
	}
	return true
}

// acceptable tells whether a video stream can be sent to who offers d.
func acceptable(d *sdp.SessionDescription) error {
	video, receiving := false, false
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media != "video" {
			continue
		}
		if _, bundled := m.Attribute("bundle-only"); m.MediaName.Port.Value == 0 && !bundled {
			continue
		}
		video = true
		if !receives(d, m) {
			continue
		}
		receiving = true
		for _, a := range m.Attributes {
			if a.Key != "rtpmap" {
				continue
			}
			if _, codec, _ := strings.Cut(a.Value, " "); strings.HasPrefix(strings.ToUpper(codec), "H264/90000") {
				return nil
			}
		}
	}
	switch {
	case !video:
		return fmt.Errorf("%w: it has no video section", ErrUnacceptable)
	case !receiving:
		return fmt.Errorf("%w: it does not receive video", ErrUnacceptable)
	default:
		return fmt.Errorf("%w: it does not receive H.264", ErrUnacceptable)
	}
}

// receives tells whether the peer of section m wants to receive. Without a direction it does (RFC 8866, section 6.7).
func receives(d *sdp.SessionDescription, m *sdp.MediaDescription) bool {
	for _, list := range [][]sdp.Attribute{m.Attributes, d.Attributes} {
		for _, a := range list {
			switch a.Key {
			case "recvonly", "sendrecv":
				return true
			case "sendonly", "inactive":
				return false
			}
		}
	}
	return true
}

// settings returns how pion is to use the network.
func settings(cfg Config, log *slog.Logger) (webrtc.SettingEngine, error) {
	se := webrtc.SettingEngine{LoggerFactory: pionLog{log}}
	// The deadlines are the session's own; pion's are set so that it never gives up before.
	se.SetICETimeouts(5*time.Second, cfg.ConnectTimeout+cfg.DisconnectTimeout+time.Minute, 2*time.Second)
	se.SetSCTPMaxMessageSize(rift.MaxMessage)
	se.SetSCTPMaxReceiveBufferSize(sctpBuffer)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	if cfg.UDPPortMax > 0 {
		if err := se.SetEphemeralUDPPortRange(cfg.UDPPortMin, cfg.UDPPortMax); err != nil {
			return se, fmt.Errorf("session: port range %d to %d: %w", cfg.UDPPortMin, cfg.UDPPortMax, err)
		}
	}
	if len(cfg.Interfaces) > 0 {
		se.SetInterfaceFilter(func(name string) bool { return slices.Contains(cfg.Interfaces, name) })
	}
	if keep := cfg.keeps(); keep != nil {
		se.SetIPFilter(keep)
	}
	if cfg.Loopback {
		se.SetIncludeLoopbackCandidate(true)
		se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
		// Names of mDNS are asked for on the network. A browser on this machine is found without: its checks come in first.
		se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	}
	if len(cfg.NAT1To1) > 0 {
		err := se.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
			External: cfg.NAT1To1, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
		})
		if err != nil {
			return se, fmt.Errorf("session: public addresses %v: %w", cfg.NAT1To1, err)
		}
	}
	return se, nil
}

// keeps tells which local addresses are used; it is nil where all are.
func (c Config) keeps() func(net.IP) bool {
	switch {
	case c.Loopback:
		return func(ip net.IP) bool { return ip.Equal(net.IPv4(127, 0, 0, 1)) }
	case len(c.Addresses) == 0:
		return nil
	}
	return func(ip net.IP) bool {
		a, ok := netip.AddrFromSlice(ip)
		return ok && slices.ContainsFunc(c.Addresses, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
	}
}

// peer is the peer connection of one viewer.
type peer struct {
	pc     *webrtc.PeerConnection
	sender *webrtc.RTPSender
	track  *wire.Track
	gather time.Duration
}

// newPeer makes a peer connection that sends through link.
func newPeer(link *wire.Link, cfg Config, se webrtc.SettingEngine, id string) (*peer, error) {
	api, err := link.NewAPI(se)
	if err != nil {
		return nil, err
	}
	track, err := link.NewTrack("screen", id)
	if err != nil {
		return nil, err
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{
		ICEServers: cfg.iceServers(id, time.Now()), BundlePolicy: webrtc.BundlePolicyMaxBundle,
	})
	if err != nil {
		return nil, fmt.Errorf("make peer connection: %w", err)
	}
	return &peer{pc: pc, track: track, gather: cfg.GatherTimeout}, nil
}

// answer applies the first offer and returns the answer, candidates included.
func (p *peer) answer(ctx context.Context, offer string) (string, error) {
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", refusal(err)
	}
	sender, err := p.pc.AddTrack(p.track.Local())
	if err != nil {
		return "", refusal(err)
	}
	p.sender = sender
	d, err := p.respond(ctx)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(d.MediaDescriptions, sends) {
		return "", fmt.Errorf("%w: no video stream was agreed on", ErrUnacceptable)
	}
	text, err := d.Marshal()
	if err != nil {
		return "", fmt.Errorf("marshal answer: %w", err)
	}
	return string(text), nil
}

// sends tells whether section m of an answer carries video to the viewer.
func sends(m *sdp.MediaDescription) bool {
	_, only := m.Attribute("sendonly")
	_, both := m.Attribute("sendrecv")
	return m.MediaName.Media == "video" && m.MediaName.Port.Value != 0 && (only || both)
}

// identify gives the sections of an answer that have none the identification of the offer's. pion leaves it away where it
// rejects a section, though it belongs there (RFC 8829, section 5.3.1), and refuses such an answer itself later on.
func identify(answer, offer *sdp.SessionDescription) {
	for i, m := range answer.MediaDescriptions {
		if _, ok := m.Attribute("mid"); ok || i >= len(offer.MediaDescriptions) {
			continue
		}
		if mid, ok := offer.MediaDescriptions[i].Attribute("mid"); ok {
			m.Attributes = append(m.Attributes, sdp.NewAttribute("mid", mid))
		}
	}
}

// refusal tells a description that is wrong from one that cannot be answered.
func refusal(err error) error {
	if errors.Is(err, webrtc.ErrUnsupportedCodec) || errors.Is(err, webrtc.ErrCodecNotFound) ||
		errors.Is(err, webrtc.ErrNoCodecsAvailable) {
		return fmt.Errorf("%w: %w", ErrUnacceptable, err)
	}
	return fmt.Errorf("%w: %w", ErrBadOffer, err)
}

// respond makes and applies the answer to the offer that was applied, and waits for its candidates.
func (p *peer) respond(ctx context.Context) (*sdp.SessionDescription, error) {
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return nil, refusal(err)
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return nil, refusal(err)
	}
	// Host candidates are there at once. What a STUN or TURN server has not given by then stays out.
	timeout := time.NewTimer(p.gather)
	defer timeout.Stop()
	select {
	case <-gathered:
	case <-timeout.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var own, offer sdp.SessionDescription
	if err := own.UnmarshalString(p.pc.LocalDescription().SDP); err != nil {
		return nil, fmt.Errorf("parse own description: %w", err)
	}
	if err := offer.UnmarshalString(p.pc.RemoteDescription().SDP); err != nil {
		return nil, fmt.Errorf("parse offer: %w", err)
	}
	identify(&own, &offer)
	return &own, nil
}

// restart begins a new ICE session with the credentials of f and returns this host's.
func (p *peer) restart(ctx context.Context, f fragment) (fragment, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(p.pc.RemoteDescription().SDP); err != nil {
		return f, fmt.Errorf("parse offer: %w", err)
	}
	next, err := f.restarted(&d)
	if err != nil {
		return f, err
	}
	text, err := next.Marshal()
	if err != nil {
		return f, fmt.Errorf("marshal offer: %w", err)
	}
	err = p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(text)})
	if err != nil {
		return f, refusal(err)
	}
	own, err := p.respond(ctx)
	if err != nil {
		return f, err
	}
	return fragmentOf(own), nil
}

// trickle adds the candidates of f.
func (p *peer) trickle(f fragment) error {
	for _, c := range f.candidates {
		if err := p.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c}); err != nil {
			return fmt.Errorf("%w: candidate %.80q: %w", ErrBadOffer, c, err)
		}
	}
	return nil
}

// ufrag returns the viewer's user fragment.
func (p *peer) ufrag() string {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(p.pc.RemoteDescription().SDP); err != nil {
		return ""
	}
	return fragmentOf(&d).ufrag
}

// facts tells how the transport is.
func (p *peer) facts() facts {
	f := facts{conn: p.pc.ConnectionState(), ice: p.pc.ICEConnectionState()}
	if t := p.sender.Transport(); t != nil {
		f.dtls = t.State()
	}
	return f
}

// path returns whether the selected candidate pair is direct or relayed, empty when there is none.
func (p *peer) path() string {
	t := p.sender.Transport()
	if t == nil {
		return ""
	}
	pair, err := t.ICETransport().GetSelectedCandidatePair()
	switch {
	case err != nil || pair == nil:
		return ""
	case pair.Local.Typ == webrtc.ICECandidateTypeRelay || pair.Remote.Typ == webrtc.ICECandidateTypeRelay:
		return pathRelay
	default:
		return pathDirect
	}
}

package session

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"wavryhost/session/relay"
	"wavryhost/session/rift"
	"wavryhost/session/wire"
)

// settings returns how pion is to use the network.
func settings(cfg Config, log *slog.Logger) (webrtc.SettingEngine, error) {
	se := webrtc.SettingEngine{LoggerFactory: pionLog{log}}
	// The deadlines are the session's own; pion's are set so that it never gives up before.
	askEach(&se, cfg, iceAsks)
	se.SetSCTPMaxMessageSize(rift.MaxMessage)
	se.SetSCTPMaxReceiveBufferSize(sctpBuffer)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	// A lost packet of a handshake must not cost a second, as it does by default (RFC 6347, section 4.2.4.1). The interval doubles
	// with each attempt; browsers begin with 50 ms, too.
	se.SetDTLSRetransmissionInterval(50 * time.Millisecond)
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
	// Viewers connect to media_tcp_port; this host opens no connection to an address that a viewer names.
	se.DisableActiveTCP(true)
	se.SetRemoteIPFilter(cfg.reachesIP)
	if cfg.Loopback {
		se.SetIncludeLoopbackCandidate(true)
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

// askEach sets how often ICE asks whether the viewer is there.
func askEach(se *webrtc.SettingEngine, cfg Config, every time.Duration) {
	se.SetICETimeouts(iceSilence, cfg.ConnectTimeout+cfg.DisconnectTimeout+time.Minute, every)
}

// keeps tells which local addresses are used; it is nil where all are.
func (c Config) keeps() func(net.IP) bool {
	switch {
	case c.Loopback:
		return func(ip net.IP) bool {
			a, ok := netip.AddrFromSlice(ip)
			return ok && (a.Unmap() == loopback4 || a == loopback6) && a.Unmap() == c.loopback()
		}
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
	offer  *offer
	codec  string
	form   string   // the fmtp of the answer, empty for that of the codec
	remote fragment // the viewer's ICE session
	round  uint64   // counts the offers that pion was given
	sender *webrtc.RTPSender
	track  *wire.Track
	gather time.Duration
	// choose returns the STUN and TURN servers to use at the moment, asked those that are in use, and barren tells that they include
	// relays none of which gave an address.
	choose func() []relay.Server
	asked  []relay.Server
	barren bool
	// theirs are the viewer's candidates; ours are this host's, and guarded with barren by mu.
	theirs candidates
	mu     sync.Mutex
	ours   kinds
	// relayAt is the candidate that relayOver is the relay's protocol of. They belong to the viewer's goroutine.
	relayAt   webrtc.ICECandidate
	relayOver string
	// certified: one of several fingerprints was found to match.
	certified atomic.Bool
	// prefixes returns the networks that this machine is part of.
	prefixes func() ([]netip.Prefix, error)
}

// newPeer makes a peer connection that answers o and sends a codec through link.
func newPeer(link *wire.Link, cfg Config, se webrtc.SettingEngine, id string, o *offer, codec string, choose func() []relay.Server) (*peer, error) {
	// pion checks one fingerprint; where there are more, verified does.
	se.DisableCertificateFingerprintVerification(len(o.fingerprints) > 1)
	api, err := link.NewAPI(se)
	if err != nil {
		return nil, err
	}
	track, err := link.NewTrack("screen", id)
	if err != nil {
		return nil, err
	}
	p := &peer{offer: o, codec: codec, track: track, gather: cfg.GatherTimeout, choose: choose, asked: choose()}
	p.theirs.reaches, p.theirs.limits = cfg.reaches, newRemoteLimits()
	p.pc, err = api.NewPeerConnection(configuration(p.asked))
	if err != nil {
		return nil, fmt.Errorf("make peer connection: %w", err)
	}
	return p, nil
}

// configuration is that of a peer connection which uses servers.
func configuration(servers []relay.Server) webrtc.Configuration {
	c := webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle}
	for _, s := range servers {
		c.ICEServers = append(c.ICEServers, webrtc.ICEServer{URLs: s.URLs, Username: s.Username, Credential: s.Credential})
	}
	return c
}

// answer applies the offer and returns the answer, candidates included.
func (p *peer) answer(ctx context.Context) (string, error) {
	p.theirs.begin()
	p.remote = fragment{ufrag: p.offer.ufrag, pwd: p.offer.pwd, candidates: p.theirs.take(p.offer.candidates)}
	if err := p.apply(); err != nil {
		return "", err
	}
	sender, err := p.pc.AddTrack(p.track.Local())
	if err != nil {
		return "", refusal(err)
	}
	p.sender = sender
	own, err := p.respond(ctx)
	if err != nil {
		return "", err
	}
	text, err := own.Marshal()
	if err != nil {
		return "", fmt.Errorf("marshal answer: %w", err)
	}
	return string(text), nil
}

// apply gives pion the viewer's side of the session.
func (p *peer) apply() error {
	p.round++
	text, err := p.offer.remote(p.codec, p.remote, p.round).Marshal()
	if err != nil {
		return fmt.Errorf("marshal offer: %w", err)
	}
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(text)}); err != nil {
		return refusal(err)
	}
	return nil
}

// respond makes and applies the answer to the offer that was applied, waits for its candidates, and checks it.
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
	var parsed sdp.SessionDescription
	if err := parsed.UnmarshalString(p.pc.LocalDescription().SDP); err != nil {
		return nil, fmt.Errorf("parse own description: %w", err)
	}
	own, err := p.offer.answered(&parsed, p.codec, p.form)
	if err != nil {
		return nil, err
	}
	if err := p.offer.check(own, p.codec); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ours = kinds{}
	for _, c := range iceOf(own.MediaDescriptions[p.offer.tag]).candidates {
		if isRelayed(c) {
			p.ours.relays++
		} else {
			p.ours.others++
		}
	}
	p.barren = relay.Any(p.asked) && p.ours.relays == 0
	return own, nil
}

// restart begins a new ICE session with the credentials of f and returns this host's.
func (p *peer) restart(ctx context.Context, f fragment) (fragment, error) {
	if err := p.theirs.limits.restart(time.Now()); err != nil {
		return f, err
	}
	p.theirs.begin()
	p.remote = fragment{ufrag: f.ufrag, pwd: f.pwd, candidates: p.theirs.take(f.candidates)}
	// The server that the path went through may be what is lost, and credentials age.
	p.asked = p.choose()
	if err := p.pc.SetConfiguration(configuration(p.asked)); err != nil {
		return f, fmt.Errorf("replace ICE servers: %w", err)
	}
	if err := p.apply(); err != nil {
		return f, err
	}
	own, err := p.respond(ctx)
	if err != nil {
		return f, err
	}
	tag := own.MediaDescriptions[p.offer.tag]
	next := iceOf(tag)
	next.media, next.mid = tag.MediaName.String(), p.offer.sections[p.offer.tag].mid()
	return next, nil
}

// isRelayed tells whether a candidate, as in a description, is an address at a relay.
func isRelayed(candidate string) bool {
	f := strings.Fields(candidate)
	return len(f) >= 8 && f[6] == "typ" && f[7] == "relay"
}

// trickle adds the candidates of f. Those that cannot be used are skipped; it is an error when none can.
func (p *peer) trickle(f fragment) error {
	var failed error
	added := 0
	for _, c := range p.theirs.take(f.candidates) {
		if err := p.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c}); err != nil {
			failed = fmt.Errorf("%w: candidate %.80q: %w", ErrBadOffer, c, err)
			continue
		}
		added++
	}
	if added > 0 {
		return nil
	}
	return failed
}

// facts tells how the transport is.
func (p *peer) facts() facts {
	f := facts{conn: p.pc.ConnectionState(), ice: p.pc.ICEConnectionState()}
	if t := p.sender.Transport(); t != nil {
		f.dtls = t.State()
		if f.dtls == webrtc.DTLSTransportStateConnected && p.verified() != nil {
			f.dtls, f.conn = webrtc.DTLSTransportStateFailed, webrtc.PeerConnectionStateFailed
		}
	}
	return f
}

// verified demands of a viewer that told several fingerprints that its certificate has one of them. Nothing is sent to it before, nor taken of it.
func (p *peer) verified() error {
	if len(p.offer.fingerprints) < 2 || p.certified.Load() {
		return nil
	}
	t := p.sender.Transport()
	if t == nil {
		return errFingerprint
	}
	if err := checkCertificate(t.GetRemoteCertificate(), p.offer.fingerprints); err != nil {
		return err
	}
	p.certified.Store(true)
	return nil
}

// whyNoPath returns why ICE failed.
func (p *peer) whyNoPath() (cause string, err error) {
	p.mu.Lock()
	ours, barren := p.ours, p.barren
	p.mu.Unlock()
	return whyNoPath(p.theirs.told(), ours, barren)
}

// way is how media goes.
type way struct {
	path, protocol string // empty where no pair is selected
	// guessed: the viewer's end has not told its address, so that a relay of the viewer's own looks like the viewer.
	guessed bool
}

// String returns what events call it.
func (w way) String() string { return w.path + "/" + w.protocol }

// way returns how media goes by the selected candidate pair.
func (p *peer) way() way {
	t := p.sender.Transport()
	if t == nil {
		return way{}
	}
	pair, err := t.ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return way{}
	}
	w := way{path: pathDirect, protocol: pair.Local.Protocol.String()}
	switch {
	case pair.Local.Typ == webrtc.ICECandidateTypeRelay:
		w.path, w.protocol = pathRelay, p.relayProtocol(*pair.Local)
	case pair.Remote.Typ == webrtc.ICECandidateTypeRelay:
		w.path = pathRelay
	default:
		w.guessed = pair.Remote.Typ == webrtc.ICECandidateTypePrflx
	}
	return w
}

// relayProtocol returns what goes between this host and the relay that has given it candidate c.
func (p *peer) relayProtocol(c webrtc.ICECandidate) string {
	if p.relayOver != "" && p.relayAt.Address == c.Address && p.relayAt.Port == c.Port {
		return p.relayOver // the statistics are dear
	}
	p.relayAt, p.relayOver = c, protocolUDP
	for _, s := range p.pc.GetStats() {
		one, ok := s.(webrtc.ICECandidateStats)
		if !ok || one.Type != webrtc.StatsTypeLocalCandidate || one.IP != c.Address || one.Port != int32(c.Port) {
			continue
		}
		if one.RelayProtocol == "tcp" || one.RelayProtocol == "tls" {
			p.relayOver = protocolTCP
		}
	}
	return p.relayOver
}

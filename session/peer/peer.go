package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"

	"wavryhost/encode"
	"wavryhost/platform/guard"
	"wavryhost/session/relay"
	"wavryhost/session/wire"
)

const (
	// iceInterval is the interval of ICE checks on the selected pair. iceSilence is the time without a response after
	// which the peer is disconnected. pion looks once every interval.
	iceInterval = time.Second
	iceSilence  = 5 * time.Second
	// DetectionTime is the longest time from the loss of a path to State.Connected turning false.
	DetectionTime = iceSilence + iceInterval
	// echoInterval replaces iceInterval for a viewer that does not report on single packets: the round trips of the
	// checks show a queue one second earlier than its reports. It costs 4 kbit/s in each direction.
	echoInterval = 250 * time.Millisecond
	// rtcpSize bounds a compound RTCP packet.
	rtcpSize = 1500
)

// PartTransport is the name of pion's callbacks for package guard.
const PartTransport = "transport"

// Params are the parameters of one peer.
type Params struct {
	// ID is the id of the media stream in the answer.
	ID    string
	Offer *Offer
	// Formats are the formats to send, of Offer.Formats. The first one is sent first.
	Formats []encode.Format
	// Largest is the largest stream that the viewer may be sent. The answer states its level.
	Largest encode.Stream
	// GatherTimeout bounds the wait for candidates of STUN and TURN servers.
	GatherTimeout time.Duration
	// FailAfter is the time without a path after which pion gives up. It must be longer than the deadlines of the
	// caller.
	FailAfter time.Duration
	// Relays returns the STUN and TURN servers to use. It is called for the answer and for each ICE restart.
	Relays func() []relay.Server
	Log    *slog.Logger
	// Guard catches panics in callbacks of pion.
	Guard *guard.Guard
}

// Peer is the peer connection of one viewer. One goroutine calls Route, RoundTrip and Local, and one calls Receive.
// The other methods may be called by any goroutine.
type Peer struct {
	params  Params
	network *Network
	net     interfaces
	// payloads are the payload types of the formats.
	payloads []*PayloadType
	pc       *webrtc.PeerConnection
	rtp      *webrtc.RTPSender
	sender   *wire.Sender
	track    *wire.Track
	theirs   *candidates
	// certified: the viewer's certificate has one of its fingerprints.
	certified atomic.Bool
	relayed   relayProtocol
	// echoed is the sum of the round trips at the last call of RoundTrip.
	echoed float64

	signal    sync.Mutex // held while a description or a candidate is applied; guards the next four fields
	remote    Fragment   // the viewer's ICE session
	version   uint64     // of the offers to pion
	etag      string
	restarted restarted

	mu           sync.Mutex // guards the rest
	servers      []relay.Server
	ours         counts // this host's candidates
	relaysFailed bool   // servers include relays, and none gave an address
}

// NewPeer returns a peer that answers an offer and sends through sender. The caller must close it.
func (n *Network) NewPeer(params Params, sender *wire.Sender) (*Peer, error) {
	p := &Peer{
		params: params, network: n, sender: sender, etag: newETag(),
		theirs: newCandidates(n.cfg.reaches), servers: params.Relays(),
	}
	for _, format := range params.Formats {
		p.payloads = append(p.payloads, params.Offer.PayloadType(format))
	}
	network, err := n.open(params.GatherTimeout)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoNetwork, err)
	}
	p.net = network
	se := n.engine
	se.SetNet(network)
	se.LoggerFactory = NewLoggerFactory(params.Log)
	interval := iceInterval
	if !p.payloads[0].ReportsPackets() {
		interval = echoInterval
	}
	se.SetICETimeouts(iceSilence, params.FailAfter, interval)
	// pion checks only one fingerprint; verified checks several.
	se.DisableCertificateFingerprintVerification(len(params.Offer.fingerprints) > 1)
	nominated := new(nomination)
	se.SetICEBindingRequestHandler(func(m *stun.Message, local, remote ice.Candidate, pair *ice.CandidatePair) bool {
		defer params.Guard.Recover(PartTransport)
		return nominated.follow(m, local, remote, pair)
	})
	api, err := sender.NewAPI(se)
	if err != nil {
		return nil, err
	}
	if p.track, err = sender.NewTrack("screen", params.ID); err != nil {
		return nil, err
	}
	if p.pc, err = api.NewPeerConnection(configuration(p.servers)); err != nil {
		return nil, fmt.Errorf("make peer connection: %w", err)
	}
	return p, nil
}

// configuration returns the configuration of a peer connection that uses servers.
func configuration(servers []relay.Server) webrtc.Configuration {
	c := webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle}
	for _, s := range servers {
		c.ICEServers = append(c.ICEServers, webrtc.ICEServer{
			URLs: s.URLs, Username: s.Username, Credential: s.Credential,
		})
	}
	return c
}

// Close closes the peer connection and waits for its goroutines.
func (p *Peer) Close() error { return p.pc.GracefulClose() }

// Track returns the track that the peer sends.
func (p *Peer) Track() *wire.Track { return p.track }

// Fmtp returns the fmtp line of the answer for the first format, or an empty string.
func (p *Peer) Fmtp() string { return p.payloads[0].fmtp(p.params.Largest) }

// ETag returns the entity tag of the ICE session, with quotes (RFC 9725, section 4.3).
func (p *Peer) ETag() string {
	p.signal.Lock()
	defer p.signal.Unlock()
	return p.etag
}

// OnChange makes f called when State may have changed. It must be called once, before Answer is sent.
func (p *Peer) OnChange(f func()) {
	p.pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) { f() })
	p.pc.OnICEConnectionStateChange(func(webrtc.ICEConnectionState) { f() })
}

// OnDataChannel makes f called for each data channel of the viewer, once the certificate is verified.
func (p *Peer) OnDataChannel(f func(*Channel)) {
	p.pc.OnDataChannel(func(d *webrtc.DataChannel) {
		defer p.params.Guard.Recover(PartTransport)
		if p.verified() != nil {
			_ = d.Close()
			return
		}
		f(&Channel{d})
	})
}

// Answer applies the offer and returns the answer with all candidates.
func (p *Peer) Answer(ctx context.Context) (string, error) {
	p.signal.Lock()
	defer p.signal.Unlock()
	o := p.params.Offer
	p.remote = Fragment{ufrag: o.ufrag, pwd: o.pwd, candidates: p.theirs.admit(o.candidates)}
	if err := p.apply(); err != nil {
		return "", err
	}
	rtp, err := p.pc.AddTrack(p.track)
	if err != nil {
		return "", refusal(err)
	}
	p.rtp = rtp
	own, err := p.respond(ctx)
	if errors.Is(err, ErrNoNetwork) {
		return "", fmt.Errorf("%w: %s", err, p.network.whyNoAddress())
	}
	if err != nil {
		return "", err
	}
	text, err := own.Marshal()
	if err != nil {
		return "", fmt.Errorf("marshal answer: %w", err)
	}
	return string(text), nil
}

// apply gives pion the viewer's side of the session. The caller holds signal.
func (p *Peer) apply() error {
	p.version++
	text, err := p.params.Offer.forPion(p.payloads, p.remote, p.version).Marshal()
	if err != nil {
		return fmt.Errorf("marshal offer: %w", err)
	}
	offer := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(text)}
	if err := p.pc.SetRemoteDescription(offer); err != nil {
		return refusal(err)
	}
	return nil
}

// respond makes and applies the answer to the applied offer, waits for its candidates, and checks it. The caller holds
// signal.
func (p *Peer) respond(ctx context.Context) (*sdp.SessionDescription, error) {
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return nil, refusal(err)
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return nil, refusal(err)
	}
	// Host candidates are there at once. The answer leaves out what STUN and TURN servers have not given in time.
	timeout := time.NewTimer(p.params.GatherTimeout)
	defer timeout.Stop()
	select {
	case <-gathered:
	case <-timeout.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var own sdp.SessionDescription
	if err := own.UnmarshalString(p.pc.LocalDescription().SDP); err != nil {
		return nil, fmt.Errorf("parse pion's answer: %w", err)
	}
	o := p.params.Offer
	a, err := o.answer(&own, p.payloads, p.params.Largest)
	if err != nil {
		return nil, err
	}
	if err := o.check(a, p.payloads); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ours = counts{}
	for _, c := range iceOf(a.MediaDescriptions[o.tag]).candidates {
		if isRelayed(c) {
			p.ours.relays++
		} else {
			p.ours.others++
		}
	}
	p.relaysFailed = relay.Any(p.servers) && p.ours.relays == 0
	return a, nil
}

// refusal returns pion's error as ErrUnacceptable or ErrBadOffer.
func refusal(err error) error {
	if errors.Is(err, webrtc.ErrUnsupportedCodec) || errors.Is(err, webrtc.ErrCodecNotFound) ||
		errors.Is(err, webrtc.ErrNoCodecsAvailable) {
		return fmt.Errorf("%w: %w", ErrUnacceptable, err)
	}
	return fmt.Errorf("%w: %w", ErrBadOffer, err)
}

// FailedRelays returns the STUN and TURN servers in use, if they include relays and none gave an address, and nil
// otherwise.
func (p *Peer) FailedRelays() []relay.Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.relaysFailed {
		return nil
	}
	return p.servers
}

// Receive waits for RTCP and returns what it reports. It fails once the peer is closed.
func (p *Peer) Receive() (wire.Report, error) {
	buffer := make([]byte, rtcpSize)
	for {
		n, _, err := p.rtp.Read(buffer)
		if err != nil {
			return wire.Report{}, err
		}
		packets, err := rtcp.Unmarshal(buffer[:n])
		if err == nil {
			return p.sender.Receive(time.Now(), packets), nil
		}
		p.params.Log.Debug("malformed RTCP", "err", err)
	}
}

// State is the state of a peer's transport at one moment.
type State struct {
	// Reached: ICE is connected.
	Reached bool
	// Connected: ICE and DTLS are connected, and the certificate has a fingerprint of the offer.
	Connected bool
	// Failed: pion gave up.
	Failed bool
	// HandshakeFailed: DTLS failed, or the certificate is wrong.
	HandshakeFailed bool
	// Closed: either side closed the connection.
	Closed bool
}

// State returns the state of the transport. pion's callbacks come in no particular order, so they are only hints to
// call State.
func (p *Peer) State() State {
	conn, ice := p.pc.ConnectionState(), p.pc.ICEConnectionState()
	s := State{
		Reached:   ice == webrtc.ICEConnectionStateConnected || ice == webrtc.ICEConnectionStateCompleted,
		Connected: conn == webrtc.PeerConnectionStateConnected,
		Failed:    conn == webrtc.PeerConnectionStateFailed,
		Closed:    conn == webrtc.PeerConnectionStateClosed,
	}
	t := p.rtp.Transport()
	if t == nil {
		return s
	}
	dtls := t.State()
	if dtls == webrtc.DTLSTransportStateConnected && p.verified() != nil {
		return State{Reached: s.Reached, Failed: true, HandshakeFailed: true}
	}
	s.HandshakeFailed = dtls == webrtc.DTLSTransportStateFailed
	s.Closed = s.Closed || dtls == webrtc.DTLSTransportStateClosed
	return s
}

// verified returns an error unless the viewer's certificate has a fingerprint of the offer. pion verifies a single
// fingerprint itself. Nothing is sent to the viewer before, or accepted from it.
func (p *Peer) verified() error {
	fingerprints := p.params.Offer.fingerprints
	if len(fingerprints) < 2 || p.certified.Load() {
		return nil
	}
	t := p.rtp.Transport()
	if t == nil {
		return errFingerprint
	}
	if err := checkCertificate(t.GetRemoteCertificate(), fingerprints); err != nil {
		return err
	}
	p.certified.Store(true)
	return nil
}

// WhyNoPath returns the cause of an ICE failure, one of Causes, and an error that explains it.
func (p *Peer) WhyNoPath() (cause string, err error) {
	p.mu.Lock()
	ours, failed := p.ours, p.relaysFailed
	p.mu.Unlock()
	return whyNoPath(p.theirs.count(), ours, failed)
}

// localPrefixes returns the networks of this machine.
func (p *Peer) localPrefixes() ([]netip.Prefix, error) { return localPrefixes(p.net) }

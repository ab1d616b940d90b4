package peer

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"
)

const (
	// muxBuffer is the number of packets of a TCP connection that wait to be read.
	muxBuffer = 16
	// sctpBuffer bounds the memory for incomplete and unread messages of a viewer. Beyond it the viewer must wait.
	sctpBuffer = 128 << 10
	// dtlsRetransmission is the time after which a lost packet of a handshake is repeated. It doubles with each
	// attempt. pion's default is a second (RFC 6347, section 4.2.4.1); browsers begin with 50 ms, too.
	dtlsRetransmission = 50 * time.Millisecond
)

// Network is what all peers share: the settings of pion, the media ports and the addresses of this host.
type Network struct {
	cfg    Config
	log    *slog.Logger
	engine webrtc.SettingEngine
	port   *mediaPort // nil with Config.Net
	// listener is that of MediaTCPPort; nil for none.
	listener *net.TCPListener
	closers  []io.Closer
	open     func(limit time.Duration) (transport.Net, error)
}

// NewNetwork opens the media ports. The caller must close the Network after its peers.
func NewNetwork(cfg Config, log *slog.Logger) (_ *Network, err error) {
	n := &Network{cfg: cfg, log: log, open: cfg.Net}
	if n.engine, err = settings(cfg, log); err != nil {
		return nil, err
	}
	if n.open != nil {
		return n, nil
	}
	n.open = openNet
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := n.listenUDP(); err != nil {
		return nil, err
	}
	if err := n.listenTCP(); err != nil {
		return nil, err
	}
	return n, nil
}

// Close closes the media ports.
func (n *Network) Close() error {
	var errs []error
	for _, c := range n.closers {
		if err := c.Close(); !errors.Is(err, net.ErrClosed) { // as the listener of a Loan that was retired
			errs = append(errs, err)
		}
	}
	n.closers = nil
	return errors.Join(errs...)
}

// settings returns the settings of pion that all peers share.
func settings(cfg Config, log *slog.Logger) (webrtc.SettingEngine, error) {
	se := webrtc.SettingEngine{LoggerFactory: NewLoggerFactory(log)}
	se.SetSCTPMaxMessageSize(uint32(cfg.MaxMessage))
	se.SetSCTPMaxReceiveBufferSize(sctpBuffer)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	se.SetDTLSRetransmissionInterval(dtlsRetransmission)
	if cfg.UDPPortMax > 0 {
		if err := se.SetEphemeralUDPPortRange(cfg.UDPPortMin, cfg.UDPPortMax); err != nil {
			return se, fmt.Errorf("peer: port range %d to %d: %w", cfg.UDPPortMin, cfg.UDPPortMax, err)
		}
	}
	if len(cfg.Interfaces) > 0 {
		se.SetInterfaceFilter(func(name string) bool { return slices.Contains(cfg.Interfaces, name) })
	}
	if filter := cfg.addressFilter(); filter != nil {
		se.SetIPFilter(filter)
	}
	// Viewers connect to MediaTCPPort. This host opens no connection to an address that a viewer names.
	se.DisableActiveTCP(true)
	se.SetRemoteIPFilter(cfg.reachesIP)
	if cfg.Loopback {
		se.SetIncludeLoopbackCandidate(true)
		// mDNS queries go to the network. A browser on this machine needs none: its checks arrive first.
		se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	}
	if len(cfg.NAT1To1) > 0 {
		err := se.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
			External: cfg.NAT1To1, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
		})
		if err != nil {
			return se, fmt.Errorf("peer: public addresses %v: %w", cfg.NAT1To1, err)
		}
	}
	return se, nil
}

func (n *Network) listenUDP() (err error) {
	n.port, err = newMediaPort(n.cfg, n.log)
	if err != nil {
		return err
	}
	n.closers = append(n.closers, n.port)
	n.engine.SetICEUDPMux(n.port)
	return nil
}

func (n *Network) listenTCP() error {
	if n.cfg.MediaTCPPort == 0 {
		return nil
	}
	host := ""
	if n.cfg.Loopback {
		host = n.cfg.loopback().String()
	}
	address := net.JoinHostPort(host, strconv.Itoa(int(n.cfg.MediaTCPPort)))
	inherited := n.cfg.Heritage.listener(n.cfg.MediaTCPPort)
	ln := inherited
	if ln == nil {
		var err error
		if ln, err = net.Listen("tcp", address); err != nil { //nolint:noctx // it does not wait
			return fmt.Errorf("peer: listen on TCP port %d for media: %w", n.cfg.MediaTCPPort, err)
		}
	}
	n.listener, _ = ln.(*net.TCPListener)
	if inherited != nil {
		ln = &later{Listener: ln, begin: n.cfg.Heritage.Alone, closed: make(chan struct{})}
	}
	cut := n.cfg.OnCut
	if cut == nil {
		cut = func(string) {}
	}
	mux := ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: newMediaGate(ln, n.cfg.MediaTCPConnections, cut), Logger: NewLoggerFactory(n.log).NewLogger("tcp"),
		ReadBufferSize: muxBuffer, WriteBufferSize: tcpQueue,
		FirstStunBindTimeout: tcpFirst, AliveDurationForConnFromStun: tcpFirst,
	})
	n.closers = append(n.closers, mux)
	n.engine.SetICETCPMux(mux)
	n.engine.SetNetworkTypes([]webrtc.NetworkType{
		webrtc.NetworkTypeUDP4, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP6,
	})
	return nil
}

// whyNoAddress returns why an answer has no candidates, in words.
func (n *Network) whyNoAddress() string {
	if n.port != nil {
		if why := n.port.why(); why != "" {
			return why
		}
	}
	return n.cfg.whyNoAddress()
}

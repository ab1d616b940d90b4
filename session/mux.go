package session

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// muxBuffer is how many packets of a TCP connection wait to be read.
const muxBuffer = 16

// multiplex makes all sessions share one UDP port, and one TCP port where that is configured. What it returns is to be closed
// when the sessions are gone.
func multiplex(se *webrtc.SettingEngine, cfg Config, log *slog.Logger, met *Metrics) (port *mediaPort, closers []io.Closer, err error) {
	defer func() {
		if err != nil {
			for _, c := range closers {
				_ = c.Close()
			}
		}
	}()
	port, err = newMediaPort(cfg, log)
	if err != nil {
		return nil, closers, err
	}
	closers = append(closers, port)
	se.SetICEUDPMux(port)
	if cfg.MediaTCPPort > 0 {
		host := ""
		if cfg.Loopback {
			host = cfg.loopback().String()
		}
		ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(cfg.MediaTCPPort)))) //nolint:noctx // it is there at once
		if err != nil {
			return nil, closers, fmt.Errorf("session: listen on TCP port %d for media: %w", cfg.MediaTCPPort, err)
		}
		mux := ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener: newMediaGate(ln, cfg.MediaTCPConnections, func(reason string) { met.mediaCut.WithLabelValues(reason).Inc() }),
			Logger:   pionLog{log}.NewLogger("tcp"), ReadBufferSize: muxBuffer, WriteBufferSize: tcpQueue, FirstStunBindTimeout: tcpFirst,
			AliveDurationForConnFromStun: tcpFirst,
		})
		closers = append(closers, mux)
		se.SetICETCPMux(mux)
		se.SetNetworkTypes([]webrtc.NetworkType{
			webrtc.NetworkTypeUDP4, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP6,
		})
	}
	return port, closers, nil
}

// closeAll closes what multiplex returned.
func closeAll(closers []io.Closer) error {
	var errs []error
	for _, c := range closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

package session

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// muxBuffer is how many packets of a TCP connection wait to be read.
const muxBuffer = 16

// multiplex makes all sessions share one UDP port, and one TCP port, where those are configured. What it returns is to be closed when the sessions are gone.
func multiplex(se *webrtc.SettingEngine, cfg Config) (closers []io.Closer, err error) {
	defer func() {
		if err != nil {
			for _, c := range closers {
				_ = c.Close()
			}
		}
	}()
	if cfg.MediaPort > 0 {
		options := []ice.UDPMuxFromPortOption{ice.UDPMuxFromPortWithReadBufferSize(1 << 20), ice.UDPMuxFromPortWithWriteBufferSize(1 << 20)}
		if keep := cfg.keeps(); keep != nil {
			options = append(options, ice.UDPMuxFromPortWithIPFilter(keep))
		}
		switch {
		case cfg.Loopback:
			options = append(options, ice.UDPMuxFromPortWithLoopback(), ice.UDPMuxFromPortWithNetworks(ice.NetworkTypeUDP4))
		case len(cfg.Interfaces) > 0:
			options = append(options, ice.UDPMuxFromPortWithInterfaceFilter(func(name string) bool { return slices.Contains(cfg.Interfaces, name) }))
		}
		mux, err := ice.NewMultiUDPMuxFromPort(int(cfg.MediaPort), options...)
		if err != nil {
			return closers, fmt.Errorf("session: listen on UDP port %d for media: %w", cfg.MediaPort, err)
		}
		closers = append(closers, mux)
		se.SetICEUDPMux(mux)
	}
	if cfg.MediaTCPPort > 0 {
		host := ""
		if cfg.Loopback {
			host = "127.0.0.1"
		}
		ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(cfg.MediaTCPPort)))) //nolint:noctx // it is there at once
		if err != nil {
			return closers, fmt.Errorf("session: listen on TCP port %d for media: %w", cfg.MediaTCPPort, err)
		}
		mux := webrtc.NewICETCPMux(nil, ln, muxBuffer)
		closers = append(closers, mux)
		se.SetICETCPMux(mux)
		types := []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeTCP4}
		if !cfg.Loopback {
			types = append(types, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP6)
		}
		se.SetNetworkTypes(types)
	}
	return closers, nil
}

// closeAll closes what multiplex returned.
func closeAll(closers []io.Closer) error {
	var errs []error
	for _, c := range closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

package main

import (
	"log/slog"
	"net/netip"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"wavryhost/adapt"
	"wavryhost/cmd/wavry-host/config"
	"wavryhost/encode"
	"wavryhost/platform/pressure"
	"wavryhost/session"
	"wavryhost/session/api"
	"wavryhost/session/api/edge"
	"wavryhost/session/relay"
)

// newRegistry returns the daemon's metrics, with the metrics of the Go runtime and the process.
func newRegistry() *prometheus.Registry {
	b := thisBuild()
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "wavry_host_build_info", Help: "1, with the version of this program as labels.",
	}, []string{"version", "revision", "goversion"})
	info.WithLabelValues(b.Version, b.Revision, b.Go).Set(1)
	reg := prometheus.NewRegistry()
	reg.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// preference returns the aggressiveness with a name, which the table of settings has checked.
func preference(name string) adapt.Aggressiveness {
	return adapt.Aggressiveness(max(0, slices.Index(adapt.AggressivenessNames(), name)))
}

// sessionConfig returns the settings of sessions.
func sessionConfig(
	l *loaded, displays *catalog, candidates []encode.Candidate, load func() session.Load, log *slog.Logger,
) session.Config {
	cfg := sessionLimits(l)
	cfg.Load = load
	cfg.Displays = displays.displays
	cfg.Encoders = factories(&l.Config, candidates, log)
	cfg.EncoderInfo = encoderInfos(candidates)
	cfg.Version = thisBuild().Version
	cfg.OnProbation = l.Probation > 0
	cfg.UDPPortMin, cfg.UDPPortMax = l.UDPPorts.Min, l.UDPPorts.Max
	cfg.Interfaces, cfg.Loopback, cfg.NAT1To1 = l.Interfaces, l.MediaOnLoopback(), l.NAT1To1
	// The table of settings has checked them.
	for _, n := range l.MediaAddresses {
		cfg.Addresses = append(cfg.Addresses, netip.MustParsePrefix(n).Masked())
	}
	for _, n := range l.ViewerNetworks {
		cfg.ViewerNetworks = append(cfg.ViewerNetworks, netip.MustParsePrefix(n).Masked())
	}
	cfg.MediaPort, cfg.MediaTCPPort, cfg.MediaTCPConnections = uint16(
		l.MediaPort,
	), uint16(
		l.MediaTCPPort,
	), l.MediaTCPConnections
	cfg.MTU = l.MediaMTU
	cfg.ShutdownTimeout = l.ShutdownTimeout
	return cfg
}

// encoderInfos returns a function that describes the candidates for the control API.
func encoderInfos(candidates []encode.Candidate) func() []session.EncoderInfo {
	infos := encoderInfo(candidates)
	return func() []session.EncoderInfo { return slices.Clone(infos) }
}

// loadOf returns a function that reports the load of the machine, or nil if the load is unknown. vaapi is the VAAPI
// device for encoding, or empty for FFmpeg's choice.
func loadOf(s *pressure.Sampler, gpus *pressure.GPUs, vaapi string) func() session.Load {
	if s.Read().Cores == 0 {
		return nil
	}
	return func() session.Load {
		r := s.Read()
		return session.Load{
			Cores:       r.Cores,
			CoresUsed:   r.CoresUsed,
			CoresNow:    r.CoresNow,
			MemoryFree:  r.MemoryFree,
			MemoryTotal: r.MemoryTotal,
			CPUStall:    r.CPUStall,
			MemoryStall: r.MemoryStall,
			GPUs:        cards(gpus.Read(), vaapi),
		}
	}
}

// cards converts the graphics cards. Of several with the same API the first one encodes, as FFmpeg chooses, except for
// a configured VAAPI device.
func cards(all []pressure.GPU, vaapi string) []session.GPU {
	var list []session.GPU
	taken := make(map[string]bool)
	for _, g := range all {
		api := g.API
		if taken[api] || api == "vaapi" && vaapi != "" && g.Device != vaapi {
			api = ""
		}
		taken[api] = true
		list = append(list, session.GPU{
			ID:       g.ID,
			Name:     g.Name,
			API:      api,
			Busy:     g.Busy,
			Encoder:  g.Encoder,
			Used:     g.MemoryUsed,
			Total:    g.MemoryTotal,
			Sessions: g.Sessions,
		})
	}
	return list
}

// sessionLimits returns the settings of sessions that can change at run time; see session.Manager.Reconfigure.
func sessionLimits(l *loaded) session.Config {
	cfg := session.Config{
		MaxSessions:       l.MaxSessions,
		MaxPerOwner:       l.MaxSessionsPerOwner,
		MaxEncodings:      l.MaxEncodings,
		Uplink:            l.MaxUplink,
		EncodeLimit:       l.EncoderSessions,
		Probation:         l.Probation,
		ProbationSessions: l.ProbationSessions,
		FPS:               l.FPS,
		MinBitrate:        l.MinBitrate,
		MaxBitrate:        l.MaxBitrate,
		StartBitrate:      l.StartBitrate,
		LocalStartBitrate: l.LocalStartBitrate,
		FixedBitrate:      l.FixedBitrate,
		Prefer:            preference(l.Prefer),
		ConnectTimeout:    l.ConnectTimeout,
		DisconnectTimeout: l.DisconnectTimeout,
		SilenceTimeout:    l.SilenceTimeout,
		Input:             session.InputPolicy(max(0, slices.Index(config.InputPolicies(), l.Input))),
		ControlIdle:       l.ControlIdle,
		GatherTimeout:     l.GatherTimeout,
		Linger:            l.Linger,
		MaxHandshakes:     l.MaxHandshakes,
	}
	for _, r := range l.DisplayRules {
		cfg.Rules = append(cfg.Rules, session.Rule{
			Display: r.Display, Hidden: r.Hidden, MaxViewers: r.MaxViewers, MaxBitrate: r.MaxBitrate, FPS: r.FPS,
			MaxWidth: r.MaxSize.Width, MaxHeight: r.MaxSize.Height, Weight: r.Weight,
		})
	}
	for _, s := range l.ICEServers {
		cfg.ICEServers = append(cfg.ICEServers, relay.Server{
			URLs:       s.URLs,
			Username:   s.Username,
			Credential: s.Credential.Reveal(),
			Secret:     s.Secret.Reveal(),
			Lifetime:   l.TURNLifetime,
			Region:     s.Region,
			Priority:   s.Priority,
		})
	}
	cfg.ICERegions = l.ICERegions
	return cfg
}

// apiConfig returns the settings of the API.
func apiConfig(l *loaded) api.Config {
	cfg := api.Config{
		Listen:                   l.Listen,
		TLSCert:                  l.TLSCert,
		TLSKey:                   l.TLSKey,
		Token:                    l.SharedToken.Reveal(),
		OwnToken:                 l.own.Reveal(),
		AnonymousRole:            l.AnonymousRole,
		TokensFile:               l.TokensFile,
		TLSClientAuth:            l.TLSClientAuth,
		TLSClientCA:              l.TLSClientCA,
		TLSClientRevoked:         l.TLSClientRevoked,
		TLSClientRole:            l.TLSClientRole,
		TLSClientRules:           clientRules(&l.Config),
		AllowedHosts:             l.AllowedHosts,
		AllowedOrigins:           l.AllowedOrigins,
		MaxConnections:           l.MaxConnections,
		MaxConnectionsPerAddress: l.MaxConnectionsPerAddress,
		Limits: edge.Limits{
			PerAddress: l.MaxRequestsPerAddress,
			InAll:      l.MaxRequests,
			Attempts:   l.MaxAttempts,
		},
		Version:         thisBuild().Version,
		Platform:        thisBuild().Platform,
		ShutdownTimeout: l.ShutdownTimeout,
		ProxyHeader:     l.ProxyHeader,
	}
	for _, s := range l.TrustedProxies { // the table of settings has checked them
		n, err := netip.ParsePrefix(s)
		if addr, bad := netip.ParseAddr(s); err != nil && bad == nil {
			n = netip.PrefixFrom(addr, addr.BitLen())
		}
		cfg.TrustedProxies = append(cfg.TrustedProxies, n.Masked())
	}
	return cfg
}

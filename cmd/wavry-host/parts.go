package main

import (
	"cmp"
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
	"wavryhost/session/codec"
	"wavryhost/session/floor"
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
	cfg.Encoders = factories(candidates, log)
	cfg.EncoderInfo = encoderInfos(candidates)
	cfg.Version = thisBuild().Version
	cfg.OnProbation = l.Host.Probation.Time > 0
	cfg.UDPPortMin, cfg.UDPPortMax = l.Media.UDP.Range.Min, l.Media.UDP.Range.Max
	cfg.Interfaces, cfg.Loopback, cfg.NAT1To1 = l.Media.Interfaces, l.MediaOnLoopback(), l.Media.PublicAddresses
	// The table of settings has checked them.
	for _, n := range l.Media.LocalNetworks {
		cfg.Addresses = append(cfg.Addresses, netip.MustParsePrefix(n).Masked())
	}
	for _, n := range l.Media.ViewerNetworks {
		cfg.ViewerNetworks = append(cfg.ViewerNetworks, netip.MustParsePrefix(n).Masked())
	}
	cfg.MediaPort, cfg.MediaTCPPort, cfg.MediaTCPConnections = uint16(
		l.Media.UDP.Port,
	), uint16(
		l.Media.TCP.Port,
	), l.Media.TCP.MaxConnections
	cfg.MTU = l.Media.MTU
	cfg.ShutdownTimeout = l.Timeouts.Shutdown
	return cfg
}

// encoderInfos returns a function that describes the candidates for the control API.
func encoderInfos(candidates []encode.Candidate) func() []session.EncoderInfo {
	infos := encoderInfo(candidates)
	return func() []session.EncoderInfo { return slices.Clone(infos) }
}

// loadOf returns a function that reports the load of the machine, or nil if the load is unknown. vaapi returns the
// VAAPI device for encoding, or nothing for FFmpeg's choice.
func loadOf(s *pressure.Sampler, gpus *pressure.GPUs, vaapi func() string) func() session.Load {
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
			GPUs:        cards(gpus.Read(), vaapi()),
		}
	}
}

// cards converts the graphics cards. VAAPI encodes on all of them or on the configured device. NVENC encodes on the
// first card, as FFmpeg chooses.
func cards(all []pressure.GPU, vaapi string) []session.GPU {
	var list []session.GPU
	taken := make(map[string]bool)
	for _, g := range all {
		api := g.API
		if api != "vaapi" && taken[api] || api == "vaapi" && vaapi != "" && g.Device != vaapi {
			api = ""
		}
		taken[api] = true
		list = append(list, session.GPU{
			ID:       g.ID,
			Name:     g.Name,
			API:      api,
			Device:   g.Device,
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
		MaxSessions:       l.Sessions.Max,
		MaxPerOwner:       l.Sessions.MaxPerOwner,
		MaxEncodings:      l.Displays.MaxEncodings,
		Uplink:            l.Sessions.MaxUplink,
		EncodeLimit:       l.Encoding.MaxGPUSessions,
		AV1:               codec.Mode(l.Encoding.AV1),
		Probation:         l.Host.Probation.Time,
		DrainPostpone:     l.Sessions.DrainPostpone,
		MetricLabels:      l.Sessions.MetricLabels,
		ProbationSessions: l.Host.Probation.Sessions,
		FPS:               l.Displays.FPS,
		MinBitrate:        l.Displays.Bitrate.Min,
		MaxBitrate:        l.Displays.Bitrate.Max,
		StartBitrate:      l.Displays.Bitrate.Start,
		LocalStartBitrate: l.Displays.Bitrate.LocalStart,
		FixedBitrate:      l.Displays.Bitrate.Fixed,
		Prefer:            preference(l.Encoding.Prefer),
		ConnectTimeout:    l.Timeouts.Connect,
		DisconnectTimeout: l.Timeouts.Disconnect,
		SilenceTimeout:    l.Timeouts.Silence,
		Input:             floor.Policy(max(0, slices.Index(config.InputPolicies(), l.Input.From))),
		ControlIdle:       l.Input.Idle,
		GatherTimeout:     l.Timeouts.Gather,
		Linger:            l.Timeouts.Linger,
		MaxHandshakes:     l.Sessions.MaxHandshakes,
	}
	for _, r := range l.Displays.Rules {
		cfg.Rules = append(cfg.Rules, session.Rule{
			Display: r.Display, Hidden: r.Hidden, MaxViewers: r.MaxViewers, MaxBitrate: r.MaxBitrate, FPS: r.FPS,
			MaxWidth: r.MaxSize.Width, MaxHeight: r.MaxSize.Height, Weight: r.Weight,
			Resize: session.ResizeRule(r.Resize),
		})
	}
	for _, s := range l.ICE.Servers {
		cfg.ICEServers = append(cfg.ICEServers, relay.Server{
			URLs:       s.URLs,
			Username:   s.Username,
			Credential: s.Credential.Reveal(),
			Secret:     s.Secret.Reveal(),
			Lifetime:   l.ICE.CredentialLifetime,
			Region:     s.Region,
			Priority:   s.Priority,
		})
	}
	cfg.ICERegions = l.ICE.Regions
	return cfg
}

// apiConfig returns the settings of the API.
func apiConfig(l *loaded) api.Config {
	cfg := api.Config{
		Listen:                   l.API.Listen,
		TLSCert:                  l.API.TLS.CertFile,
		TLSKey:                   l.API.TLS.KeyFile,
		Token:                    l.SharedToken.Reveal(),
		OwnToken:                 l.own.Reveal(),
		AnonymousRole:            l.Auth.Anonymous,
		TokensFile:               l.Auth.TokensFile,
		TLSClientAuth:            clientAuth(l.Auth.Certificates.Mode),
		TLSClientCA:              l.Auth.Certificates.CAFile,
		TLSClientRevoked:         l.Auth.Certificates.CRLFile,
		TLSClientRole:            l.Auth.Certificates.Role,
		TLSClientRules:           clientRules(&l.Config),
		AllowedHosts:             l.API.Hosts,
		AllowedOrigins:           l.API.Origins,
		MaxConnections:           l.API.Limits.Connections,
		MaxConnectionsPerAddress: l.API.Limits.ConnectionsPerAddress,
		Limits: edge.Limits{
			PerAddress: l.API.Limits.RequestsPerAddress,
			InAll:      l.API.Limits.Requests,
			Attempts:   l.API.Limits.WrongCredentials,
		},
		Labels:          l.Host.LabelMap(),
		Version:         thisBuild().Version,
		SourceURL:       cmp.Or(l.Host.SourceURL, thisBuild().Source),
		Platform:        thisBuild().Platform,
		ShutdownTimeout: l.Timeouts.Shutdown,
		ProxyHeader:     l.API.ProxyHeader,
	}
	for _, s := range l.API.TrustedProxies { // the table of settings has checked them
		n, err := netip.ParsePrefix(s)
		if addr, bad := netip.ParseAddr(s); err != nil && bad == nil {
			n = netip.PrefixFrom(addr, addr.BitLen())
		}
		cfg.TrustedProxies = append(cfg.TrustedProxies, n.Masked())
	}
	return cfg
}

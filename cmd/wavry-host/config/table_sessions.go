package config

import (
	"strings"
	"time"

	"wavryhost/session/relay"
)

func sessionTable() []Setting {
	return []Setting{
		one("sessions.max", "16", number(1, 10_000), func(c *Config) *int { return &c.Sessions.Max },
			"Maximum number of concurrent sessions. From 3 on, one is reserved for operators.").was("max_sessions").live(),
		one("sessions.max_per_owner", "3", number(1, 10_000), func(c *Config) *int { return &c.Sessions.MaxPerOwner },
			"Maximum number of concurrent sessions of one owner: a token, subject of grants, certificate, user of the "+
				"gateway, or address without a credential. Operators are not limited. The oldest session that never connected "+
				"makes room for the next.").was("max_sessions_per_owner").live(),
		one("sessions.max_handshakes", "32", number(1, 10_000), func(c *Config) *int { return &c.Sessions.MaxHandshakes },
			"Maximum number of viewers that connect at the same time. Others are asked to retry a moment later.").
			was("max_handshakes").live(),
		one("sessions.max_uplink", Unlimited, or(Unlimited, bitrate(1, highestUplink)),
			func(c *Config) *int { return &c.Sessions.MaxUplink },
			"Maximum total bitrate that the host sends, in bits per second. Viewers share it by weight.").
			was("max_uplink").live(),
		one("sessions.drain_postpone", "10m", or(None, duration(10*time.Second, 24*time.Hour)),
			func(c *Config) *time.Duration { return &c.Sessions.DrainPostpone },
			"For how long in total a viewer may postpone the end of its session by a drain, also beyond the deadline. Each "+
				"drain may set another limit.").live(),
		many("sessions.metric_labels", "the name of a label, such as team", isLabelName,
			func(c *Config) *[]string { return &c.Sessions.MetricLabels },
			"Labels of sessions and reservations, up to 4, by whose values the metrics wavry_host_labeled_… count. The first "+
				"20 values of a label count by themselves, further ones as (other), and a missing label as (none). A reload "+
				"applies to new sessions and reservations.").live(),
		one("sessions.admission", "measured", oneOf("measured", AdmissionLimits),
			func(c *Config) *string { return &c.Sessions.Admission },
			"Whether measured capacity decides on the admission of sessions, or only the configured limits.").was("admission"),
	}
}

func timeoutTable() []Setting {
	const (
		second = time.Second
		minute = time.Minute
	)
	t := func(c *Config) *Timeouts { return &c.Timeouts }
	return []Setting{
		one("timeouts.connect", "10s", duration(second, 5*minute), func(c *Config) *time.Duration { return &t(c).Connect },
			"Time in which a viewer must connect.").was("connect_timeout").live(),
		one("timeouts.disconnect", "10s", duration(second, 5*minute),
			func(c *Config) *time.Duration { return &t(c).Disconnect },
			"Time after which a silent viewer's session ends. Detection takes 5s to 6s of it.").
			was("disconnect_timeout").live(),
		one("timeouts.silence", "30s", duration(second, 5*minute), func(c *Config) *time.Duration { return &t(c).Silence },
			"Time after which a connected viewer without reports is disconnected.").was("silence_timeout").live(),
		one("timeouts.gather", "1s", duration(10*time.Millisecond, 10*second),
			func(c *Config) *time.Duration { return &t(c).Gather },
			"Time that an answer waits for candidates from ice.servers.").was("gather_timeout").live(),
		one("timeouts.linger", "2s", duration(100*time.Millisecond, 10*minute),
			func(c *Config) *time.Duration { return &t(c).Linger },
			"Time that a display stays open after its last viewer.").was("linger").live(),
		one("timeouts.shutdown", "10s", duration(second, 40*second),
			func(c *Config) *time.Duration { return &t(c).Shutdown },
			"Maximum time for ending all sessions at SIGTERM. The limit of the service is 45s.").was("shutdown_timeout"),
	}
}

func mediaTable() []Setting {
	m := func(c *Config) *Media { return &c.Media }
	const network = "a network, such as 192.0.2.0/24"
	return []Setting{
		one("media.network", Auto, oneOf(Auto, mediaLoopback, mediaAny), func(c *Config) *string { return &m(c).Network },
			"Network for media. auto is loopback while api.listen is loopback and none of ice.servers, media.interfaces, "+
				"media.local_networks and media.public_addresses is set. Media that leaves this machine requires a configured "+
				"credential, or a gateway.").was("media_network"),
		one("media.udp.port", Auto, or(Auto, number(1, 65535)), func(c *Config) *int { return &m(c).UDP.Port },
			"UDP port for the media of all viewers, for firewalls. auto uses any port of media.udp.range.").was("media_port"),
		one("media.udp.range", Auto, or(Auto, ports()), func(c *Config) *PortRange { return &m(c).UDP.Range },
			"UDP ports for media. auto leaves the choice to the system.").was("udp_ports"),
		one("media.tcp.port", None, or(None, number(1, 65535)), func(c *Config) *int { return &m(c).TCP.Port },
			"TCP port for the media of viewers whose networks block UDP.").was("media_tcp_port"),
		one("media.tcp.max_connections", "128", number(1, 10_000), func(c *Config) *int { return &m(c).TCP.MaxConnections },
			"Maximum number of concurrent connections to media.tcp.port; 16 of them from one address.").
			was("media_tcp_connections"),
		one("media.mtu", "1200", number(576, 1500), func(c *Config) *int { return &m(c).MTU },
			"Largest RTP packet in bytes. UDP, SRTP and IP headers add up to 80 bytes; paths with tunnels that lose ICMP "+
				"need less.").was("media_mtu"),
		many("media.interfaces", "an interface's name", isWord, func(c *Config) *[]string { return &m(c).Interfaces },
			"Network interfaces for media. Empty means all.").was("interfaces"),
		many("media.local_networks", network, isNetwork, func(c *Config) *[]string { return &m(c).LocalNetworks },
			"Networks whose local addresses are used for media. Empty means all.").was("media_addresses"),
		many("media.viewer_networks", network, isNetwork, func(c *Config) *[]string { return &m(c).ViewerNetworks },
			"Networks of viewers and their relays. Media is sent to no other address. Empty means all. Loopback, link-local, "+
				"multicast and reserved addresses are always refused.").was("viewer_networks"),
		many("media.public_addresses", "an IP address", isAddress,
			func(c *Config) *[]string { return &m(c).PublicAddresses },
			"Public addresses of a one-to-one NAT in front of this host. They are announced instead of its own.").
			was("nat_1to1"),
	}
}

func iceTable() []Setting {
	return []Setting{
		of("ice.servers", func(c *Config) target { return serverItems(&c.ICE.Servers) },
			"STUN and TURN servers for this host and its viewers. Each item has urls, with username and credential, or with "+
				"the secret that a TURN server shares with this host (credential_file and secret_file name files with them). "+
				"region and priority choose between several servers. In a variable, URLs of STUN servers separated by commas "+
				"will do.").was("ice_servers").live(),
		many("ice.regions", regionAllowed, relay.IsRegion, func(c *Config) *[]string { return &c.ICE.Regions },
			"Regions of ice.servers to prefer, best first. Empty treats all regions alike.").was("ice_regions").live(),
		one("ice.credential_lifetime", "1h", duration(time.Minute, 168*time.Hour),
			func(c *Config) *time.Duration { return &c.ICE.CredentialLifetime },
			"Lifetime of the credentials made from an ICE server's secret.").was("turn_lifetime").live(),
	}
}

const regionAllowed = "up to 32 letters, digits, dots, dashes and underscores, such as eu-west"

func serverItems(p *[]ICEServer) items[ICEServer] {
	return items[ICEServer]{
		p: p, noun: "the server",
		short: func(text string) (ICEServer, bool) { return ICEServer{URLs: []string{text}}, relay.IsURL(text) },
		members: func(s *ICEServer) []member {
			hidden := secretText("printable text", isPrintable)
			return []member{
				{
					name:  "urls",
					field: list{&s.URLs, relay.IsURL, "a URL of a server (stun:, stuns:, turn: or turns:)"},
					doc:   "URLs of one server.",
				},
				{name: "username", field: scalar[string]{text("text", "printable text", isPrintable), &s.Username}},
				{name: "credential", field: scalar[Secret]{hidden, &s.Credential}, secret: true},
				{name: "credential_file", field: scalar[string]{path(), &s.CredentialFile}, doc: "File with the credential."},
				{
					name: "secret", field: scalar[Secret]{hidden, &s.Secret}, secret: true,
					doc: "Secret that a TURN server shares with this host.",
				},
				{name: "secret_file", field: scalar[string]{path(), &s.SecretFile}, doc: "File with the secret."},
				{
					name: "region", field: scalar[string]{text("region", regionAllowed, relay.IsRegion), &s.Region},
					doc: "Region of the server, for ice.regions.",
				},
				{
					name: "priority", field: scalar[int]{number(0, 1000), &s.Priority},
					doc: "Preference among servers of a region; higher ones first.",
				},
			}
		},
		check: checkServer,
	}
}

// checkServer returns what is wrong with a server as a whole.
func checkServer(s *ICEServer) string {
	if len(s.URLs) == 0 {
		return "has no urls"
	}
	for _, u := range s.URLs {
		if strings.HasPrefix(u, "turn") && s.Secret == "" && s.SecretFile == "" &&
			(s.Username == "" || s.Credential == "" && s.CredentialFile == "") {
			return "requires a username and a credential, or a secret, for " + u
		}
	}
	if s.Secret != "" && s.SecretFile != "" || s.Credential != "" && s.CredentialFile != "" {
		return "has a secret and a file with it: set one of the two"
	}
	if (s.Secret != "" || s.SecretFile != "") && (s.CredentialFile != "" || s.Username != "" || s.Credential != "") {
		return "has a secret, from which username and credential are made: omit them"
	}
	return ""
}

func gatewayTable() []Setting {
	g := func(c *Config) *Gateway { return &c.Gateway }
	return []Setting{
		one("gateway.url", None, or(None, word("an address of the form wss://host/ws")),
			func(c *Config) *string { return &g(c).URL },
			"WebSocket address of a signaling gateway, through which viewers reach a host behind a NAT. See "+
				"docs/integrate/gateway.md.").was("gateway_url"),
		one("gateway.dialect", GatewayDialects()[0], oneOf(GatewayDialects()...),
			func(c *Config) *string { return &g(c).Dialect },
			"Protocol dialect of the gateway.").was("gateway_dialect"),
		one("gateway.origin", None, or(None, text("origin", "scheme://host[:port]", isOwnOrigin)),
			func(c *Config) *string { return &g(c).Origin },
			"Origin that the host sends. The gateway refuses unknown origins.").was("gateway_origin"),
		one("gateway.account_file", None, or(None, path()), func(c *Config) *string { return &g(c).AccountFile },
			"File with the host's account at the gateway, as {\"email\": …, \"password\": …}. Only its owner and group may "+
				"have access.").was("gateway_account_file"),
		one("gateway.token_file", None, or(None, path()), func(c *Config) *string { return &g(c).TokenFile },
			"File with a token of the gateway instead of an account. It is read again before each attempt.").
			was("gateway_token_file"),
		one("gateway.user", Auto, or(Auto, word("text without spaces")), func(c *Config) *string { return &g(c).User },
			"User name of the host at the gateway, if neither login nor token contain it.").was("gateway_username"),
		many("gateway.allow", "a user name or *", isWord, func(c *Config) *[]string { return &g(c).Allow },
			"Users of the gateway who may watch; * for all of them.").was("gateway_allow").live(),
		one("gateway.role", "viewer", oneOf("viewer", "controller"), func(c *Config) *string { return &g(c).Role },
			"Role of the gateway's users.").was("gateway_role").live(),
		many("gateway.pins", "the SHA-256 of a certificate, 64 hexadecimal digits with or without colons", isWord,
			func(c *Config) *[]string { return &g(c).Pins },
			"Pinned certificates: the gateway must present one of them, and it must be trusted.").was("gateway_pins"),
		one("gateway.ca_file", Auto, or(Auto, path()), func(c *Config) *string { return &g(c).CAFile },
			"PEM file of the authorities for the gateway's certificate. auto uses the system's authorities.").was("gateway_ca"),
		one("gateway.insecure", "false", boolean(), func(c *Config) *bool { return &g(c).Insecure },
			"Allow ws:// to another machine. It exposes the token on the network. For development.").was("gateway_insecure"),
	}
}

package config

import (
	"slices"
	"strings"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/relay"
)

// Setting is one setting of an operator. The table of settings drives reading, printing, help and documentation.
type Setting struct {
	// Name is the key in the file. Variable and flag follow from it.
	Name string
	// Default is the default, as text.
	Default string
	// Allowed describes the allowed values, to be read after "is not".
	Allowed string
	// Doc is a sentence or two for help and documentation.
	Doc string
	// Secret keeps the value out of messages.
	Secret bool
	// Type is the name of the type for people.
	Type string
	// field is where the value is stored.
	field func(*Config) target
}

// Section is a part of the table of settings.
type Section struct {
	Title    string
	Settings []Setting
}

// Env is the variable that sets it.
func (s Setting) Env() string { return "WAVRY_HOST_" + strings.ToUpper(s.Name) }

// Flag is the flag that sets it.
func (s Setting) Flag() string { return "--" + strings.ReplaceAll(s.Name, "_", "-") }

// Help is its line in the help.
func (s Setting) Help() string {
	if s.Default == "" {
		return s.Doc
	}
	return s.Doc + " Default: " + s.Default + "."
}

// Value returns the current value, for comparison.
func (s Setting) Value(c *Config) any { return s.field(c).value() }

// one makes a setting of a single value.
func one[T any](name, initial, allowed, doc string, k kind[T], field func(*Config) *T) Setting {
	return Setting{
		Name: name, Default: initial, Allowed: allowed, Doc: doc, Type: k.word,
		field: func(c *Config) target { return scalar[T]{k, field(c)} },
	}
}

// many makes a setting of a list of texts.
func many(name, allowed, doc string, ok func(string) bool, field func(*Config) *[]string) Setting {
	return Setting{
		Name: name, Allowed: allowed, Doc: doc, Type: "list",
		field: func(c *Config) target { return list{field(c), ok} },
	}
}

func hidden(s Setting) Setting {
	s.Secret = true
	return s
}

// The roles of clients, the values of anonymous_role and tls_client_auth, and the other closed sets of words. Tests of
// the program compare them with the packages that give them their meaning.
const (
	Auto = "auto" // the value of revocations_file that lets the service manager choose the place

	AnonymousNone      = "none"
	AnonymousViewer    = "viewer"
	ClientAuthOff      = "off"
	ClientAuthOptional = "optional"
	ClientAuthRequired = "required"
)

// Roles are the roles of clients.
func Roles() []string { return []string{"viewer", "controller", "operator", "metrics"} }

// InputPolicies are the policies for input, the default first.
func InputPolicies() []string { return []string{"controllers", "operators", "off"} }

// ProxyHeaders are the ways in which proxies name their clients, the default first.
func ProxyHeaders() []string { return []string{"x-forwarded-for", "forwarded", "proxy-protocol"} }

// GatewayDialects are the dialects of gateways, the default first.
func GatewayDialects() []string { return []string{"wavry", "master"} }

// Sections returns the table of settings.
func Sections() []Section {
	encoders := []string{"auto"}
	for _, p := range encode.Profiles() {
		encoders = append(encoders, p.Name)
	}
	const (
		second = time.Second
		minute = time.Minute
	)
	return []Section{
		{
			"Access",
			[]Setting{
				one(
					"listen", "127.0.0.1:8470", "host:port, such as 127.0.0.1:8470",
					"Address of the viewer page, WHEP and the control API. An address that other machines reach requires TLS and a "+
						"credential.",
					hostPort(), func(c *Config) *string { return &c.Listen },
				),
				one("tls_cert", "", "a path", "PEM file of the TLS certificate and its chain. It is read again when it changes.",
					path(), func(c *Config) *string { return &c.TLSCert }),
				one("tls_key", "", "a path", "PEM file of the certificate's key.",
					path(), func(c *Config) *string { return &c.TLSKey }),
				hidden(one(
					"token", "", "text of 16 or more printable ASCII characters without spaces",
					"The operator's bearer token. Without a configured credential the daemon makes one, which \"wavry-host url\" "+
						"prints. Prefer token_file or the variable: other users see flags in the list of processes.",
					token(), func(c *Config) *Secret { return &c.Token },
				)),
				one("token_file", "", "a path", "File with the token. Only its owner and group may have access.",
					path(), func(c *Config) *string { return &c.TokenFile }),
				one(
					"tokens_file", "", "a path",
					"File with more tokens, one per line: name, role, hash and limits, as \"wavry-host token\" prints them. It is "+
						"read again when it changes.",
					path(), func(c *Config) *string { return &c.TokensFile },
				),
				one(
					"anonymous_role", AnonymousNone, "none or viewer",
					"Role of clients without a credential. viewer lets every user and program of this machine see the screen, and "+
						"requires a listener on loopback.",
					oneOf(AnonymousNone, AnonymousViewer), func(c *Config) *string { return &c.AnonymousRole },
				),
				one("grant_keys", "", "a path or an https address", "JWK set with the keys of the issuer of grants.",
					path(), func(c *Config) *string { return &c.GrantKeys }),
				one("grant_audience", "", "text without spaces", "Audience (aud) of grants for this host. It is required with "+
					"grant_keys.",
					text("name", true, isWord), func(c *Config) *string { return &c.GrantAudience }),
				one("grant_issuer", "", "text without spaces", "Required issuer (iss) of grants. Empty for grants without an "+
					"issuer.",
					text("name", true, isWord), func(c *Config) *string { return &c.GrantIssuer }),
				one(
					"grant_max_role", "controller", "viewer, controller, operator or metrics",
					"Highest role that grants may give.", oneOf(Roles()...), func(c *Config) *string { return &c.GrantMaxRole },
				),
				{
					Name:    "grant_issuers",
					Type:    "list",
					Allowed: "a list of issuers, each with issuer and keys, and perhaps audience, max_role and displays",
					Doc: "Several issuers of grants, instead of grant_keys. Each item has issuer (iss) and keys (a JWK set: a path " +
						"or an https address). It may have audience and max_role, which override grant_audience and grant_max_role, " +
						"and displays: IDs, or patterns such as x11:*, to which its grants are limited. Keys of one issuer are not " +
						"valid for another. In a file; elsewhere in YAML's short form.",
					field: func(c *Config) target { return issuers{&c.GrantIssuers} },
				},
				one(
					"tls_client_auth",
					ClientAuthOff,
					"off, optional or required",
					"Whether client certificates are off, optional or required.",
					oneOf(
						ClientAuthOff, ClientAuthOptional, ClientAuthRequired,
					),
					func(c *Config) *string { return &c.TLSClientAuth },
				),
				one(
					"tls_client_ca", "", "a path",
					"PEM file of the authorities for client certificates. It is read again when it changes.", path(),
					func(c *Config) *string { return &c.TLSClientCA },
				),
				one(
					"tls_client_revoked", "", "a path",
					"File with the revocation lists (CRL) of these authorities, in PEM, or one list in DER. It is read again when "+
						"it changes. Empty for none.",
					path(), func(c *Config) *string { return &c.TLSClientRevoked },
				),
				one(
					"tls_client_role", "viewer", "viewer, controller, operator or metrics",
					"Role of clients with a certificate.", oneOf(Roles()...),
					func(c *Config) *string { return &c.TLSClientRole },
				),
				{
					Name:    "tls_client_rules",
					Type:    "list",
					Allowed: "a list of rules, each with role, and with name or issuer",
					Doc: "Roles of single certificates, instead of tls_client_role. Each item has role, and name (its URI, else " +
						"its common name) or issuer (the subject of the root authority); one * in them stands for any text. The first " +
						"matching rule applies. In a file; elsewhere in YAML's short form.",
					field: func(c *Config) target { return clientRules{&c.TLSClientRules} },
				},
				one(
					"revocations_file", Auto, "auto, or a path",
					"File that keeps revocations of grants across restarts. A second file, with .used at its end, keeps which "+
						"grants for one session were used. auto is revocations.json in systemd's state folder (STATE_DIRECTORY), and "+
						"none elsewhere; empty for none.",
					path(), func(c *Config) *string { return &c.RevocationsFile },
				),
				one(
					"audit_log", "", "a path",
					"File to which each request for a change adds a line. Empty for none.", path(),
					func(c *Config) *string { return &c.AuditLog },
				),
				many(
					"trusted_proxies", "an IP address or a network, such as 192.0.2.0/24",
					"Reverse proxies that are trusted to name their clients. Limits, lockouts, networks of grants and the audit "+
						"log then apply to these clients.",
					isAddressOrNetwork, func(c *Config) *[]string { return &c.TrustedProxies },
				),
				one(
					"proxy_header", ProxyHeaders()[0], strings.Join(ProxyHeaders(), ", "),
					"How trusted proxies name their clients. They must set this header or add to it. With proxy-protocol (version "+
						"1 or 2) each of their connections must begin with it.",
					oneOf(ProxyHeaders()...), func(c *Config) *string { return &c.ProxyHeader },
				),
				many(
					"allowed_hosts", "a bare host name",
					"More host names of this host. They require a configured credential. Requests to other names are refused, "+
						"which defeats DNS rebinding.",
					isHost, func(c *Config) *[]string { return &c.AllowedHosts },
				),
				many(
					"allowed_origins",
					"scheme://host[:port] or *",
					"Other web origins whose pages may use the API. They require a configured credential. * stands for every origin.",
					isOrigin,
					func(c *Config) *[]string { return &c.AllowedOrigins },
				),
				one(
					"max_connections", "256", "a whole number from 1 to 10000",
					"Maximum number of concurrent connections. A sixteenth is reserved for this machine, and a quarter for "+
						"networks that showed a valid credential.",
					count(10_000), func(c *Config) *int { return &c.MaxConnections },
				),
				one(
					"max_connections_per_address", "64", "a whole number from 1 to 10000",
					"Maximum number of concurrent connections of one address, or IPv6 /64. Connections of this machine do not "+
						"count.", count(10_000),
					func(c *Config) *int { return &c.MaxConnectionsPerAddress },
				),
				one(
					"max_requests", "2000", "a whole number from 1 to 1000000",
					"Maximum requests per second of all addresses without a recent valid credential. Bursts may be twice as large.",
					count(1_000_000), func(c *Config) *int { return &c.MaxRequests },
				),
				one(
					"max_requests_per_address", "200", "a whole number from 1 to 1000000",
					"Maximum requests per second of one address, or IPv6 /64. Bursts may be five times as large.", count(1_000_000),
					func(c *Config) *int { return &c.MaxRequestsPerAddress },
				),
				one(
					"max_attempts", "10", "a whole number from 1 to 1000",
					"Number of wrong credentials of one address that are answered at once. After that one is answered every two "+
						"seconds.", count(1000),
					func(c *Config) *int { return &c.MaxAttempts },
				),
			},
		},
		{
			"Picture",
			[]Setting{
				one(
					"display",
					"auto",
					"auto, virtual, synthetic, x11:N or screenshot:N",
					"Default display of viewers: an ID that \"wavry-host displays\" lists, such as x11:0; virtual for a virtual "+
						"display; synthetic for the test pattern; auto for the first existing display, or a virtual one if there is "+
						"none.",
					text("display", false, isDisplay),
					func(c *Config) *string { return &c.Display },
				),
				one(
					"virtual_size", "1280x720", "WIDTHxHEIGHT, both even, from 96x108 to 8192x8192",
					"Size of the virtual display and of the test pattern.", pixels(), func(c *Config) *Size { return &c.VirtualSize },
				),
				one("cursor", "true", "true or false", "Whether the picture contains the cursor.",
					boolean(), func(c *Config) *bool { return &c.Cursor }),
				one(
					"encoder", "auto", "one of "+strings.Join(encoders, ", "),
					"Encoder to use. auto tries all encoders at the start and uses the best working one for each codec. A name "+
						"selects that encoder alone; viewers without its codec are refused.",
					oneOf(encoders...), func(c *Config) *string { return &c.Encoder },
				),
				one(
					"vaapi_device", "", "a path",
					"Device for encoding with VAAPI, such as /dev/dri/renderD128. Empty leaves the choice to FFmpeg.", path(),
					func(c *Config) *string { return &c.VAAPIDevice },
				),
				one("fps", "60", "a whole number from 1 to 240", "Highest frame rate, in frames per second.",
					count(240), func(c *Config) *int { return &c.FPS }),
				one(
					"min_bitrate", "150k", "a bitrate from 10k to 1000M, such as 500k or 4M",
					"Lowest video bitrate of a viewer, in bits per second.", bitrate(10e3),
					func(c *Config) *int { return &c.MinBitrate },
				),
				one("start_bitrate", "1M", "a bitrate from 10k to 1000M, such as 500k or 4M", "Initial video bitrate.",
					bitrate(10e3), func(c *Config) *int { return &c.StartBitrate }),
				one(
					"local_start_bitrate", "10M", "0, or a bitrate up to 1000M, such as 500k or 4M",
					"Initial video bitrate of viewers on this machine or on one of its networks, if it is above start_bitrate. "+
						"max_bitrate limits it. 0 for no difference.",
					bitrate(0), func(c *Config) *int { return &c.LocalStartBitrate },
				),
				one("max_bitrate", "20M", "a bitrate from 10k to 1000M, such as 500k or 4M", "Highest video bitrate of a viewer.",
					bitrate(10e3), func(c *Config) *int { return &c.MaxBitrate }),
				one(
					"fixed_bitrate", "0", "0, or a bitrate from min_bitrate to max_bitrate",
					"Fixed video bitrate of every viewer, regardless of its network. 0 adapts the bitrate, which shared networks "+
						"require.",
					bitrate(0), func(c *Config) *int { return &c.FixedBitrate },
				),
				one(
					"prefer", adapt.Balanced.String(), "one of "+strings.Join(adapt.AggressivenessNames(), ", "),
					"Preference when the network cannot provide both: latency keeps queues shortest, quality competes harder for "+
						"bitrate.",
					oneOf(adapt.AggressivenessNames()...), func(c *Config) *string { return &c.Prefer },
				),
			},
		},
		{
			"Sessions",
			[]Setting{
				one(
					"host_id", "", "text without spaces",
					"ID of this host for gateways and tools. Empty derives it from the machine's ID. Cloned machines need "+
						"different IDs.",
					text("name", true, isWord), func(c *Config) *string { return &c.HostID },
				),
				{
					Name: "display_rules",
					Type: "list",
					Allowed: "a list of rules, each with display and one or more of hidden, max_viewers, max_bitrate, fps, " +
						"max_size, weight",
					Doc: "Rules for single displays. Each item has display (an ID, or a pattern such as x11:*) and some of: hidden " +
						"(no viewer sees it), max_viewers (1 makes it a console), max_bitrate of each viewer, fps, max_size, and " +
						"weight of viewers that request none. The first matching rule applies. In a file; elsewhere in YAML's short " +
						"form.",
					field: func(c *Config) target { return rules{&c.DisplayRules} },
				},
				one("input", InputPolicies()[0], "one of "+strings.Join(InputPolicies(), ", "),
					"Which roles may send mouse and keyboard input: controllers and operators, operators only, or none.",
					oneOf(InputPolicies()...), func(c *Config) *string { return &c.Input }),
				one(
					"control_idle", "15s", "a duration from 1s to 1h",
					"Idle time after which another viewer may take control of the display.",
					duration(second, time.Hour), func(c *Config) *time.Duration { return &c.ControlIdle },
				),
				one(
					"max_sessions", "16", "a whole number from 1 to 10000",
					"Maximum number of concurrent sessions. From 3 on, one is reserved for operators.", count(10_000),
					func(c *Config) *int { return &c.MaxSessions },
				),
				one(
					"max_sessions_per_owner", "3", "a whole number from 1 to 10000",
					"Maximum number of concurrent sessions of one owner: a token, subject of grants, certificate, user of the "+
						"gateway, or address without a credential. Operators are not limited. The oldest session that never connected "+
						"makes room for the next.",
					count(10_000), func(c *Config) *int { return &c.MaxSessionsPerOwner },
				),
				one(
					"probation", "0s", "a duration from 0s to 24h",
					"Probation after the start, with few sessions: it ends when the host has served a viewer and nothing has "+
						"failed for this time. 0s for none.",
					duration(0, 24*time.Hour), func(c *Config) *time.Duration { return &c.Probation },
				),
				one(
					"probation_sessions", "2", "a whole number from 1 to 10000",
					"Maximum number of concurrent sessions during the probation.", count(10_000),
					func(c *Config) *int { return &c.ProbationSessions },
				),
				one(
					"admission", "measured", "measured or limits",
					"Whether measured capacity decides on the admission of sessions, or only the configured limits.",
					oneOf("measured", "limits"), func(c *Config) *string { return &c.Admission },
				),
				one(
					"max_uplink", "0", "0, or a bitrate up to 100000M, such as 500M",
					"Maximum total bitrate that the host sends, in bits per second. Viewers share it by weight. 0 for no "+
						"limit.", uplink(),
					func(c *Config) *int { return &c.MaxUplink },
				),
				one(
					"encoder_sessions", "0", "a whole number from 0 to 1000",
					"Maximum number of concurrent encodings on the graphics card, if its driver has a limit. 0 for no "+
						"limit.", number(1000),
					func(c *Config) *int { return &c.EncoderSessions },
				),
				one(
					"max_encodings", "3", "1, 2 or 3",
					"Maximum number of concurrent encodings of one display. Viewers with different networks get separate ones, so "+
						"that slow viewers do not hold back others.",
					count(3), func(c *Config) *int { return &c.MaxEncodings },
				),
				{
					Name: "ice_servers",
					Type: "list",
					Allowed: "a list of servers, each with urls (stun:, stuns:, turn: or turns:), and for turn username and " +
						"credential, or secret (or credential_file, secret_file)",
					Doc: "STUN and TURN servers for this host and its viewers. In a file each item has urls, with username and " +
						"credential, or with the secret that a TURN server shares with this host (credential_file and secret_file " +
						"name files with them). region and priority choose between several servers. Elsewhere the same in YAML's " +
						"short form, or URLs of STUN servers.",
					field: func(c *Config) target { return servers{&c.ICEServers} },
				},
				many(
					"ice_regions", "a region's name, such as eu-west",
					"Regions of ice_servers to prefer, best first. Empty treats all regions alike.",
					relay.IsRegion, func(c *Config) *[]string { return &c.ICERegions },
				),
				one(
					"media_network", mediaAuto, "auto, loopback or any",
					"Network for media. auto is loopback while listen is loopback and none of ice_servers, interfaces, "+
						"media_addresses and nat_1to1 is set. Media that leaves this machine requires a configured credential, or a "+
						"gateway.",
					oneOf(mediaAuto, mediaLoopback, mediaAny), func(c *Config) *string { return &c.MediaNetwork },
				),
				one(
					"turn_lifetime", "1h", "a duration from 1m to 168h",
					"Lifetime of the credentials made from an ICE server's secret.", duration(minute, 168*time.Hour),
					func(c *Config) *time.Duration { return &c.TURNLifetime },
				),
				one(
					"media_port", "0", "0, or a port from 1 to 65535",
					"UDP port for the media of all viewers, for firewalls. 0 uses any port of udp_ports.", number(65535),
					func(c *Config) *int { return &c.MediaPort },
				),
				one(
					"media_tcp_port", "0", "0, or a port from 1 to 65535",
					"TCP port for the media of viewers whose networks block UDP. 0 for none.", number(65535),
					func(c *Config) *int { return &c.MediaTCPPort },
				),
				one(
					"media_tcp_connections", "128", "a whole number from 1 to 10000",
					"Maximum number of concurrent connections to media_tcp_port; 16 of them from one address.", count(10_000),
					func(c *Config) *int { return &c.MediaTCPConnections },
				),
				one(
					"media_mtu", "1200", "a whole number from 576 to 1500",
					"Largest RTP packet in bytes. UDP, SRTP and IP headers add up to 80 bytes; paths with tunnels that lose ICMP "+
						"need less.",
					between(576, 1500), func(c *Config) *int { return &c.MediaMTU },
				),
				one(
					"max_handshakes", "32", "a whole number from 1 to 10000",
					"Maximum number of viewers that connect at the same time. Others are asked to retry a moment "+
						"later.", count(10_000),
					func(c *Config) *int { return &c.MaxHandshakes },
				),
				one(
					"udp_ports", "", "FROM-TO, from 1024 to 65535, such as 50000-50100",
					"UDP ports for media. Empty leaves the choice to the system.", ports(),
					func(c *Config) *PortRange { return &c.UDPPorts },
				),
				many("interfaces", "an interface's name", "Network interfaces for media. Empty means all.",
					isWord, func(c *Config) *[]string { return &c.Interfaces }),
				many(
					"media_addresses", "a network, such as 192.0.2.0/24",
					"Networks whose local addresses are used for media. Empty means all.", isNetwork,
					func(c *Config) *[]string { return &c.MediaAddresses },
				),
				many(
					"viewer_networks", "a network, such as 192.0.2.0/24",
					"Networks of viewers and their relays. Media is sent to no other address. Empty means all. Loopback, "+
						"link-local, multicast and reserved addresses are always refused.",
					isNetwork, func(c *Config) *[]string { return &c.ViewerNetworks },
				),
				many(
					"nat_1to1", "an IP address",
					"Public addresses of a one-to-one NAT in front of this host. They are announced instead of its own.", isAddress,
					func(c *Config) *[]string { return &c.NAT1To1 },
				),
				one("connect_timeout", "10s", "a duration from 1s to 5m", "Time in which a viewer must connect.",
					duration(second, 5*minute), func(c *Config) *time.Duration { return &c.ConnectTimeout }),
				one(
					"disconnect_timeout", "10s", "a duration from 1s to 5m",
					"Time after which a silent viewer's session ends. Detection takes 5s to 6s of it.",
					duration(second, 5*minute), func(c *Config) *time.Duration { return &c.DisconnectTimeout },
				),
				one("silence_timeout", "30s", "a duration from 1s to 5m", "Time after which a connected viewer without reports "+
					"is disconnected.",
					duration(second, 5*minute), func(c *Config) *time.Duration { return &c.SilenceTimeout }),
				one(
					"gather_timeout", "1s", "a duration from 10ms to 10s", "Time that an answer waits for candidates from "+
						"ice_servers.",
					duration(10*time.Millisecond, 10*second), func(c *Config) *time.Duration { return &c.GatherTimeout },
				),
				one("linger", "2s", "a duration from 100ms to 10m", "Time that a display stays open after its last viewer.",
					duration(100*time.Millisecond, 10*minute), func(c *Config) *time.Duration { return &c.Linger }),
				one("shutdown_timeout", "10s", "a duration from 1s to 40s",
					"Maximum time for ending all sessions at SIGTERM. The limit of the service is 45s.",
					duration(second, 40*second), func(c *Config) *time.Duration { return &c.ShutdownTimeout }),
			},
		},
		{
			"Gateway",
			[]Setting{
				one(
					"gateway_url",
					"",
					"an address of the form wss://host/ws",
					"WebSocket address of a signaling gateway, through which viewers reach a host behind a NAT. Empty for none. "+
						"See docs/integrate/gateway.md.",
					text("address", true, isWord),
					func(c *Config) *string { return &c.GatewayURL },
				),
				one("gateway_dialect", GatewayDialects()[0], "one of "+strings.Join(GatewayDialects(), ", "),
					"Protocol dialect of the gateway.",
					oneOf(GatewayDialects()...), func(c *Config) *string { return &c.GatewayDialect }),
				one(
					"gateway_origin",
					"",
					"scheme://host[:port]",
					"Origin that the host sends. The gateway refuses unknown origins.",
					text(
						"origin", true, func(s string) bool { return s != "*" && isOrigin(s) },
					),
					func(c *Config) *string { return &c.GatewayOrigin },
				),
				one(
					"gateway_account_file", "", "a path",
					"File with the host's account at the gateway, as {\"email\": …, \"password\": …}. Only its owner and group may "+
						"have access.",
					path(), func(c *Config) *string { return &c.GatewayAccountFile },
				),
				one(
					"gateway_token_file", "", "a path",
					"File with a token of the gateway instead of an account. It is read again before each attempt.", path(),
					func(c *Config) *string { return &c.GatewayTokenFile },
				),
				one(
					"gateway_username", "", "text without spaces",
					"User name of the host at the gateway, if neither login nor token contain it.", text("name", true, isWord),
					func(c *Config) *string { return &c.GatewayUsername },
				),
				many("gateway_allow", "a user name or *", "Users of the gateway who may watch; * for all of them.",
					isWord, func(c *Config) *[]string { return &c.GatewayAllow }),
				one(
					"gateway_role",
					"viewer",
					"viewer or controller",
					"Role of the gateway's users.",
					oneOf(
						"viewer", "controller",
					),
					func(c *Config) *string { return &c.GatewayRole },
				),
				many("gateway_pins", "the SHA-256 of a certificate, 64 hexadecimal digits with or without colons",
					"Pinned certificates: the gateway must present one of them, and it must be trusted.",
					isWord, func(c *Config) *[]string { return &c.GatewayPins }),
				one(
					"gateway_ca", "", "a path",
					"PEM file of the authorities for the gateway's certificate. Empty for the system's.", path(),
					func(c *Config) *string { return &c.GatewayCA },
				),
				one(
					"gateway_insecure",
					"false",
					"true or false",
					"Allow ws:// to another machine. It exposes the token on the network. For development.",
					boolean(),
					func(c *Config) *bool { return &c.GatewayInsecure },
				),
			},
		},
		{
			"Log",
			[]Setting{
				one(
					"log_format", "auto", "auto, text or json",
					"Format of the log on standard error. auto is text on a terminal and json elsewhere.", oneOf("auto", "text",
						"json"),
					func(c *Config) *string { return &c.LogFormat },
				),
				one("log_level", "info", "debug, info, warn or error", "Least level to log.",
					oneOf("debug", "info", "warn", "error"), func(c *Config) *string { return &c.LogLevel }),
			},
		},
	}
}

// Settings returns all settings.
func Settings() []Setting {
	var all []Setting
	for _, s := range Sections() {
		all = append(all, s.Settings...)
	}
	return all
}

func names() []string {
	var names []string
	for _, s := range Settings() {
		names = append(names, s.Name)
	}
	return names
}

// Find returns the setting with a name.
func Find(name string) (Setting, bool) {
	all := Settings()
	if i := slices.IndexFunc(all, func(s Setting) bool { return s.Name == name }); i >= 0 {
		return all[i], true
	}
	return Setting{}, false
}

// Live are the settings that a reload applies; the others require a restart.
func Live() []string {
	return []string{
		"token",
		"token_file",
		"anonymous_role",
		"allowed_hosts",
		"allowed_origins",
		"trusted_proxies",
		"max_requests",
		"max_requests_per_address",
		"max_attempts",
		"fps",
		"min_bitrate",
		"start_bitrate",
		"local_start_bitrate",
		"max_bitrate",
		"fixed_bitrate",
		"prefer",
		"max_sessions",
		"max_sessions_per_owner",
		"max_encodings",
		"max_uplink",
		"encoder_sessions",
		"display_rules",
		"probation_sessions",
		"ice_servers",
		"ice_regions",
		"turn_lifetime",
		"max_handshakes",
		"connect_timeout",
		"disconnect_timeout",
		"silence_timeout",
		"gather_timeout",
		"linger",
		"log_level",
		"input",
		"control_idle",
		"gateway_allow",
		"gateway_role",
	}
}

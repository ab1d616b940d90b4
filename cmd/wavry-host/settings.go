package main

import (
	"slices"
	"strings"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session"
	"wavryhost/session/api"
	"wavryhost/session/api/grant"
	"wavryhost/session/relay"
)

// setting is one thing that an operator may set. The table of them drives reading, printing, help and documentation.
type setting struct {
	// name is the key in the file. The variable and the flag follow from it.
	name string
	// initial is the default, as text.
	initial string
	// allowed says what values there may be, to be read after "is not".
	allowed string
	// doc is a sentence or two for help and documentation.
	doc string
	// secret keeps the value out of messages.
	secret bool
	// word is the type's name for people.
	word string
	// field is where the value goes.
	field func(*Config) target
}

// The sections of the table, for help.
type section struct {
	title    string
	settings []setting
}

func (s setting) env() string { return "WAVRY_HOST_" + strings.ToUpper(s.name) }

func (s setting) flag() string { return "--" + strings.ReplaceAll(s.name, "_", "-") }

// one makes a setting of a single value.
func one[T any](name, initial, allowed, doc string, k kind[T], field func(*Config) *T) setting {
	return setting{
		name: name, initial: initial, allowed: allowed, doc: doc, word: k.word,
		field: func(c *Config) target { return scalar[T]{k, field(c)} },
	}
}

// many makes a setting of a list of texts.
func many(name, allowed, doc string, ok func(string) bool, field func(*Config) *[]string) setting {
	return setting{
		name: name, allowed: allowed, doc: doc, word: "list",
		field: func(c *Config) target { return list{field(c), ok} },
	}
}

func hidden(s setting) setting {
	s.secret = true
	return s
}

// roleNames are what a client may be.
func roleNames() []string {
	var names []string
	for _, r := range grant.Roles() {
		names = append(names, string(r))
	}
	return names
}

// inputPolicies are whose input may be taken.
func inputPolicies() []string {
	var names []string
	for _, p := range session.InputPolicies() {
		names = append(names, p.String())
	}
	return names
}

// sections returns the table of settings.
func sections() []section {
	encoders := []string{"auto"}
	for _, p := range encode.Profiles() {
		encoders = append(encoders, p.Name)
	}
	const (
		second = time.Second
		minute = time.Minute
	)
	return []section{
		{
			"Access",
			[]setting{
				one(
					"listen", "127.0.0.1:8470", "host:port, as 127.0.0.1:8470",
					"Address of the viewer page, WHEP and the control API. An address that other machines reach takes TLS and a credential.",
					hostPort(), func(c *Config) *string { return &c.Listen },
				),
				one("tls_cert", "", "a path", "PEM file of the TLS certificate and its chain. It is read again when it changes.",
					path(), func(c *Config) *string { return &c.TLSCert }),
				one("tls_key", "", "a path", "PEM file of the certificate's key.",
					path(), func(c *Config) *string { return &c.TLSKey }),
				hidden(one(
					"token", "", "text of 16 or more printable ASCII characters without spaces",
					"The operator's bearer token. Without any credential in the configuration the daemon makes one, which \"wavry-host url\" prints. Prefer token_file or the variable: other users see the flag in the list of processes.",
					token(), func(c *Config) *secret { return &c.Token },
				)),
				one("token_file", "", "a path", "File that holds the token. Others than its owner and group must not have access.",
					path(), func(c *Config) *string { return &c.TokenFile }),
				one(
					"tokens_file", "", "a path",
					"File with further tokens, one a line: a name, a role, the token's hash and limits, as \"wavry-host token\" prints it. It is read again when it changes.",
					path(), func(c *Config) *string { return &c.TokensFile },
				),
				one(
					"anonymous_role", api.AnonymousNone, "none or viewer",
					"What clients without a credential may do. viewer lets every user and program of this machine see the screen, and takes a listener on loopback.",
					oneOf(api.AnonymousNone, api.AnonymousViewer), func(c *Config) *string { return &c.AnonymousRole },
				),
				one("grant_keys", "", "a path or an https address", "JWK set with the keys of who may issue grants.",
					path(), func(c *Config) *string { return &c.GrantKeys }),
				one("grant_audience", "", "text without spaces", "What grants call this host (aud). It is needed with grant_keys.",
					text("name", true, isWord), func(c *Config) *string { return &c.GrantAudience }),
				one("grant_issuer", "", "text without spaces", "Who has to have issued grants (iss). Empty for one who names none.",
					text("name", true, isWord), func(c *Config) *string { return &c.GrantIssuer }),
				one(
					"grant_max_role", string(grant.Controller), "viewer, controller, operator or metrics",
					"The most that grants may allow.", oneOf(roleNames()...), func(c *Config) *string { return &c.GrantMaxRole },
				),
				{
					name:    "grant_issuers",
					word:    "list",
					allowed: "a list of issuers, each with issuer and keys, and perhaps audience, max_role and displays",
					doc: "Several issuers of grants, instead of grant_keys: items of issuer (iss), keys (a JWK set: a path or an https address), and where they differ from grant_audience and grant_max_role audience and max_role, " +
						"and displays, ids or patterns as x11:*, of those that the grants are good for at most. The keys of one do not count for another. In a file; elsewhere in YAML's short form.",
					field: func(c *Config) target { return issuers{&c.GrantIssuers} },
				},
				one(
					"tls_client_auth",
					api.ClientAuthOff,
					"off, optional or required",
					"Whether clients may, or must, show a certificate.",
					oneOf(
						api.ClientAuthOff, api.ClientAuthOptional, api.ClientAuthRequired,
					),
					func(c *Config) *string { return &c.TLSClientAuth },
				),
				one(
					"tls_client_ca", "", "a path",
					"PEM file of the authorities that clients' certificates come from. It is read again when it changes.", path(),
					func(c *Config) *string { return &c.TLSClientCA },
				),
				one(
					"tls_client_revoked", "", "a path",
					"File with the lists of certificates that these authorities have revoked (CRL), in PEM, or one in DER. It is read again when it changes. Empty for none.",
					path(), func(c *Config) *string { return &c.TLSClientRevoked },
				),
				one(
					"tls_client_role", string(grant.Viewer), "viewer, controller, operator or metrics",
					"What a certificate makes of its owner.", oneOf(roleNames()...),
					func(c *Config) *string { return &c.TLSClientRole },
				),
				{
					name:    "tls_client_rules",
					word:    "list",
					allowed: "a list of rules, each with role, and with name or issuer",
					doc: "What single certificates make of their owners, instead of tls_client_role: items of role, and of name (its URI, else its common name) or issuer (the subject of the root authority), in which one * stands for anything. The first rule that fits counts. " +
						"In a file; elsewhere in YAML's short form.",
					field: func(c *Config) target { return clientRules{&c.TLSClientRules} },
				},
				one(
					"revocations_file", revocationsAuto, "auto, or a path",
					"File in which revocations of grants are kept over a restart, and beside it, in one with .used at its end, which grants for one session were used. auto is revocations.json in the folder that systemd gives for state (STATE_DIRECTORY), and none elsewhere; empty for none.",
					path(), func(c *Config) *string { return &c.RevocationsFile },
				),
				one(
					"audit_log", "", "a path",
					"File to which a line is appended for each request that asks for a change. Empty for none.", path(),
					func(c *Config) *string { return &c.AuditLog },
				),
				many(
					"trusted_proxies", "an IP address or a network, as 192.0.2.0/24",
					"Reverse proxies whose word on their clients is taken: limits, lock-outs, the networks of grants and the audit log are then about those.",
					isAddressOrNetwork, func(c *Config) *[]string { return &c.TrustedProxies },
				),
				one(
					"proxy_header", api.ProxyHeaders()[0], strings.Join(api.ProxyHeaders(), ", "),
					"How trusted proxies tell who their clients are. They must set that header themselves, or add to it. With proxy-protocol (version 1 or 2) each of their connections must begin so.",
					oneOf(api.ProxyHeaders()...), func(c *Config) *string { return &c.ProxyHeader },
				),
				many(
					"allowed_hosts", "a bare host name",
					"Further names that the host is reached by, which takes a credential in the configuration. A request to another name is refused, which defeats DNS rebinding.",
					isHost, func(c *Config) *[]string { return &c.AllowedHosts },
				),
				many(
					"allowed_origins",
					"scheme://host[:port] or *",
					"Web origins, beside the host's own, whose pages may use the API, which takes a credential in the configuration. * is every one.",
					isOrigin,
					func(c *Config) *[]string { return &c.AllowedOrigins },
				),
				one(
					"max_connections", "256", "a whole number from 1 to 10000",
					"How many connections there may be at a time. A sixteenth is kept for this machine, and a quarter for networks that showed a right credential.",
					count(10_000), func(c *Config) *int { return &c.MaxConnections },
				),
				one(
					"max_connections_per_address", "64", "a whole number from 1 to 10000",
					"How many of them one address, or IPv6 /64, may have. Those of this machine are not counted.", count(10_000),
					func(c *Config) *int { return &c.MaxConnectionsPerAddress },
				),
				one(
					"max_requests", "2000", "a whole number from 1 to 1000000",
					"How many requests a second addresses may make together that showed no right credential lately; twice as many at once.",
					count(1_000_000), func(c *Config) *int { return &c.MaxRequests },
				),
				one(
					"max_requests_per_address", "200", "a whole number from 1 to 1000000",
					"How many requests a second one address, or IPv6 /64, may make; five times as many at once.", count(1_000_000),
					func(c *Config) *int { return &c.MaxRequestsPerAddress },
				),
				one(
					"max_attempts", "10", "a whole number from 1 to 1000",
					"How many wrong credentials of one address are answered at once; further ones each two seconds.", count(1000),
					func(c *Config) *int { return &c.MaxAttempts },
				),
			},
		},
		{
			"Picture",
			[]setting{
				one(
					"display",
					"auto",
					"auto, virtual, synthetic, x11:N or screenshot:N",
					"Display that viewers get by default: an id as \"wavry-host displays\" lists it, as x11:0; virtual for one of its own; "+
						"synthetic for the test pattern; auto for the first that there is, else a virtual one.",
					text("display", false, isDisplay),
					func(c *Config) *string { return &c.Display },
				),
				one(
					"virtual_size", "1280x720", "WIDTHxHEIGHT, both even, from 96x108 to 8192x8192",
					"Size of the virtual display and of the test pattern.", pixels(), func(c *Config) *size { return &c.VirtualSize },
				),
				one("cursor", "true", "true or false", "Whether the cursor is in the picture.",
					boolean(), func(c *Config) *bool { return &c.Cursor }),
				one(
					"encoder", "auto", "one of "+strings.Join(encoders, ", "),
					"Encoder to use. auto tries them all at the start and takes, for each codec, the best that proves itself. With a name there is no other, and viewers who do not take its codec are refused.",
					oneOf(encoders...), func(c *Config) *string { return &c.Encoder },
				),
				one(
					"vaapi_device", "", "a path",
					"Device that VAAPI encodes on, as /dev/dri/renderD128. Empty leaves the choice to FFmpeg.", path(),
					func(c *Config) *string { return &c.VAAPIDevice },
				),
				one("fps", "60", "a whole number from 1 to 240", "Highest frame rate, in frames per second.",
					count(240), func(c *Config) *int { return &c.FPS }),
				one(
					"min_bitrate", "150k", "a bitrate from 10k to 1000M, as 500k or 4M",
					"Lowest video bitrate of a viewer, in bits per second.", bitrate(10e3),
					func(c *Config) *int { return &c.MinBitrate },
				),
				one("start_bitrate", "1M", "a bitrate from 10k to 1000M, as 500k or 4M", "Video bitrate to begin with.",
					bitrate(10e3), func(c *Config) *int { return &c.StartBitrate }),
				one(
					"local_start_bitrate", "10M", "0, or a bitrate up to 1000M, as 500k or 4M",
					"Video bitrate to begin with for a viewer on this machine, or on a network that it is part of, where that is more than start_bitrate. max_bitrate holds, too. 0 makes no difference.",
					bitrate(0), func(c *Config) *int { return &c.LocalStartBitrate },
				),
				one("max_bitrate", "20M", "a bitrate from 10k to 1000M, as 500k or 4M", "Highest video bitrate of a viewer.",
					bitrate(10e3), func(c *Config) *int { return &c.MaxBitrate }),
				one(
					"fixed_bitrate", "0", "0, or a bitrate from min_bitrate to max_bitrate",
					"Video bitrate of every viewer, whatever its network does. 0 adapts it, which is what networks of other people take.",
					bitrate(0), func(c *Config) *int { return &c.FixedBitrate },
				),
				one(
					"prefer", adapt.Balanced.String(), "one of "+strings.Join(adapt.AggressivenessNames(), ", "),
					"What to prefer where the network makes one choose: latency keeps queues shortest, quality competes harder for bitrate.",
					oneOf(adapt.AggressivenessNames()...), func(c *Config) *string { return &c.Prefer },
				),
			},
		},
		{
			"Sessions",
			[]setting{
				one(
					"host_id", "", "text without spaces",
					"What gateways and tools know this host by. Empty for an id that follows from the machine's own; machines that were cloned need one each.",
					text("name", true, isWord), func(c *Config) *string { return &c.HostID },
				),
				{
					name:    "display_rules",
					word:    "list",
					allowed: "a list of rules, each with display and one or more of hidden, max_viewers, max_bitrate, fps, max_size, weight",
					doc: "What holds for single displays: items of display, an id or a pattern as x11:*, and hidden (nobody sees it), max_viewers (1 makes it a console), max_bitrate of each viewer, fps, max_size, " +
						"and weight of viewers that ask for none. The first rule that fits a display counts. In a file; elsewhere in YAML's short form.",
					field: func(c *Config) target { return rules{&c.DisplayRules} },
				},
				one("input", session.InputControllers.String(), "one of "+strings.Join(inputPolicies(), ", "),
					"Whose mouse and keyboard the displays take: those of controllers and operators, of operators alone, or nobody's.",
					oneOf(inputPolicies()...), func(c *Config) *string { return &c.Input }),
				one(
					"control_idle", "15s", "a duration from 1s to 1h",
					"How long whoever controls a display may give no input before somebody else can control it.",
					duration(second, time.Hour), func(c *Config) *time.Duration { return &c.ControlIdle },
				),
				one(
					"max_sessions", "16", "a whole number from 1 to 10000",
					"How many viewers there may be at a time. From 3 on, one place is kept for operators.", count(10_000),
					func(c *Config) *int { return &c.MaxSessions },
				),
				one(
					"max_sessions_per_owner", "3", "a whole number from 1 to 10000",
					"How many sessions one token, subject of grants, certificate, user of the gateway, or address without a credential may have at a time; operators have no such limit. The oldest one that never connected makes room for the next.",
					count(10_000), func(c *Config) *int { return &c.MaxSessionsPerOwner },
				),
				one(
					"probation", "0s", "a duration from 0s to 24h",
					"How long the host is on probation after its start, with few sessions: until it has served a viewer and nothing failed for so long. 0s for none.",
					duration(0, 24*time.Hour), func(c *Config) *time.Duration { return &c.Probation },
				),
				one(
					"probation_sessions", "2", "a whole number from 1 to 10000",
					"How many viewers there may be at a time during the probation.", count(10_000),
					func(c *Config) *int { return &c.ProbationSessions },
				),
				one(
					"admission", "measured", "measured or limits",
					"Whether sessions are admitted by what the host is measured to have room for, or by the configured limits alone.",
					oneOf("measured", "limits"), func(c *Config) *string { return &c.Admission },
				),
				one(
					"max_uplink", "0", "0, or a bitrate up to 100000M, as 500M",
					"What the host may send in all, in bits per second: viewers share it by weight. 0 for no limit.", uplink(),
					func(c *Config) *int { return &c.MaxUplink },
				),
				one(
					"encoder_sessions", "0", "a whole number from 0 to 1000",
					"How many encodes the graphics card does at a time, where its driver has a limit. 0 for any number.", number(1000),
					func(c *Config) *int { return &c.EncoderSessions },
				),
				one(
					"max_encodes", "3", "1, 2 or 3",
					"How many encodes of one display there may be at a time. Viewers whose networks differ get one each, so that the slow ones do not hold back the others.",
					count(3), func(c *Config) *int { return &c.MaxEncodes },
				),
				{
					name:    "ice_servers",
					word:    "list",
					allowed: "a list of servers, each with urls (stun:, stuns:, turn: or turns:), and for turn username and credential, or secret (or credential_file, secret_file)",
					doc: "STUN and TURN servers, for this host and its viewers: in a file, items of urls, username and credential, or of urls and the secret that a TURN server shares with this host (credential_file and secret_file name files of them), and of region and priority where there are several; " +
						"elsewhere the same in YAML's short form, or URLs of STUN servers.",
					secret: false,
					field:  func(c *Config) target { return servers{&c.ICEServers} },
				},
				many(
					"ice_regions", "a region's name, as eu-west",
					"Regions whose servers of ice_servers go before the others, best first. Empty makes no difference between regions.",
					relay.IsRegion, func(c *Config) *[]string { return &c.ICERegions },
				),
				one(
					"media_network", mediaAuto, "auto, loopback or any",
					"Where media flows. auto is loopback as long as listen is and none of ice_servers, interfaces, media_addresses and nat_1to1 is set. Media that leaves this machine takes a credential in the configuration, or a gateway.",
					oneOf(mediaAuto, mediaLoopback, mediaAny), func(c *Config) *string { return &c.MediaNetwork },
				),
				one(
					"turn_lifetime", "1h", "a duration from 1m to 168h",
					"How long the credentials are good that are made of an ICE server's secret.", duration(minute, 168*time.Hour),
					func(c *Config) *time.Duration { return &c.TURNLifetime },
				),
				one(
					"media_port", "0", "0, or a port from 1 to 65535",
					"UDP port for the media of all viewers, for firewalls. 0 takes any of udp_ports.", number(65535),
					func(c *Config) *int { return &c.MediaPort },
				),
				one(
					"media_tcp_port", "0", "0, or a port from 1 to 65535",
					"TCP port for the media of viewers whose networks let no UDP through. 0 for none.", number(65535),
					func(c *Config) *int { return &c.MediaTCPPort },
				),
				one(
					"media_tcp_connections", "128", "a whole number from 1 to 10000",
					"Maximum number of concurrent connections to media_tcp_port; 16 of them from one address.", count(10_000),
					func(c *Config) *int { return &c.MediaTCPConnections },
				),
				one(
					"media_mtu", "1200", "a whole number from 576 to 1500",
					"Largest RTP packet in bytes. UDP, SRTP and IP headers add up to 80 bytes; paths with tunnels that lose ICMP need less.",
					between(576, 1500), func(c *Config) *int { return &c.MediaMTU },
				),
				one(
					"max_handshakes", "32", "a whole number from 1 to 10000",
					"How many viewers may be connecting at a time. The others are asked to come again a moment later.", count(10_000),
					func(c *Config) *int { return &c.MaxHandshakes },
				),
				one(
					"udp_ports", "", "FROM-TO, from 1024 to 65535, as 50000-50100",
					"UDP ports for media. Empty leaves the choice to the system.", ports(),
					func(c *Config) *portRange { return &c.UDPPorts },
				),
				many("interfaces", "an interface's name", "Network interfaces for media. Empty means all.",
					isWord, func(c *Config) *[]string { return &c.Interfaces }),
				many(
					"media_addresses", "a network, as 192.0.2.0/24",
					"Networks whose local addresses are used for media. Empty means all.", isNetwork,
					func(c *Config) *[]string { return &c.MediaAddresses },
				),
				many(
					"viewer_networks", "a network, as 192.0.2.0/24",
					"Networks that viewers and their relays may be in: media goes to no other address. Empty means all. Loopback, link-local, multicast and reserved addresses are refused in any case.",
					isNetwork, func(c *Config) *[]string { return &c.ViewerNetworks },
				),
				many(
					"nat_1to1", "an IP address",
					"Public addresses of a one-to-one NAT in front of this host, announced in place of its own.", isAddress,
					func(c *Config) *[]string { return &c.NAT1To1 },
				),
				one("connect_timeout", "10s", "a duration from 1s to 5m", "How long a viewer may take to connect.",
					duration(second, 5*minute), func(c *Config) *time.Duration { return &c.ConnectTimeout }),
				one(
					"disconnect_timeout", "10s", "a duration from 1s to 5m",
					"How long a session waits for a viewer of whom nothing is heard; noticing takes 5s to 6s of it.",
					duration(second, 5*minute), func(c *Config) *time.Duration { return &c.DisconnectTimeout },
				),
				one("silence_timeout", "30s", "a duration from 1s to 5m", "How long a connected viewer may send no report.",
					duration(second, 5*minute), func(c *Config) *time.Duration { return &c.SilenceTimeout }),
				one(
					"gather_timeout", "1s", "a duration from 10ms to 10s", "How long an answer waits for candidates from ice_servers.",
					duration(10*time.Millisecond, 10*second), func(c *Config) *time.Duration { return &c.GatherTimeout },
				),
				one("linger", "2s", "a duration from 100ms to 10m", "How long a display stays open after its last viewer left.",
					duration(100*time.Millisecond, 10*minute), func(c *Config) *time.Duration { return &c.Linger }),
				one("shutdown_timeout", "10s", "a duration from 1s to 40s",
					"How long ending all sessions may take at SIGTERM. The service's own limit is 45s.",
					duration(second, 40*second), func(c *Config) *time.Duration { return &c.ShutdownTimeout }),
			},
		},
		{
			"Gateway",
			[]setting{
				one(
					"gateway_url",
					"",
					"an address of the form wss://host/ws",
					"WebSocket of a signaling gateway, which viewers reach a host behind a NAT through. Empty for none. See docs/integrate/gateway.md.",
					text("address", true, isWord),
					func(c *Config) *string { return &c.GatewayURL },
				),
				one("gateway_dialect", dialectNames()[0], "one of "+strings.Join(dialectNames(), ", "), "What the gateway speaks.",
					oneOf(dialectNames()...), func(c *Config) *string { return &c.GatewayDialect }),
				one(
					"gateway_origin",
					"",
					"scheme://host[:port]",
					"Origin that the host calls itself by; the gateway refuses those it was not told of.",
					text(
						"origin", true, func(s string) bool { return s != "*" && isOrigin(s) },
					),
					func(c *Config) *string { return &c.GatewayOrigin },
				),
				one(
					"gateway_account_file", "", "a path",
					"File with the host's account at the gateway, as {\"email\": …, \"password\": …}. Others than its owner and group must not have access.",
					path(), func(c *Config) *string { return &c.GatewayAccountFile },
				),
				one(
					"gateway_token_file", "", "a path",
					"File with a token of the gateway instead of an account. It is read again before each attempt.", path(),
					func(c *Config) *string { return &c.GatewayTokenFile },
				),
				one(
					"gateway_username", "", "text without spaces",
					"User name of the host at the gateway, where neither login nor token tell it.", text("name", true, isWord),
					func(c *Config) *string { return &c.GatewayUsername },
				),
				many("gateway_allow", "a user name or *", "Users of the gateway who may watch; * for all of them.",
					isWord, func(c *Config) *[]string { return &c.GatewayAllow }),
				one(
					"gateway_role",
					session.RoleViewer.String(),
					"viewer or controller",
					"What users of the gateway may do.",
					oneOf(
						session.RoleViewer.String(), session.RoleController.String(),
					),
					func(c *Config) *string { return &c.GatewayRole },
				),
				many("gateway_pins", "the SHA-256 of a certificate, 64 hexadecimal digits with or without colons",
					"Certificates one of which the gateway has to present, beside being trusted.",
					isWord, func(c *Config) *[]string { return &c.GatewayPins }),
				one(
					"gateway_ca", "", "a path",
					"PEM file of the authorities that the gateway's certificate may come from. Empty for the system's.", path(),
					func(c *Config) *string { return &c.GatewayCA },
				),
				one(
					"gateway_insecure",
					"false",
					"true or false",
					"Allow ws:// to another machine, which shows the token to everybody on the way. For development.",
					boolean(),
					func(c *Config) *bool { return &c.GatewayInsecure },
				),
			},
		},
		{
			"Log",
			[]setting{
				one(
					"log_format", "auto", "auto, text or json",
					"Form of the log on standard error. auto is text on a terminal and json elsewhere.", oneOf("auto", "text", "json"),
					func(c *Config) *string { return &c.LogFormat },
				),
				one("log_level", "info", "debug, info, warn or error", "What is logged: the given level and what is graver.",
					oneOf("debug", "info", "warn", "error"), func(c *Config) *string { return &c.LogLevel }),
			},
		},
	}
}

func settings() []setting {
	var all []setting
	for _, s := range sections() {
		all = append(all, s.settings...)
	}
	return all
}

func settingNames() []string {
	var names []string
	for _, s := range settings() {
		names = append(names, s.name)
	}
	return names
}

func findSetting(name string) (setting, bool) {
	all := settings()
	if i := slices.IndexFunc(all, func(s setting) bool { return s.name == name }); i >= 0 {
		return all[i], true
	}
	return setting{}, false
}

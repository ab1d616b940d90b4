package config

import (
	"net/url"
	"strings"
	"time"
)

func hostTable() []Setting {
	return []Setting{
		one("host.id", Auto, or(Auto, word("text without spaces")), func(c *Config) *string { return &c.Host.ID },
			"ID of this host for gateways and tools. auto derives it from the machine's ID. Cloned machines need different "+
				"IDs.").was("host_id"),
		many("host.labels", "name=value, each of letters, digits, dots, dashes, underscores and slashes", isLabel,
			func(c *Config) *[]string { return &c.Host.Labels },
			"Labels of this host for gateways and tools, such as region=eu-west and pool=cad. GET /v1/host shows them."),
		one("host.probation.time", None, or(None, duration(time.Second, 24*time.Hour)),
			func(c *Config) *time.Duration { return &c.Host.Probation.Time },
			"Probation after the start, with few sessions: it ends when the host has served a viewer and nothing has failed "+
				"for this time. A reload changes the time of a running probation, and begins none.").was("probation").live(),
		one("host.probation.sessions", "2", number(1, 10_000),
			func(c *Config) *int { return &c.Host.Probation.Sessions },
			"Maximum number of concurrent sessions during the probation.").was("probation_sessions").live(),
		one("host.probe_interval", "5m", or(None, duration(time.Second, 24*time.Hour)),
			func(c *Config) *time.Duration { return &c.Host.ProbeInterval },
			"Interval at which the host watches one of its displays as a viewer does, for a second or two. It goes through "+
				"the host's own address, which needs a client certificate if auth.certificates.mode is required: there is no "+
				"probe then. Viewers of that display get a keyframe each time."),
		one("host.source_url", Auto, or(Auto, text("address", "an address of the form https://host/path", isWebAddress)),
			func(c *Config) *string { return &c.Host.SourceURL },
			"Address of the source code of this program. The viewer page, GET /v1/host and \"wavry-host version\" show the "+
				"address of the build, which auto means. Who runs a modified version must offer its source to all users "+
				"(AGPL, section 13), and names its address here."),
	}
}

func apiTable() []Setting {
	limit := func(c *Config) *Limits { return &c.API.Limits }
	return []Setting{
		one("api.listen", "127.0.0.1:8470", hostPort(), func(c *Config) *string { return &c.API.Listen },
			"Address of the viewer page, WHEP and the control API. An address that other machines reach requires TLS and a "+
				"credential.").was("listen").withFlag("listen"),
		one("api.socket", Auto, autoPath(), func(c *Config) *string { return &c.API.Socket },
			"Unix socket for the commands of this machine, such as \"wavry-host status\". Its clients are operators: root, and "+
				"the user of the daemon. auto is api.sock in systemd's runtime folder (RUNTIME_DIRECTORY), else in "+
				"wavry-host of XDG_RUNTIME_DIR, else next to the token that the daemon makes."),
		one("api.tls.cert_file", None, or(None, path()), func(c *Config) *string { return &c.API.TLS.CertFile },
			"PEM file of the TLS certificate and its chain. It is read again when it changes.").
			was("tls_cert").withFlag("tls-cert"),
		one("api.tls.key_file", None, or(None, path()), func(c *Config) *string { return &c.API.TLS.KeyFile },
			"PEM file of the certificate's key.").was("tls_key").withFlag("tls-key"),
		many("api.hosts", "a bare host name", isHost, func(c *Config) *[]string { return &c.API.Hosts },
			"More host names of this host. They require a configured credential. Requests to other names are refused, which "+
				"defeats DNS rebinding.").was("allowed_hosts").live(),
		many("api.origins", "scheme://host[:port] or *", isOrigin, func(c *Config) *[]string { return &c.API.Origins },
			"Other web origins whose pages may use the API. They require a configured credential. * stands for every origin.").
			was("allowed_origins").live(),
		many("api.trusted_proxies", "an IP address or a network, such as 192.0.2.0/24", isAddressOrNetwork,
			func(c *Config) *[]string { return &c.API.TrustedProxies },
			"Reverse proxies that are trusted to name their clients. Limits, lockouts, networks of grants and the audit log "+
				"then apply to these clients.").was("trusted_proxies").live(),
		one("api.proxy_header", ProxyHeaders()[0], oneOf(ProxyHeaders()...),
			func(c *Config) *string { return &c.API.ProxyHeader },
			"How trusted proxies name their clients. They must set this header or add to it. With proxy-protocol (version 1 "+
				"or 2) each of their connections must begin with it.").was("proxy_header"),
		one("api.limits.connections", "256", number(1, 10_000), func(c *Config) *int { return &limit(c).Connections },
			"Maximum number of concurrent connections. A sixteenth is reserved for this machine, and a quarter for networks "+
				"that showed a valid credential.").was("max_connections"),
		one("api.limits.connections_per_address", "64", number(1, 10_000),
			func(c *Config) *int { return &limit(c).ConnectionsPerAddress },
			"Maximum number of concurrent connections of one address, or IPv6 /64. Connections of this machine do not count.").
			was("max_connections_per_address"),
		one("api.limits.requests", "2000/s", perSecond(1, 1_000_000),
			func(c *Config) *int { return &limit(c).Requests },
			"Maximum request rate of all addresses without a recent valid credential. Bursts may be twice as large.").
			was("max_requests").live(),
		one("api.limits.requests_per_address", "200/s", perSecond(1, 1_000_000),
			func(c *Config) *int { return &limit(c).RequestsPerAddress },
			"Maximum request rate of one address, or IPv6 /64. Bursts may be five times as large.").
			was("max_requests_per_address").live(),
		one("api.limits.wrong_credentials", "10", number(1, 1000),
			func(c *Config) *int { return &limit(c).WrongCredentials },
			"Number of wrong credentials of one address that are answered at once. After that one is answered every two "+
				"seconds.").was("max_attempts").live(),
		one("api.audit_file", None, or(None, path()), func(c *Config) *string { return &c.API.AuditFile },
			"File to which each request for a change adds a line.").was("audit_log").live(),
	}
}

func authTable() []Setting {
	certificates := func(c *Config) *Certificates { return &c.Auth.Certificates }
	return []Setting{
		one("auth.anonymous", None, oneOf(None, AnonymousViewer), func(c *Config) *string { return &c.Auth.Anonymous },
			"Role of clients without a credential. viewer lets every user and program of this machine see the screen, and "+
				"requires a listener on loopback.").was("anonymous_role").live(),
		one("auth.token", None, or(None, token()), func(c *Config) *Secret { return &c.Auth.Token },
			"The operator's bearer token. Without a configured credential the daemon makes one, which \"wavry-host url\" "+
				"prints. Prefer auth.token_file.").was("token").hidden().live(),
		one("auth.token_file", None, or(None, path()), func(c *Config) *string { return &c.Auth.TokenFile },
			"File with the operator's bearer token. Only its owner and group may have access.").
			was("token_file").withFlag("token-file").live(),
		one("auth.tokens_file", None, or(None, path()), func(c *Config) *string { return &c.Auth.TokensFile },
			"File with more tokens, one per line: name, role, hash and limits, as \"wavry-host token\" prints them. It is "+
				"read again when it changes.").was("tokens_file"),
		of("auth.grants", func(c *Config) target { return grantItems(&c.Auth.Grants) },
			"Issuers of grants. Each item has keys (a JWK set: a path or an https address) and audience (the required aud of "+
				"grants for this host). It may have issuer (the required iss; of several issuers each has one), max_role (the "+
				"highest role of its grants; default: controller) and displays: IDs, or patterns such as x11:*, to which its "+
				"grants are limited. Keys of one issuer are not valid for another."),
		one("auth.certificates.mode", None, oneOf(None, CertificatesOptional, CertificatesRequired),
			func(c *Config) *string { return &certificates(c).Mode },
			"Whether client certificates are not requested, optional or required.").was("tls_client_auth"),
		one("auth.certificates.ca_file", None, or(None, path()),
			func(c *Config) *string { return &certificates(c).CAFile },
			"PEM file of the authorities for client certificates. It is read again when it changes.").was("tls_client_ca"),
		one("auth.certificates.crl_file", None, or(None, path()),
			func(c *Config) *string { return &certificates(c).CRLFile },
			"File with the revocation lists (CRL) of these authorities, in PEM, or one list in DER. It is read again when it "+
				"changes.").was("tls_client_revoked"),
		one("auth.certificates.role", "viewer", role(), func(c *Config) *string { return &certificates(c).Role },
			"Role of clients with a certificate.").was("tls_client_role"),
		of("auth.certificates.rules", func(c *Config) target { return certificateItems(&certificates(c).Rules) },
			"Roles of single certificates, instead of auth.certificates.role. Each item has role, and name (one of its "+
				"alternative names: URI, DNS name, e-mail or IP address; without any, its common name) or issuer (the subject "+
				"of the root authority); one * in them stands for any text. The first matching rule applies.").
			was("tls_client_rules"),
		one("auth.revocations_file", Auto, autoPath(), func(c *Config) *string { return &c.Auth.RevocationsFile },
			"File that keeps revocations of grants across restarts. A second file, with .used at its end, keeps which grants "+
				"for one session were used. auto is revocations.json in systemd's state folder (STATE_DIRECTORY), and none "+
				"elsewhere.").was("revocations_file"),
	}
}

// autoPath is the path of a file whose place the program may choose.
func autoPath() kind[string] {
	k := or(None, path())
	k.allowed = "auto, none or a path"
	return k
}

func grantItems(p *[]GrantIssuer) items[GrantIssuer] {
	return items[GrantIssuer]{
		p: p, noun: "the issuer",
		members: func(g *GrantIssuer) []member {
			return []member{
				{
					name: "issuer", field: scalar[string]{word("text without spaces"), &g.Issuer},
					doc: "Required issuer (iss).",
				},
				{
					name: "keys", field: scalar[string]{text("path", "a path or an https address",
						isPrintable), &g.Keys},
					doc: "JWK set: a path or an https address.",
				},
				{
					name: "audience", field: scalar[string]{word("text without spaces"), &g.Audience},
					doc: "Required audience (aud).",
				},
				{name: "max_role", field: scalar[string]{role(), &g.MaxRole}, doc: "Highest role of its grants."},
				{
					name: "displays", field: list{&g.Displays, isPattern, "a display's ID, or a pattern such as x11:*"},
					doc: "Displays that its grants are limited to.",
				},
			}
		},
		check: func(g *GrantIssuer) string {
			var missing []string
			if g.Keys == "" {
				missing = append(missing, "keys")
			}
			if g.Audience == "" {
				missing = append(missing, "audience")
			}
			if len(missing) > 0 {
				return "has no " + strings.Join(missing, " and no ")
			}
			return ""
		},
	}
}

func certificateItems(p *[]ClientRule) items[ClientRule] {
	pattern := text("name", "text with at most one *", isCertificatePattern)
	return items[ClientRule]{
		p: p, noun: "the rule",
		members: func(r *ClientRule) []member {
			return []member{
				{
					name: "name", field: scalar[string]{pattern, &r.Name},
					doc: "An alternative name of the certificate; without any, its common name.",
				},
				{name: "issuer", field: scalar[string]{pattern, &r.Issuer}, doc: "Subject of the root authority."},
				{name: "role", field: scalar[string]{role(), &r.Role}, doc: "Role of these certificates."},
			}
		},
		check: func(r *ClientRule) string {
			if r.Role == "" || r.Name == "" && r.Issuer == "" {
				return "has no role, or neither name nor issuer"
			}
			return ""
		},
	}
}

// isWebAddress reports whether a text is the address of a web page.
func isWebAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

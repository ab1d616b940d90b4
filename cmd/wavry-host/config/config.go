// Package config has the settings of the daemon. One table of settings makes the file, the environment, the flags, the
// help and the documentation. Load reads and checks a configuration as a whole, and reports all its faults at once,
// each with its place. The package knows no sessions: what only the users of a setting can check, they add by
// Sources.Check.
package config

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// Config has what an operator may set; the table of settings describes it. It is valid once load has returned it.
type Config struct {
	Listen           string
	TLSCert          string
	TLSKey           string
	Token            Secret
	TokenFile        string
	TokensFile       string
	AnonymousRole    string
	GrantKeys        string
	GrantAudience    string
	GrantIssuer      string
	GrantMaxRole     string
	GrantIssuers     []GrantIssuer
	TLSClientAuth    string
	TLSClientCA      string
	TLSClientRole    string
	TLSClientRules   []ClientRule
	TLSClientRevoked string
	RevocationsFile  string
	AuditLog         string
	TrustedProxies   []string
	ProxyHeader      string
	AllowedHosts     []string
	AllowedOrigins   []string

	MaxConnections           int
	MaxConnectionsPerAddress int
	MaxRequests              int
	MaxRequestsPerAddress    int
	MaxAttempts              int

	Display     string
	VirtualSize Size
	Cursor      bool

	Encoder           string
	VAAPIDevice       string
	FPS               int
	MinBitrate        int
	StartBitrate      int
	LocalStartBitrate int // 0 for no limit of its own
	MaxBitrate        int
	FixedBitrate      int // 0 for none
	Prefer            string

	DisplayRules        []DisplayRule
	Input               string
	ControlIdle         time.Duration
	MaxSessions         int
	MaxSessionsPerOwner int
	MaxEncodings        int
	Admission           string
	MaxUplink           int
	EncoderSessions     int
	Probation           time.Duration
	ProbationSessions   int
	ICEServers          []ICEServer
	ICERegions          []string
	MediaNetwork        string
	UDPPorts            PortRange
	MediaPort           int
	MediaTCPPort        int
	MediaTCPConnections int
	MediaMTU            int
	MaxHandshakes       int
	TURNLifetime        time.Duration
	Interfaces          []string
	NAT1To1             []string
	MediaAddresses      []string
	ViewerNetworks      []string
	ConnectTimeout      time.Duration
	DisconnectTimeout   time.Duration
	SilenceTimeout      time.Duration
	GatherTimeout       time.Duration
	Linger              time.Duration
	ShutdownTimeout     time.Duration

	GatewayURL         string
	GatewayDialect     string
	GatewayOrigin      string
	GatewayAccountFile string
	GatewayTokenFile   string
	GatewayUsername    string
	GatewayAllow       []string
	GatewayRole        string
	GatewayPins        []string
	GatewayCA          string
	GatewayInsecure    bool

	HostID    string
	LogFormat string
	LogLevel  string
}

// Size is the size of a picture in pixels.
type Size struct{ Width, Height int }

func (s Size) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// PortRange is an inclusive range of UDP ports. The zero value means any port.
type PortRange struct{ Min, Max uint16 }

func (p PortRange) String() string {
	if p.Min == 0 {
		return ""
	}
	return fmt.Sprintf("%d-%d", p.Min, p.Max)
}

// ICEServer is a STUN or TURN server.
type ICEServer struct {
	URLs       []string
	Username   string
	Credential Secret
	Secret     Secret
	// CredentialFile and SecretFile name files with them, if the configuration does not contain them.
	CredentialFile, SecretFile string
	Region                     string
	Priority                   int
}

// Conflict means that settings cannot work together.
type Conflict struct {
	Names []string // the settings to blame, the main one first
	Text  string
}

// conflicts returns what cannot work although each setting alone is valid. With tokens the secret of TokenFile is
// known.
func (c *Config) conflicts() []Conflict {
	var found []Conflict
	add := func(text string, names ...string) { found = append(found, Conflict{names, text}) }
	if host, _, _ := net.SplitHostPort(c.Listen); c.AnonymousRole != AnonymousNone && !Loopback(host) {
		add(
			fmt.Sprintf(
				"%q requires a listener on loopback: every client that reaches %s would see the screen", c.AnonymousRole, c.Listen,
			),
			"anonymous_role",
			"listen",
		)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		add("a certificate requires its key: set both or none", "tls_cert", "tls_key")
	}
	if c.Token != "" && c.TokenFile != "" {
		add("only one token is allowed: set one of the two", "token", "token_file")
	}
	if c.AsksClients() && (c.TLSClientCA == "" || c.TLSCert == "") {
		add("it requires tls_client_ca, tls_cert and tls_key", "tls_client_auth")
	}
	if c.GrantKeys != "" && len(c.GrantIssuers) > 0 {
		add(
			"the keys are those of grant_issuer; of several issuers each has its keys in grant_issuers: set one of the two",
			"grant_keys", "grant_issuers",
		)
	}
	if host, _, _ := net.SplitHostPort(c.Listen); !Loopback(host) {
		var missing []string
		if c.TLSCert == "" {
			missing = append(missing, "tls_cert and tls_key")
		}
		if !c.Locked() {
			missing = append(missing, credentialSettings)
		}
		if len(missing) > 0 {
			add(fmt.Sprintf("%q can be reached from other machines, which requires %s; or listen on 127.0.0.1",
				c.Listen, strings.Join(missing, ", and ")), "listen")
		}
	} else {
		c.reached(add)
	}
	if c.FixedBitrate != 0 && (c.FixedBitrate < c.MinBitrate || c.FixedBitrate > c.MaxBitrate) {
		add(fmt.Sprintf("%s is not between min_bitrate, %s, and max_bitrate, %s", formatBitrate(c.FixedBitrate),
			formatBitrate(c.MinBitrate), formatBitrate(c.MaxBitrate)), "fixed_bitrate", "min_bitrate", "max_bitrate")
	}
	if c.MinBitrate > c.MaxBitrate {
		add(fmt.Sprintf("%s is above max_bitrate, %s", formatBitrate(c.MinBitrate), formatBitrate(c.MaxBitrate)),
			"min_bitrate", "max_bitrate")
	} else if c.StartBitrate < c.MinBitrate || c.StartBitrate > c.MaxBitrate {
		add(fmt.Sprintf("%s is not between min_bitrate, %s, and max_bitrate, %s", formatBitrate(c.StartBitrate),
			formatBitrate(c.MinBitrate), formatBitrate(c.MaxBitrate)), "start_bitrate", "min_bitrate", "max_bitrate")
	}
	for _, r := range c.DisplayRules {
		if r.MaxBitrate != 0 && r.MaxBitrate < c.MinBitrate {
			add(
				fmt.Sprintf(
					"max_bitrate of %s, %s, is below min_bitrate, %s", r.Display, formatBitrate(r.MaxBitrate),
					formatBitrate(c.MinBitrate),
				),
				"display_rules",
				"min_bitrate",
			)
		}
	}
	if c.MediaNetwork == mediaLoopback && (len(c.NAT1To1) > 0 || len(c.Interfaces) > 0) {
		add(`"loopback" leaves no use for interfaces and nat_1to1`, "media_network", "interfaces", "nat_1to1")
	}
	return found
}

// credentialSettings are the settings that each configure a sufficient credential.
const credentialSettings = "token or token_file (or tokens_file, grant_keys, tls_client_auth: required)"

// reached adds what is wrong with a loopback listener that others can reach: through a proxy, a page, or its media.
// The token that the daemon makes is only for this machine.
func (c *Config) reached(add func(text string, names ...string)) {
	var by []string
	if len(c.AllowedHosts) > 0 {
		by = append(by, "allowed_hosts")
	}
	if len(c.AllowedOrigins) > 0 {
		by = append(by, "allowed_origins")
	}
	if len(c.TrustedProxies) > 0 {
		by = append(by, "trusted_proxies")
	}
	// The gateway identifies its users, and they need media that leaves this machine.
	if public := c.publicMedia(); public != "" && (c.GatewayURL == "" || c.AnonymousRole != AnonymousNone) {
		by = append(by, public)
	}
	for _, name := range by {
		if !c.Locked() {
			add(
				"it makes the host reachable from elsewhere, which requires a credential in the configuration: "+credentialSettings,
				name,
			)
		} else if c.AnonymousRole != AnonymousNone {
			add(
				"it makes the host reachable from elsewhere, where clients need a credential: set anonymous_role to "+
					"none",
				name, "anonymous_role",
			)
		}
	}
}

// publicMedia returns the setting that lets media leave this machine. It is empty if none does.
func (c *Config) publicMedia() string {
	switch {
	case c.MediaOnLoopback():
		return ""
	case c.MediaNetwork == mediaAny:
		return "media_network"
	case len(c.Interfaces) > 0:
		return "interfaces"
	case len(c.NAT1To1) > 0:
		return "nat_1to1"
	case len(c.MediaAddresses) > 0:
		return "media_addresses"
	default:
		return "ice_servers"
	}
}

// AsksClients reports whether clients are asked for certificates.
func (c *Config) AsksClients() bool { return c.TLSClientAuth != ClientAuthOff }

// Guarded reports whether a credential is configured.
func (c *Config) Guarded() bool {
	return c.Token != "" || c.TokenFile != "" || c.TokensFile != "" || c.TakesGrants() || c.AsksClients()
}

// Locked reports whether a sufficient credential is configured. Optional client certificates are not sufficient; see
// api.Config.
func (c *Config) Locked() bool {
	return c.Token != "" || c.TokenFile != "" || c.TokensFile != "" || c.TakesGrants() ||
		c.TLSClientAuth == ClientAuthRequired
}

// revocationsAuto is the value of revocations_file that lets the service manager choose the place.
const revocationsAuto = "auto"

// GrantIssuer is one of several issuers of grants.
type GrantIssuer struct {
	Issuer, Keys, Audience, MaxRole string
	Displays                        []string
}

// TakesGrants reports whether grants are accepted.
func (c *Config) TakesGrants() bool { return c.GrantKeys != "" || len(c.GrantIssuers) > 0 }

// The values of media_network.
const (
	mediaAuto     = "auto"
	mediaLoopback = "loopback"
	mediaAny      = "any"
)

// MediaOnLoopback reports whether media stays on this machine. It does as long as only this machine can request it,
// and no setting concerns other machines.
func (c *Config) MediaOnLoopback() bool {
	if c.MediaNetwork != mediaAuto {
		return c.MediaNetwork == mediaLoopback
	}
	host, _, _ := net.SplitHostPort(c.Listen)
	return Loopback(host) && len(c.Interfaces) == 0 && len(c.NAT1To1) == 0 && len(c.MediaAddresses) == 0 &&
		len(c.ICEServers) == 0
}

// Loopback reports whether only this machine can reach host. Names other than localhost are not looked up: they count
// as reachable.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

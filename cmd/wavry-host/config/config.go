// Package config has the settings of the daemon. One table of settings makes the file, the environment, the flags, the
// help, the JSON Schema and the documentation. Load reads and checks a configuration as a whole, and reports all its
// faults at once, each with its place. The package knows no sessions: what only the users of a setting can check, they
// add by Sources.Check.
package config

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// Config has what an operator may set; the table of settings describes it. It is valid once Load has returned it.
type Config struct {
	Host     Host
	API      API
	Auth     Auth
	Displays Displays
	Encoding Encoding
	Input    Input
	Sessions Sessions
	Timeouts Timeouts
	Media    Media
	ICE      ICE
	Gateway  Gateway
	Fleet    Fleet
	Webhook  Webhook
	Tracing  Tracing
	Log      Log
}

// Host describes this host.
type Host struct {
	ID        string // empty derives it from the machine
	Labels    []string
	Probation Probation
	// ProbeInterval is the time between two looks of the host at itself; 0 for none.
	ProbeInterval time.Duration
	// SourceURL is where users get the source code of this program; empty for the build's own address.
	SourceURL string
}

// LabelMap returns the labels by name.
func (h Host) LabelMap() map[string]string {
	all := make(map[string]string, len(h.Labels))
	for _, l := range h.Labels {
		name, value, _ := strings.Cut(l, "=")
		all[name] = value
	}
	return all
}

// Probation is the time after the start in which the host serves few sessions.
type Probation struct {
	Time     time.Duration // 0 for none
	Sessions int
}

// API has the settings of the HTTP server.
type API struct {
	Listen         string
	Socket         string // Auto, or empty for none
	TLS            TLS
	Hosts          []string
	Origins        []string
	TrustedProxies []string
	ProxyHeader    string
	Limits         Limits
	AuditFile      string // empty for none
}

// TLS is the certificate of the server. Both are empty for none.
type TLS struct{ CertFile, KeyFile string }

// Limits bound what clients may use.
type Limits struct {
	Connections, ConnectionsPerAddress int
	Requests, RequestsPerAddress       int // per second
	WrongCredentials                   int
}

// Auth says who may do what.
type Auth struct {
	Anonymous       string
	Token           Secret
	TokenFile       string
	TokensFile      string
	Grants          []GrantIssuer
	Certificates    Certificates
	RevocationsFile string // Auto, or empty for none
}

// GrantIssuer is an issuer of grants.
type GrantIssuer struct {
	Issuer, Keys, Audience, MaxRole string
	Displays                        []string
}

// Certificates says what client certificates are good for.
type Certificates struct {
	Mode    string
	CAFile  string
	CRLFile string
	Role    string
	Rules   []ClientRule
}

// ClientRule is the role of some client certificates.
type ClientRule struct{ Name, Issuer, Role string }

// Displays has the settings of displays and their pictures.
type Displays struct {
	Default     string
	VirtualSize Size
	// VirtualKeep is the time for which a virtual display outlives the daemon; 0 for no limit.
	VirtualKeep   time.Duration
	VirtualSocket string
	// VirtualPrograms are command lines; empty for the usual programs.
	VirtualPrograms []string
	Virtual         []VirtualItem
	Cursor          bool
	FPS             int
	Bitrate         Bitrate
	MaxEncodings    int
	Rules           []DisplayRule
}

// Bitrate bounds the bitrate of a viewer, in bits per second.
type Bitrate struct {
	Min, Start, Max int
	LocalStart      int // 0 for none of its own
	Fixed           int // 0 for none
}

// DisplayRule is a rule for the displays that it names, in addition to the settings of all. Zero fields change nothing.
type DisplayRule struct {
	Display    string
	Hidden     bool
	MaxViewers int
	MaxBitrate int
	FPS        int
	MaxSize    Size
	Weight     int
	Resize     string
}

// Encoding has the settings of encoders.
type Encoding struct {
	Encoder        string
	VAAPIDevice    string // empty means all
	Prefer         string
	AV1            string
	MaxGPUSessions int // 0 for no limit
}

// Input says whose input displays get.
type Input struct {
	From string
	Idle time.Duration
	// UInput is how the kernel's keyboard and mouse type: None for no such devices.
	UInput string
}

// Sessions bounds the sessions of viewers.
type Sessions struct {
	Max, MaxPerOwner, MaxHandshakes int
	MaxUplink                       int // 0 for no limit
	Admission                       string
	DrainPostpone                   time.Duration // 0 for none
	MetricLabels                    []string
}

// Timeouts bounds waiting.
type Timeouts struct{ Connect, Disconnect, Silence, Gather, Linger, Shutdown time.Duration }

// Media has the settings of the network for media.
type Media struct {
	Network         string
	UDP             UDP
	TCP             TCP
	MTU             int
	Interfaces      []string
	LocalNetworks   []string
	ViewerNetworks  []string
	PublicAddresses []string
}

// UDP has the ports for media.
type UDP struct {
	Port  int // 0 for any of Range
	Range PortRange
}

// TCP has the port for media of viewers without UDP.
type TCP struct {
	Port           int // 0 for none
	MaxConnections int
}

// ICE has the STUN and TURN servers.
type ICE struct {
	Servers            []ICEServer
	Regions            []string
	CredentialLifetime time.Duration
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

// Gateway has the settings of the link to a gateway.
type Gateway struct {
	URL         string // empty for no gateway
	Dialect     string
	Origin      string
	AccountFile string
	TokenFile   string
	User        string
	Allow       []string
	Role        string
	Pins        []string
	CAFile      string // empty for the authorities of the system
	Insecure    bool
}

// Webhook has the settings of the delivery of events.
type Webhook struct {
	URL        string // empty for none
	SecretFile string
	Events     []string
	OutboxFile string // empty for the state folder
}

// Tracing has the settings of traces.
type Tracing struct {
	Endpoint    string // empty for none
	HeadersFile string
	FrameEvery  time.Duration
}

// Log has the settings of the log.
type Log struct{ Format, Level string }

// Size is the size of a picture in pixels.
type Size struct{ Width, Height int }

func (s Size) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// PortRange is an inclusive range of UDP ports. The zero value means any port.
type PortRange struct{ Min, Max uint16 }

func (p PortRange) String() string { return fmt.Sprintf("%d-%d", p.Min, p.Max) }

// Words that are values of settings. Tests of the program compare the closed sets with the packages that give them
// their meaning.
const (
	Auto      = "auto"
	None      = "none"
	Unlimited = "unlimited"

	AnonymousViewer      = "viewer"
	CertificatesOptional = "optional"
	CertificatesRequired = "required"
	AdmissionLimits      = "limits"
)

const (
	mediaLoopback = "loopback"
	mediaAny      = "any"
)

// Roles are the roles of clients.
func Roles() []string { return []string{"viewer", "controller", "operator", "metrics"} }

// American is the value of input.uinput for a host with an American layout.
const American = "american"

// InputPolicies are the values of input.from, the default first.
func InputPolicies() []string { return []string{"controllers", "operators", None} }

// ProxyHeaders are the values of api.proxy_header, the default first.
func ProxyHeaders() []string { return []string{"x-forwarded-for", "forwarded", "proxy-protocol"} }

// Fleet has the settings of the fleet that the host belongs to.
type Fleet struct {
	URL             string // empty for no fleet
	CredentialsFile string // empty for the host's own key
	KeyFile         string // empty for the state folder
	CAFile          string // empty for the authorities of the system
	Role            string
	Address         string // Auto, or empty for none
	Insecure        bool
	Events          bool
	OutboxFile      string // empty for the state folder
}

// GatewayDialects are the values of gateway.dialect, the default first.
func GatewayDialects() []string { return []string{"wavry", "master"} }

// AsksClients reports whether clients are asked for certificates.
func (c *Config) AsksClients() bool { return c.Auth.Certificates.Mode != None }

// TakesGrants reports whether grants are accepted.
func (c *Config) TakesGrants() bool { return len(c.Auth.Grants) > 0 }

// Guarded reports whether a credential is configured.
func (c *Config) Guarded() bool { return c.Locked() || c.AsksClients() }

// Locked reports whether a sufficient credential is configured. Optional client certificates are not sufficient; see
// api.Config.
func (c *Config) Locked() bool {
	a := &c.Auth
	return a.Token != "" || a.TokenFile != "" || a.TokensFile != "" || c.TakesGrants() ||
		a.Certificates.Mode == CertificatesRequired
}

// MediaOnLoopback reports whether media stays on this machine. It does as long as only this machine can request it, and
// no setting concerns other machines.
func (c *Config) MediaOnLoopback() bool {
	m := &c.Media
	if m.Network != Auto {
		return m.Network == mediaLoopback
	}
	host, _, _ := net.SplitHostPort(c.API.Listen)
	return Loopback(host) && len(m.Interfaces) == 0 && len(m.PublicAddresses) == 0 && len(m.LocalNetworks) == 0 &&
		len(c.ICE.Servers) == 0
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

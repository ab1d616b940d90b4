package config

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite generated documents and golden files")

// write puts a file into a folder of the test's own, readable by its owner alone.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	l, err := Load(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Listen:                   "127.0.0.1:8470",
		Display:                  "auto",
		VirtualSize:              Size{1280, 720},
		Cursor:                   true,
		Encoder:                  "auto",
		FPS:                      60,
		MinBitrate:               150_000,
		StartBitrate:             1_000_000,
		LocalStartBitrate:        10_000_000,
		MaxBitrate:               20_000_000,
		Prefer:                   "balanced",
		AnonymousRole:            "none",
		GrantMaxRole:             "controller",
		Admission:                "measured",
		Input:                    "controllers",
		ControlIdle:              15 * time.Second,
		GatewayRole:              "viewer",
		MaxSessions:              16,
		MaxSessionsPerOwner:      3,
		MaxEncodings:             3,
		ProbationSessions:        2,
		TLSClientAuth:            "off",
		TLSClientRole:            "viewer",
		MaxHandshakes:            32,
		MediaTCPConnections:      128,
		MediaMTU:                 1200,
		TURNLifetime:             time.Hour,
		MediaNetwork:             "auto",
		ConnectTimeout:           10 * time.Second,
		DisconnectTimeout:        10 * time.Second,
		SilenceTimeout:           30 * time.Second,
		GatherTimeout:            time.Second,
		Linger:                   2 * time.Second,
		ShutdownTimeout:          10 * time.Second,
		ProxyHeader:              "x-forwarded-for",
		GatewayDialect:           "wavry",
		LogFormat:                "auto",
		LogLevel:                 "info",
		MaxConnections:           256,
		MaxConnectionsPerAddress: 64,
		MaxRequests:              2000,
		MaxRequestsPerAddress:    200,
		MaxAttempts:              10,
		RevocationsFile:          "auto",
	}
	if !reflect.DeepEqual(l.Config, want) {
		t.Errorf("got %+v; want %+v", l.Config, want)
	}
}

// codeOf is the exit code of a refused configuration.
func codeOf(err error) int {
	var refused *Error
	if errors.As(err, &refused) && refused.IsUsage() {
		return 64
	}
	return 78
}

// full sets everything.
//
//go:embed testdata/full.yaml
var full string

func fullConfig() Config {
	return Config{
		Listen:              "[::1]:9000",
		TLSCert:             "/etc/c.pem",
		TLSKey:              "/etc/k.pem",
		Token:               "0123456789abcdef",
		TrustedProxies:      []string{"10.0.0.0/8", "::1"},
		ProxyHeader:         "forwarded",
		AllowedHosts:        []string{"screen.example.net"},
		AllowedOrigins:      []string{"https://example.net", "*"},
		Display:             "x11:0",
		VirtualSize:         Size{1920, 1080},
		Encoder:             "libx264",
		VAAPIDevice:         "/dev/dri/renderD128",
		FPS:                 30,
		MinBitrate:          500_000,
		StartBitrate:        2_500_000,
		LocalStartBitrate:   4_000_000,
		MaxBitrate:          4_500_000,
		FixedBitrate:        3_000_000,
		Prefer:              "latency",
		Input:               "operators",
		ControlIdle:         time.Minute,
		MaxSessions:         3,
		MaxSessionsPerOwner: 2,
		MaxEncodings:        2,
		Admission:           "limits",
		MaxUplink:           500_000_000,
		EncoderSessions:     8,
		Probation:           5 * time.Minute,
		ProbationSessions:   4,
		ICEServers: []ICEServer{
			{URLs: []string{"stun:stun.example.net"}},
			{
				URLs:     []string{"turn:turn.example.net:3478?transport=udp", "turns:turn.example.net"},
				Username: "ann", Credential: "fedcba9876543210", Region: "eu-west", Priority: 10,
			},
		},
		ICERegions:               []string{"eu-west", "us-east"},
		MediaNetwork:             "any",
		UDPPorts:                 PortRange{50000, 50100},
		Interfaces:               []string{"eth0"},
		NAT1To1:                  []string{"203.0.113.7", "2001:db8::7"},
		ConnectTimeout:           5 * time.Second,
		DisconnectTimeout:        time.Minute,
		SilenceTimeout:           20 * time.Second,
		GatherTimeout:            500 * time.Millisecond,
		Linger:                   200 * time.Millisecond,
		ShutdownTimeout:          3 * time.Second,
		GatewayURL:               "wss://gateway.example.net/ws",
		GatewayDialect:           "master",
		GatewayOrigin:            "https://gateway.example.net",
		GatewayTokenFile:         "/etc/gateway.token",
		GatewayUsername:          "host7",
		GatewayAllow:             []string{"ann", "bob"},
		GatewayRole:              "controller",
		GatewayPins:              []string{strings.Repeat("0", 64)},
		GatewayCA:                "/etc/ca.pem",
		GatewayInsecure:          true,
		LogFormat:                "json",
		LogLevel:                 "debug",
		HostID:                   "rack-7",
		TokensFile:               "/etc/tokens",
		AnonymousRole:            "none",
		GrantKeys:                "/etc/keys.json",
		GrantAudience:            "host7",
		GrantIssuer:              "https://gateway.example.net",
		GrantMaxRole:             "viewer",
		TLSClientAuth:            "optional",
		TLSClientCA:              "/etc/ca.pem",
		TLSClientRole:            "viewer",
		TLSClientRules:           []ClientRule{{Name: "spiffe://pool/*", Role: "operator"}},
		AuditLog:                 "/var/log/audit.jsonl",
		RevocationsFile:          "/var/lib/revoked.json",
		TLSClientRevoked:         "/etc/ca.crl",
		MaxConnections:           99,
		MaxConnectionsPerAddress: 9,
		MaxRequests:              999,
		MaxRequestsPerAddress:    98,
		MaxAttempts:              7,
		TURNLifetime:             time.Hour,
		MediaPort:                3478,
		MediaTCPPort:             443,
		MaxHandshakes:            9,
		MediaAddresses:           []string{"192.0.2.0/24"},
		MediaTCPConnections:      64,
		MediaMTU:                 1000,
		ViewerNetworks:           []string{"198.51.100.0/24"},
		DisplayRules: []DisplayRule{
			{Display: "x11:1", Hidden: true},
			{Display: "x11:*", MaxViewers: 1, MaxBitrate: 4_000_000, FPS: 20, MaxSize: Size{1280, 720}, Weight: 300},
		},
	}
}

func TestFileSetsEverything(t *testing.T) {
	path := write(t, "config.yaml", full)
	l, err := Load(Sources{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if want := fullConfig(); !reflect.DeepEqual(l.Config, want) {
		t.Errorf("got %#v; want %#v", l.Config, want)
	}
	for i, s := range Settings() {
		if s.Name == "token_file" {
			continue // it excludes token
		}
		if s.Name == "gateway_account_file" {
			continue // it excludes gateway_token_file
		}
		if origin := l.Origin[s.Name]; !strings.HasPrefix(origin, path+":") {
			t.Errorf("setting %d, %s, comes from %s", i, s.Name, origin)
		}
	}
	if l.Origin["display"] != path+":10" {
		t.Errorf("display comes from %s", l.Origin["display"])
	}
}

// TestVariablesAndFlagsSetEverything puts what the file says into variables and then into flags.
func TestVariablesAndFlagsSetEverything(t *testing.T) {
	values := map[string]string{
		"host_id":                     "rack-7",
		"listen":                      "[::1]:9000",
		"tls_cert":                    "/etc/c.pem",
		"tls_key":                     "/etc/k.pem",
		"token":                       "0123456789abcdef",
		"trusted_proxies":             "10.0.0.0/8, ::1",
		"proxy_header":                "forwarded",
		"allowed_hosts":               "screen.example.net",
		"allowed_origins":             "https://example.net, *",
		"display":                     "x11:0",
		"virtual_size":                "1920x1080",
		"cursor":                      "false",
		"encoder":                     "libx264",
		"vaapi_device":                "/dev/dri/renderD128",
		"fps":                         "30",
		"min_bitrate":                 "500k",
		"start_bitrate":               "2500000",
		"local_start_bitrate":         "4000k",
		"max_bitrate":                 "4.5M",
		"tokens_file":                 "/etc/tokens",
		"anonymous_role":              "none",
		"grant_keys":                  "/etc/keys.json",
		"grant_audience":              "host7",
		"grant_issuer":                "https://gateway.example.net",
		"grant_max_role":              "viewer",
		"grant_issuers":               "[]",
		"tls_client_auth":             "optional",
		"tls_client_ca":               "/etc/ca.pem",
		"tls_client_role":             "viewer",
		"tls_client_rules":            `[{name: "spiffe://pool/*", role: operator}]`,
		"audit_log":                   "/var/log/audit.jsonl",
		"revocations_file":            "/var/lib/revoked.json",
		"tls_client_revoked":          "/etc/ca.crl",
		"max_connections":             "99",
		"max_connections_per_address": "9",
		"max_requests":                "999",
		"max_requests_per_address":    "98",
		"max_attempts":                "7",
		"turn_lifetime":               "1h",
		"media_port":                  "3478",
		"media_tcp_port":              "443",
		"media_tcp_connections":       "64",
		"media_mtu":                   "1000",
		"max_handshakes":              "9",
		"media_addresses":             "192.0.2.0/24",
		"viewer_networks":             "198.51.100.0/24",
		"fixed_bitrate":               "3M",
		"prefer":                      "latency",
		"input":                       "operators",
		"control_idle":                "1m",
		"max_sessions":                "3",
		"max_sessions_per_owner":      "2",
		"max_encodings":               "2",
		"admission":                   "limits",
		"max_uplink":                  "500M",
		"encoder_sessions":            "8",
		"probation":                   "5m",
		"probation_sessions":          "4",
		"display_rules":               `[{display: "x11:1", hidden: true}, {display: "x11:*", max_viewers: 1, max_bitrate: 4M, fps: 20, max_size: 1280x720, weight: 300}]`, //nolint:lll // a raw string
		"ice_servers": `[{urls: ["stun:stun.example.net"]}, {urls: ["turn:turn.example.net:3478?transport=udp", ` +
			`"turns:turn.example.net"], username: ann, credential: fedcba9876543210, region: eu-west, priority: 10}]`,
		"ice_regions":        "eu-west,us-east",
		"media_network":      "any",
		"udp_ports":          "50000-50100",
		"interfaces":         "eth0",
		"nat_1to1":           "203.0.113.7,2001:db8::7",
		"connect_timeout":    "5s",
		"disconnect_timeout": "1m",
		"silence_timeout":    "20s",
		"gather_timeout":     "500ms",
		"linger":             "200ms",
		"shutdown_timeout":   "3s",
		"gateway_url":        "wss://gateway.example.net/ws",
		"gateway_dialect":    "master",
		"gateway_origin":     "https://gateway.example.net",
		"gateway_token_file": "/etc/gateway.token",
		"gateway_username":   "host7",
		"gateway_allow":      "ann,bob",
		"gateway_role":       "controller",
		"gateway_pins":       strings.Repeat("0", 64),
		"gateway_ca":         "/etc/ca.pem",
		"gateway_insecure":   "true",
		"log_format":         "json",
		"log_level":          "debug",
	}
	var env []string
	for name, v := range values {
		env = append(env, "WAVRY_HOST_"+strings.ToUpper(name)+"="+v)
	}
	for name, src := range map[string]Sources{"variables": {Env: env}, "flags": {Flags: values}} {
		l, err := Load(src)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := fullConfig(); !reflect.DeepEqual(l.Config, want) {
			t.Errorf("%s: got %#v; want %#v", name, l.Config, want)
		}
	}
}

func TestPrecedence(t *testing.T) {
	path := write(t, "config.yaml", "fps: 10\nlinger: 1s\nlog_level: warn\n")
	other := write(t, "other.yaml", "fps: 11\n")
	for _, tc := range []struct {
		name       string
		src        Sources
		fps        int
		fromOrigin string
	}{
		{"default", Sources{}, 60, "default"},
		{"file", Sources{Path: path}, 10, path + ":1"},
		{"fallback", Sources{Fallback: path}, 10, path + ":1"},
		{"fallback that is not there", Sources{Fallback: path + "x"}, 60, "default"},
		{"variable names the file", Sources{Env: []string{"WAVRY_HOST_CONFIG=" + path}}, 10, path + ":1"},
		{"flag names another file", Sources{Path: other, Env: []string{"WAVRY_HOST_CONFIG=" + path}}, 11, other + ":1"},
		{"variable", Sources{Path: path, Env: []string{"WAVRY_HOST_FPS=20"}}, 20, "WAVRY_HOST_FPS"},
		{"empty variable", Sources{Path: path, Env: []string{"WAVRY_HOST_FPS="}}, 10, path + ":1"},
		{
			"flag", Sources{Path: path, Env: []string{"WAVRY_HOST_FPS=20"}, Flags: map[string]string{"fps": "30"}}, 30, "--fps",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := Load(tc.src)
			if err != nil {
				t.Fatal(err)
			}
			if l.FPS != tc.fps || l.Origin["fps"] != tc.fromOrigin {
				t.Errorf("fps %d from %s; want %d from %s", l.FPS, l.Origin["fps"], tc.fps, tc.fromOrigin)
			}
			if tc.src.Path == path && (l.Linger != time.Second || l.LogLevel != "warn") {
				t.Errorf("the rest of the file is lost: %+v", l.Config)
			}
		})
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	for _, tc := range []struct{ name, content, want string }{
		{"unknown setting", "fsp: 30", `F:1: unknown setting "fsp"; did you mean "fps"?`},
		{"unknown setting like none", "colour_of_the_bicycle_shed: red", `F:1: unknown setting "colour_of_the_bicycle_shed"`},
		{"setting given twice", "fps: 30\n\nfps: 31", `F:3: key "fps" is set already, in line 1`},
		{"key that is no text", "5: x", `F:1: key 5 (a number) is not text`},
		{"key that is a list", "[a, b]: x", `F:1: key a list is not text`},
		{"text for a number", "fps: fast", `F:1: fps: "fast" is not a whole number from 1 to 240`},
		{"quoted number", `fps: "30"`, `F:1: fps: "30" is not a whole number from 1 to 240`},
		{"fraction", "fps: 29.97", `F:1: fps: 29.97 (a number) is not a whole number from 1 to 240`},
		{"too large", "# one\n# two\nfps: 500", `F:3: fps: 500 (a number) is not a whole number from 1 to 240`},
		{"too small", "fps: 0", `F:1: fps: 0 (a number) is not a whole number from 1 to 240`},
		{"hexadecimal", "fps: 0x1e", `F:1: fps: 0x1e (a number) is not a whole number from 1 to 240`},
		{"list for a number", "fps: [30]", `F:1: fps: a list is not a whole number from 1 to 240`},
		{
			"number for text", "display: 0",
			`F:1: display: 0 (a number) is not auto, virtual, synthetic, x11:N or screenshot:N`,
		},
		{
			"unknown display", "display: wayland",
			`F:1: display: "wayland" is not auto, virtual, synthetic, x11:N or screenshot:N`,
		},
		{"yes for true", "cursor: yes", `F:1: cursor: "yes" is not true or false`},
		{"text for a boolean", `cursor: "true"`, `F:1: cursor: "true" is not true or false`},
		{"number for a duration", "linger: 30", `F:1: linger: 30 (a number) is not a duration from 100ms to 10m`},
		{"duration without a unit", `linger: "30"`, `F:1: linger: "30" is not a duration from 100ms to 10m`},
		{"duration too long", "linger: 2h", `F:1: linger: "2h" is not a duration from 100ms to 10m`},
		{
			"unit that is none", "max_bitrate: 4m",
			`F:1: max_bitrate: "4m" is not a bitrate from 10k to 1000M, such as 500k or 4M`,
		},
		{
			"bitrate without digits", "max_bitrate: M",
			`F:1: max_bitrate: "M" is not a bitrate from 10k to 1000M, such as 500k or 4M`,
		},
		{
			"endless bitrate", "max_bitrate: .inf",
			`F:1: max_bitrate: .inf (a number) is not a bitrate from 10k to 1000M, such as 500k or 4M`,
		},
		{
			"bitrate too low", "min_bitrate: 9999",
			`F:1: min_bitrate: 9999 (a number) is not a bitrate from 10k to 1000M, such as 500k or 4M`,
		},
		{
			"odd size", "virtual_size: 1281x720",
			`F:1: virtual_size: "1281x720" is not WIDTHxHEIGHT, both even, from 96x108 to 8192x8192`,
		},
		{
			"half a size", "virtual_size: 1280",
			`F:1: virtual_size: 1280 (a number) is not WIDTHxHEIGHT, both even, from 96x108 to 8192x8192`,
		},
		{"port alone", "listen: 8470", `F:1: listen: 8470 (a number) is not host:port, such as 127.0.0.1:8470`},
		{
			"port too large", "listen: 127.0.0.1:70000",
			`F:1: listen: "127.0.0.1:70000" is not host:port, such as 127.0.0.1:8470`,
		},
		{"no address", `listen: ""`, `F:1: listen: "" is not host:port, such as 127.0.0.1:8470`},
		{"unknown word", "log_level: loud", `F:1: log_level: "loud" is not debug, info, warn or error`},
		{
			"unknown encoder", "encoder: x264",
			`F:1: encoder: "x264" is not one of auto, h264_nvenc, h264_vaapi, h264_videotoolbox, libx264, libvpx-vp9`,
		},
		{
			"ports the wrong way round", "udp_ports: 50100-50000",
			`F:1: udp_ports: "50100-50000" is not FROM-TO, from 1024 to 65535, such as 50000-50100`,
		},
		{
			"privileged ports", "udp_ports: 80-90",
			`F:1: udp_ports: "80-90" is not FROM-TO, from 1024 to 65535, such as 50000-50100`,
		},
		{"text for a list", "nat_1to1: 203.0.113.7", `F:1: nat_1to1: "203.0.113.7" is not an IP address`},
		{"no address in a list", "nat_1to1:\n  - 203.0.113.7\n  - host", `F:3: nat_1to1[1]: "host" is not an IP address`},
		{"number in a list", "interfaces: [0]", `F:1: interfaces[0]: 0 (a number) is not an interface's name`},
		{
			"origin with a path", `allowed_origins: ["https://a.b/c"]`,
			`F:1: allowed_origins[0]: "https://a.b/c" is not scheme://host[:port] or *`,
		},
		{"host with a port", `allowed_hosts: ["a:1"]`, `F:1: allowed_hosts[0]: "a:1" is not a bare host name`},
		{
			"short token", "token: hunter2",
			"F:1: token: the value is not text of 16 or more printable ASCII characters without spaces",
		},
		{
			"number for a token", "token: 12345678901234567",
			"F:1: token: the value is not text of 16 or more printable ASCII characters without spaces",
		},
		{
			"masked token", "token: (hidden)",
			"F:1: token: the value is not text of 16 or more printable ASCII characters without spaces",
		},
		{"nothing", "fps:", `F:1: fps: there is no value: leave the line out, or write "" for none`},
		{"alias", "fps: &a 30\nmax_sessions: *a", `F:2: max_sessions: the alias is not allowed: write the value itself`},
		{
			"binary", "display: !!binary aGk=",
			`F:1: display: aGk= (a value of type !!binary) is not auto, virtual, synthetic, x11:N or screenshot:N`,
		},
		{"no mapping", "- fps", `F:1: found a list; want lines of the form "setting: value"`},
		{"text alone", "fps", `F:1: found text; want lines of the form "setting: value"`},
		{"two documents", "fps: 30\n---\nfps: 31", "F:2: there is more than one document; one is allowed"},
		{"broken syntax", "fps: 30\n\tlinger: 2s", "F:2: not YAML: found a tab character that violates indentation"},
		{"broken second document", "fps: 30\n---\n\t", "F:3: not YAML: found character that cannot start any token"},
		{
			"ICE server that is text", "ice_servers: [stun:a]",
			"F:1: ice_servers[0]: text is not a list of servers, each with urls (stun:, stuns:, turn: or turns:), and for " +
				"turn " +
				"username and credential, or secret (or credential_file, secret_file)",
		},
		{
			"ICE server's unknown key", "ice_servers: [{url: stun:a}]",
			`F:1: ice_servers[0]: key "url" is unknown; did you mean "urls"?`,
		},
		{
			"ICE server's key given twice", "ice_servers: [{urls: [], urls: []}]",
			`F:1: ice_servers[0]: key "urls" is set already, in line 1`,
		},
		{
			"rule of displays that is text", "display_rules: [x11:0]",
			"F:1: display_rules[0]: text is not a list of rules, each with display and one or more of hidden, max_viewers, " +
				"max_bitrate, fps, max_size, weight",
		},
		{
			"rule's unknown key", "display_rules: [{display: x11:0, max_viewer: 1}]",
			`F:1: display_rules[0]: key "max_viewer" is unknown; did you mean "max_viewers"?`,
		},
		{
			"rule without display", "display_rules: [{fps: 30}]",
			"F:1: display_rules[0]: the rule names no display: set display, which may be a pattern such as x11:*",
		},
		{
			"rule that says nothing", "display_rules: [{display: x11:0}]",
			"F:1: display_rules[0]: the rule of x11:0 has no effect: set one of hidden, max_viewers, max_bitrate, fps, " +
				"max_size, weight",
		},
		{
			"rule that hides", "display_rules: [{display: x11:0, hidden: true, fps: 3}]",
			"F:1: display_rules[0]: the rule hides x11:0, which makes the rest useless",
		},
		{
			"rule's wrong value", "display_rules:\n  - display: x11:0\n    max_viewers: 0",
			"F:3: display_rules[0].max_viewers: 0 (a number) is not a whole number from 1 to 10000",
		},
		{
			"rule's wrong pattern", "display_rules: [{display: '[', fps: 3}]",
			`F:1: display_rules[0].display: "[" is not the ID of a display, or a pattern such as x11:*`,
		},
		{
			"rule under the floor", "display_rules: [{display: x11:0, max_bitrate: 100k}]",
			"F:1: display_rules: max_bitrate of x11:0, 100k, is below min_bitrate, 150k",
		},
		{"ICE server without URLs", "ice_servers: [{}]", `F:1: ice_servers[0]: the server has no urls`},
		{
			"ICE server of another kind", "ice_servers:\n  - urls: [stun:a]\n  - urls:\n      - http://a",
			`F:4: ice_servers[1].urls[0]: "http://a" is not a list of servers, each with urls (stun:, stuns:, turn: or turns:), ` + //nolint:lll // a raw string
				"and for turn username and credential, or secret (or credential_file, secret_file)",
		},
		{
			"TURN server without credential", "ice_servers: [{urls: [turn:a], username: ann}]",
			`F:1: ice_servers[0]: "turn:a" requires a username and a credential, or a secret`,
		},
		{
			"masked credential", "ice_servers: [{urls: [turn:a], username: ann, credential: (hidden)}]",
			"F:1: ice_servers[0].credential: the value is not a list of servers, each with urls (stun:, stuns:, turn: or " +
				"turns:), " +
				"and for turn username and credential, or secret (or credential_file, secret_file)",
		},
		{
			"a region that is none", "ice_servers: [{urls: [stun:a], region: Neu Ulm}]",
			`F:1: ice_servers[0].region: "Neu Ulm" is not up to 32 letters, digits, dots, dashes and underscores`,
		},
		{
			"a priority that is none", "ice_servers: [{urls: [stun:a], priority: -1}]",
			`F:1: ice_servers[0].priority: -1 (a number) is not a whole number from 0 to 1000`,
		},
		{"two problems", "fps: 0\nfsp: 1", "F:1: fps: 0 (a number) is not a whole number from 1 to 240\n" +
			`F:2: unknown setting "fsp"; did you mean "fps"?`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := write(t, "config.yaml", tc.content)
			_, err := Load(Sources{Path: path})
			if err == nil {
				t.Fatal("taken")
			}
			if got := strings.ReplaceAll(err.Error(), path, "F"); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if code := codeOf(err); code != 78 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestFilesWithoutSettings(t *testing.T) {
	for _, content := range []string{"", "\n", "# nothing but a comment\n", "---\n", "{}\n"} {
		if _, err := Load(Sources{Path: write(t, "config.yaml", content)}); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestVariablesAndFlagsThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		src  Sources
		want string
		code int
	}{
		{
			Sources{Env: []string{"WAVRY_HOST_FSP=1"}},
			`WAVRY_HOST_FSP: unknown variable; did you mean "WAVRY_HOST_FPS"?`,
			78,
		},
		{Sources{Env: []string{"WAVRY_HOST_FPS=x"}}, `WAVRY_HOST_FPS: "x" is not a whole number from 1 to 240`, 78},
		{
			Sources{Env: []string{"WAVRY_HOST_TOKEN=hunter2"}},
			"WAVRY_HOST_TOKEN: the value is not text of 16 or more printable ASCII characters without spaces", 78,
		},
		{Sources{Flags: map[string]string{"fps": "500"}}, `--fps: "500" is not a whole number from 1 to 240`, 64},
		{Sources{Flags: map[string]string{"nat_1to1": "192.0.2.1,x"}}, `--nat-1to1[1]: "x" is not an IP address`, 64},
		{Sources{Flags: map[string]string{"interfaces": "a,,b"}}, `--interfaces: "a,,b" has an empty element`, 64},
		{
			Sources{Flags: map[string]string{"ice_servers": "stun:a,turn:b"}},
			`--ice-servers[1]: "turn:b" requires a username and a credential, or a secret`, 64,
		},
		{Sources{Flags: map[string]string{"ice_servers": "[{urls: ["}}, `--ice-servers: the value is not YAML`, 64},
		{
			Sources{Flags: map[string]string{"ice_servers": "[{urls: [stun:a], credential: [s3cret]}]"}},
			"--ice-servers[0].credential: the value is not a list of servers, each with urls (stun:, stuns:, turn: or " +
				"turns:), and " +
				"for turn username and credential, or secret (or credential_file, secret_file)", 64,
		},
		{
			Sources{Flags: map[string]string{"fps": "0"}, Env: []string{"WAVRY_HOST_LINGER=x"}},
			"WAVRY_HOST_LINGER: \"x\" is not a duration from 100ms to 10m\n" +
				"--fps: \"0\" is not a whole number from 1 to 240", 78,
		},
		{Sources{Path: "/nonexistent/c.yaml"}, "/nonexistent/c.yaml: open: no such file or directory", 78},
		{
			Sources{Env: []string{"WAVRY_HOST_CONFIG=/nonexistent/c.yaml"}},
			"/nonexistent/c.yaml: open: no such file or directory", 78,
		},
		{Sources{Path: "/"}, "/: it is a folder", 78},
	} {
		_, err := Load(tc.src)
		if err == nil || err.Error() != tc.want || codeOf(err) != tc.code {
			t.Errorf("got %v (exit code %d); want %s (%d)", err, codeOf(err), tc.want, tc.code)
		}
	}
}

func TestSettingsThatConflict(t *testing.T) {
	const reachable = "it makes the host reachable from elsewhere, which requires a credential in the configuration: " +
		"token or token_file (or tokens_file, grant_keys, tls_client_auth: required)"
	for _, tc := range []struct {
		flags map[string]string
		env   string
		want  string
		code  int
	}{
		{
			flags: map[string]string{"listen": "0.0.0.0:8470"},
			want: `--listen: listen: "0.0.0.0:8470" can be reached from other machines, which requires tls_cert and tls_key, and ` + //nolint:lll // a raw string
				`token or token_file (or tokens_file, grant_keys, tls_client_auth: required); or listen on 127.0.0.1`, code: 64, //nolint:lll // a raw string
		},
		{
			flags: map[string]string{"listen": ":8470", "token": "0123456789abcdef"},
			want: `--listen: listen: ":8470" can be reached from other machines, which requires tls_cert and tls_key; or listen on ` + //nolint:lll // a raw string
				`127.0.0.1`, code: 64,
		},
		{
			flags: map[string]string{"listen": "screen.example.net:8470", "tls_cert": "c", "tls_key": "k"},
			want: `--listen: listen: "screen.example.net:8470" can be reached from other machines, which requires token or ` +
				`token_file (or tokens_file, grant_keys, tls_client_auth: required); or listen on 127.0.0.1`, code: 64,
		},
		{
			flags: map[string]string{"tls_key": "k"},
			want:  "--tls-key: tls_cert: a certificate requires its key: set both or none", code: 64,
		},
		{
			flags: map[string]string{"token": "0123456789abcdef"}, env: "WAVRY_HOST_TOKEN_FILE=/t",
			want: "--token: token: only one token is allowed: set one of the two", code: 78,
		},
		{
			flags: map[string]string{"allowed_origins": "*"}, code: 64,
			want: "--allowed-origins: allowed_origins: " + reachable,
		},
		{
			flags: map[string]string{"allowed_hosts": "screen.example.net"}, code: 64,
			want: "--allowed-hosts: allowed_hosts: " + reachable,
		},
		{flags: map[string]string{"media_network": "any"}, code: 64, want: "--media-network: media_network: " +
			reachable},
		{
			env: "WAVRY_HOST_TRUSTED_PROXIES=127.0.0.1/32", code: 78,
			want: "WAVRY_HOST_TRUSTED_PROXIES: trusted_proxies: " + reachable,
		},
		{env: "WAVRY_HOST_INTERFACES=eth0", code: 78, want: "WAVRY_HOST_INTERFACES: interfaces: " + reachable},
		{env: "WAVRY_HOST_NAT_1TO1=203.0.113.7", code: 78, want: "WAVRY_HOST_NAT_1TO1: nat_1to1: " + reachable},
		{
			env: "WAVRY_HOST_MEDIA_ADDRESSES=192.0.2.0/24", code: 78,
			want: "WAVRY_HOST_MEDIA_ADDRESSES: media_addresses: " + reachable,
		},
		{env: "WAVRY_HOST_ICE_SERVERS=stun:a", code: 78, want: "WAVRY_HOST_ICE_SERVERS: ice_servers: " + reachable},
		{
			// What the review followed to the letter.
			flags: map[string]string{"allowed_hosts": "screen.example.net", "media_network": "any"}, code: 64,
			want: "--allowed-hosts: allowed_hosts: " + reachable + "\n--media-network: media_network: " + reachable,
		},
		{
			flags: map[string]string{
				"listen": "0.0.0.0:8470", "tls_cert": "c", "tls_key": "k", "token": "0123456789abcdef",
				"anonymous_role": "viewer",
			}, code: 64,
			want: `--anonymous-role: anonymous_role: "viewer" requires a listener on loopback: every client that reaches 0.0.0.0:8470 would see the screen`, //nolint:lll // a raw string
		},
		{
			flags: map[string]string{
				"allowed_hosts": "a", "token": "0123456789abcdef",
				"anonymous_role": "viewer",
			}, code: 64,
			want: "--allowed-hosts: allowed_hosts: it makes the host reachable from elsewhere, where clients need a " +
				"credential: " +
				"set anonymous_role to none",
		},
		{
			flags: map[string]string{"max_bitrate": "100k"}, code: 64,
			want: "--max-bitrate: min_bitrate: 150k is above max_bitrate, 100k",
		},
		{
			flags: map[string]string{"start_bitrate": "21M"}, code: 64,
			want: "--start-bitrate: start_bitrate: 21M is not between min_bitrate, 150k, and max_bitrate, 20M",
		},
		{
			flags: map[string]string{"fixed_bitrate": "100k"}, code: 64,
			want: "--fixed-bitrate: fixed_bitrate: 100k is not between min_bitrate, 150k, and max_bitrate, 20M",
		},
		{
			flags: map[string]string{"media_network": "loopback"}, env: "WAVRY_HOST_NAT_1TO1=203.0.113.7",
			want: `--media-network: media_network: "loopback" leaves no use for interfaces and nat_1to1`, code: 78,
		},
	} {
		_, err := Load(Sources{Flags: tc.flags, Env: []string{tc.env}})
		if err == nil || err.Error() != tc.want || codeOf(err) != tc.code {
			t.Errorf("got %v (exit code %d)\nwant %s (%d)", err, codeOf(err), tc.want, tc.code)
		}
	}
}

func TestMediaStaysWhereTheListenerIs(t *testing.T) {
	reachable := map[string]string{"listen": "0.0.0.0:1", "tls_cert": "c", "tls_key": "k", "token": "0123456789abcdef"}
	for _, tc := range []struct {
		flags map[string]string
		want  bool
	}{
		{nil, true},
		{map[string]string{"listen": "localhost:1"}, true},
		{map[string]string{"listen": "[::1]:1"}, true},
		{map[string]string{"media_network": "any", "token": "0123456789abcdef"}, false},
		{map[string]string{"interfaces": "eth0", "token": "0123456789abcdef"}, false},
		{map[string]string{"nat_1to1": "203.0.113.7", "token": "0123456789abcdef"}, false},
		{map[string]string{"ice_servers": "stun:a", "token": "0123456789abcdef"}, false},
		{reachable, false},
	} {
		l, err := Load(Sources{Flags: tc.flags})
		if err != nil {
			t.Fatal(err)
		}
		if got := l.MediaOnLoopback(); got != tc.want {
			t.Errorf("%v: media on loopback: %v; want %v", tc.flags, got, tc.want)
		}
	}
}

func TestTokenFile(t *testing.T) {
	const good = "0123456789abcdef"
	for _, tc := range []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"its owner's", good + "\n", 0o600, ""},
		{"its group's", good, 0o640, ""},
		{"everyone's", good, 0o644, "--token-file: token_file: every user can read F (mode 0644): chmod 640 F"},
		{
			"short", "hunter2", 0o600,
			"--token-file: token_file: what F holds is not text of 16 or more printable ASCII characters without spaces",
		},
		{"empty", "\n", 0o600, "--token-file: token_file: what F holds is not text of 16 or more printable ASCII " +
			"characters without spaces"},
		{"large", strings.Repeat("x", 5000), 0o600, "--token-file: token_file: F: it is larger than 4096 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && tc.mode == 0o644 {
				t.Skip("the mode says nothing on Windows")
			}
			path := write(t, "token", tc.content)
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}
			l, err := Load(Sources{Flags: map[string]string{"token_file": path}})
			switch {
			case tc.want == "":
				if err != nil || l.SharedToken.Reveal() != good {
					t.Errorf("got %v", err)
				}
			case err == nil || strings.ReplaceAll(err.Error(), path, "F") != tc.want:
				t.Errorf("got %v; want %s", err, tc.want)
			}
		})
	}
}

func TestFileWithSecretsForEveryone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode says nothing on Windows")
	}
	for content, want := range map[string]int{
		"token: 0123456789abcdef\n": 1,
		"tokens_file: /t\nice_servers: [{urls: ['turn:a'], username: u, credential: c}]\n": 1,
		"fps: 30\n": 0,
	} {
		path := write(t, "config.yaml", content)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := Load(Sources{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Warnings) != want {
			t.Errorf("%q: warnings %q; want %d", content, l.Warnings, want)
		}
	}
}

func TestPrintedConfigurationReadsBack(t *testing.T) {
	noSecrets := strings.NewReplacer(
		"token: 0123456789abcdef\n", "token_file: TOKEN\n", "turn:", "stun:", "turns:", "stuns:",
		"    username: ann\n    credential: fedcba9876543210\n", "",
	).Replace(
		full,
	)
	noSecrets = strings.Replace(noSecrets, "TOKEN", write(t, "token", "0123456789abcdef"), 1)
	for name, content := range map[string]string{"defaults": "", "everything": noSecrets} {
		t.Run(name, func(t *testing.T) {
			first, err := Load(Sources{Path: write(t, "config.yaml", content)})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := first.Print(&b); err != nil {
				t.Fatal(err)
			}
			second, err := Load(Sources{Path: write(t, "printed.yaml", b.String())})
			if err != nil {
				t.Fatalf("%v\n%s", err, b.String())
			}
			normalize(&first.Config)
			normalize(&second.Config)
			if !reflect.DeepEqual(first.Config, second.Config) {
				t.Errorf("got %+v; want %+v\n%s", second.Config, first.Config, b.String())
			}
		})
	}
}

// normalize makes lists without elements alike: a file may say [] or nothing.
func normalize(c *Config) {
	for _, l := range []*[]string{
		&c.TrustedProxies, &c.AllowedHosts, &c.AllowedOrigins, &c.Interfaces, &c.NAT1To1,
		&c.ICERegions,
	} {
		*l = append([]string{}, *l...)
	}
	c.ICEServers = append([]ICEServer{}, c.ICEServers...)
}

func TestPrintedConfigurationHidesSecrets(t *testing.T) {
	path := write(t, "config.yaml", full)
	l, err := Load(Sources{Path: path, Flags: map[string]string{"fps": "24"}, Env: []string{"WAVRY_HOST_LINGER=3s"}})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := l.Print(&b); err != nil {
		t.Fatal(err)
	}
	printed := b.String()
	for _, s := range []string{"0123456789abcdef", "fedcba9876543210"} {
		if strings.Contains(printed, s) {
			t.Errorf("a secret is shown:\n%s", printed)
		}
	}
	for _, want := range []string{
		"token: (hidden) # " + path +
			":5\n", "    credential: (hidden)\n", "fps: 24 # --fps\n", "linger: 3s # WAVRY_HOST_LINGER\n",
		"token_file: \"\" # default\n", "max_bitrate: 4.5M # " + path + ":18\n", "ice_servers: # " + path + ":",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is missing in\n%s", want, printed)
		}
	}
	// A mask must not pass for a secret that everybody knows.
	if _, err := Load(Sources{Path: write(t, "printed.yaml", printed)}); err == nil {
		t.Error("masked secrets were taken for real ones")
	}
}

func TestSecretsShowNowhere(t *testing.T) {
	c := fullConfig()
	var b strings.Builder
	log := slog.New(slog.NewJSONHandler(&b, nil))
	log.Info("x", "config", c, "token", c.Token, "server", c.ICEServers[1])
	log = slog.New(slog.NewTextHandler(&b, nil))
	log.Info("x", "config", c, "token", c.Token, "pointer", &c)
	fmt.Fprintf(&b, "%v %+v %#v %s %q", c, c, c, c.Token, c.Token)
	fmt.Fprint(&b, errors.New(c.Token.String()))
	for _, s := range []string{"0123456789abcdef", "fedcba9876543210"} {
		if strings.Contains(b.String(), s) {
			t.Errorf("a secret is shown: %s", b.String())
		}
	}
	if !strings.Contains(b.String(), "ann") {
		t.Error("the configuration was not shown at all")
	}
}

func FuzzConfigFile(f *testing.F) {
	f.Add(full)
	f.Add("ice_servers: [{urls: [turn:a], username: ann, credential: (hidden)}]")
	f.Add("a: &a [*a]\n? [x]\n: y")
	f.Add("fps: 30\n---\nfps: 31")
	f.Fuzz(func(t *testing.T, content string) {
		var c Config
		found := decodeFile("f", []byte(content), func(s Setting, n *yaml.Node, where string) []Problem {
			var bad []Problem
			for _, tr := range s.field(&c).decode(n) {
				if tr.at == nil {
					t.Errorf("%s: a problem without a place", s.Name)
				}
				bad = append(bad, Problem{Where: where, Text: s.refuse(tr)})
			}
			return bad
		})
		for _, p := range found {
			if !strings.HasPrefix(p.Where, "f") || p.Text == "" {
				t.Errorf("problem %+v", p)
			}
		}
		if len(found) > 0 {
			return
		}
		// What was taken is printed so that it reads back, with nothing left to take for another value.
		l := &Loaded{Config: c, Origin: map[string]string{}}
		var b strings.Builder
		if err := l.Print(&b); err != nil {
			t.Fatal(err)
		}
	})
}

func TestOptionalCertificatesAreNoLock(t *testing.T) {
	flags := map[string]string{
		"listen":          "0.0.0.0:1",
		"tls_cert":        "c",
		"tls_key":         "k",
		"tls_client_ca":   "a",
		"tls_client_auth": "optional",
	}
	if _, err := Load(Sources{Flags: flags}); err == nil || !strings.Contains(err.Error(), "tls_client_auth: required") {
		t.Errorf("got %v", err)
	}
	for name, value := range map[string]string{"tls_client_auth": "required", "tokens_file": "t"} {
		more := maps.Clone(flags)
		more[name] = value
		if _, err := Load(Sources{Flags: more}); err != nil {
			t.Errorf("with %s %s: %v", name, value, err)
		}
	}
}

// Secrets of ICE servers may stand in files of their own, which are read with the configuration and never printed.
func TestSecretsOfICEServersInFiles(t *testing.T) {
	shared, credential := write(t, "shared", "shared-with-turn\n"), write(t, "credential", "ann-s-password")
	text := fmt.Sprintf(
		"token: 0123456789abcdef\nice_servers:\n  - {urls: ['turn:a'], secret_file: %s}\n"+
			"  - {urls: ['turn:b'], username: ann, credential_file: %s}\n",
		shared, credential,
	)
	l, err := Load(Sources{Path: write(t, "config.yaml", text)})
	if err != nil {
		t.Fatal(err)
	}
	got := l.ICEServers
	if got[0].Secret != "shared-with-turn" || got[1].Credential != "ann-s-password" {
		t.Error("the session does not have what the files hold")
	}
	var printed strings.Builder
	if err := l.Print(&printed); err != nil {
		t.Fatal(err)
	}
	if out := printed.String(); strings.Contains(out, "shared-with-turn") || strings.Contains(out, "ann-s-password") ||
		!strings.Contains(out, "secret_file: "+shared) ||
		!strings.Contains(out, "credential_file: "+credential) ||
		strings.Contains(out, "secret: ") {
		t.Errorf("printed:\n%s", out)
	}
	if err := os.Chmod(shared, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ servers, want string }{
		"exposed": {"[{urls: ['turn:a'], secret_file: " + shared + "}]", "every user can read"},
		"not there": {
			"[{urls: ['turn:a'], secret_file: /nonexistent/s}]",
			"ice_servers: /nonexistent/s: open: no such file",
		},
		"two lines":    {"[{urls: ['turn:a'], secret_file: " + write(t, "two", "a\nb") + "}]", "is not one line of text"},
		"empty":        {"[{urls: ['turn:a'], secret_file: " + write(t, "none", "\n") + "}]", "is not one line of text"},
		"both":         {"[{urls: ['turn:a'], secret: x, secret_file: /s}]", "has a secret and a file with it"},
		"two secrets":  {"[{urls: ['turn:a'], secret_file: /s, credential_file: /c}]", "omit them"},
		"no user name": {"[{urls: ['turn:a'], credential_file: /c}]", "requires a username and a credential"},
	} {
		if _, err := Load(
			Sources{Path: write(t, "config.yaml", "token: 0123456789abcdef\nice_servers: "+c.servers)},
		); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

// Secrets as Docker and Kubernetes mount them are taken with a warning.
func TestMountedSecret(t *testing.T) {
	path := write(t, "token", "0123456789abcdef")
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	l, err := Load(Sources{Flags: map[string]string{"token_file": path}})
	if err != nil || l.SharedToken.Reveal() != "0123456789abcdef" || len(l.Warnings) != 1 ||
		!strings.Contains(l.Warnings[0], "every user can read") {
		t.Errorf("%v; warnings %q", err, l.Warnings)
	}
}

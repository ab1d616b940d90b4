package config

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite generated documents and golden files")

// write puts a file into a folder of the test's own, readable by its owner alone.
func write(t testing.TB, name, content string) string {
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
		Host: Host{
			Probation: Probation{
				Sessions: 2,
			},
			ProbeInterval: 5 * time.Minute,
		},
		API: API{
			Listen:      "127.0.0.1:8470",
			Socket:      "auto",
			ProxyHeader: "x-forwarded-for",
			Limits: Limits{
				Connections:           256,
				ConnectionsPerAddress: 64,
				Requests:              2000,
				RequestsPerAddress:    200,
				WrongCredentials:      10,
			},
		},
		Auth: Auth{
			Anonymous: "none",
			Certificates: Certificates{
				Mode: "none",
				Role: "viewer",
			},
			RevocationsFile: "auto",
		},
		Displays: Displays{
			Default:     "auto",
			VirtualSize: Size{1280, 720}, VirtualSocket: "auto",
			Cursor: true,
			FPS:    60,
			Bitrate: Bitrate{
				Min:        150_000,
				Start:      1_000_000,
				LocalStart: 10_000_000,
				Max:        20_000_000,
			},
			MaxEncodings: 3,
		},
		Encoding: Encoding{
			Encoder: "auto",
			Prefer:  "balanced",
			AV1:     "auto",
		},
		Input: Input{
			From:   "controllers",
			Idle:   15 * time.Second,
			UInput: "none",
		},
		Sessions: Sessions{
			Admission:     "measured",
			Max:           16,
			MaxPerOwner:   3,
			MaxHandshakes: 32,
			DrainPostpone: 10 * time.Minute,
		},
		Timeouts: Timeouts{
			Connect:    10 * time.Second,
			Disconnect: 10 * time.Second,
			Silence:    30 * time.Second,
			Gather:     time.Second,
			Linger:     2 * time.Second,
			Shutdown:   10 * time.Second,
		},
		Media: Media{
			TCP: TCP{
				MaxConnections: 128,
			},
			MTU:     1200,
			Network: "auto",
		},
		ICE: ICE{
			CredentialLifetime: time.Hour,
		},
		Gateway: Gateway{
			Role:    "viewer",
			Dialect: "wavry",
		},
		Fleet: Fleet{
			Role:    "operator",
			Address: "auto",
		},
		Tracing: Tracing{FrameEvery: time.Minute},
		Log: Log{
			Format: "auto",
			Level:  "info",
		},
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

// full sets everything. flat is the same file with all settings on one level.
var (
	//go:embed testdata/full.yaml
	full string
	//go:embed testdata/flat.yaml
	flat string
)

func fullConfig() Config {
	return Config{
		Host: Host{
			Probation: Probation{
				Time:     5 * time.Minute,
				Sessions: 4,
			},
			ID:            "rack-7",
			ProbeInterval: 5 * time.Minute,
		},
		API: API{
			Listen: "[::1]:9000",
			Socket: "auto",
			TLS: TLS{
				CertFile: "/etc/c.pem",
				KeyFile:  "/etc/k.pem",
			},
			TrustedProxies: []string{"10.0.0.0/8", "::1"},
			ProxyHeader:    "forwarded",
			Hosts:          []string{"screen.example.net"},
			Origins:        []string{"https://example.net", "*"},
			AuditFile:      "/var/log/audit.jsonl",
			Limits: Limits{
				Connections:           99,
				ConnectionsPerAddress: 9,
				Requests:              999,
				RequestsPerAddress:    98,
				WrongCredentials:      7,
			},
		},
		Auth: Auth{
			Grants: []GrantIssuer{{
				Issuer: "https://gateway.example.net", Keys: "/etc/keys.json",
				Audience: "host7", MaxRole: "viewer",
			}},
			Token:      "0123456789abcdef",
			TokensFile: "/etc/tokens",
			Anonymous:  "none",
			Certificates: Certificates{
				Mode:    "optional",
				CAFile:  "/etc/ca.pem",
				Role:    "viewer",
				Rules:   []ClientRule{{Name: "spiffe://pool/*", Role: "operator"}},
				CRLFile: "/etc/ca.crl",
			},
			RevocationsFile: "/var/lib/revoked.json",
		},
		Displays: Displays{
			Default:     "x11:0",
			VirtualSize: Size{1920, 1080}, VirtualSocket: "auto",
			FPS: 30,
			Bitrate: Bitrate{
				Min:        500_000,
				Start:      2_500_000,
				LocalStart: 4_000_000,
				Max:        4_500_000,
				Fixed:      3_000_000,
			},
			MaxEncodings: 2,
			Rules: []DisplayRule{
				{Display: "x11:1", Hidden: true},
				{
					Display: "x11:*", MaxViewers: 1, MaxBitrate: 4_000_000, FPS: 20, MaxSize: Size{1280, 720},
					Weight: 300,
				},
			},
		},
		Encoding: Encoding{
			Encoder:        "libx264",
			VAAPIDevice:    "/dev/dri/renderD128",
			Prefer:         "latency",
			AV1:            "auto",
			MaxGPUSessions: 8,
		},
		Input: Input{
			From:   "operators",
			Idle:   time.Minute,
			UInput: "none",
		},
		Sessions: Sessions{
			Max:           3,
			MaxPerOwner:   2,
			Admission:     "limits",
			MaxUplink:     500_000_000,
			DrainPostpone: 10 * time.Minute,
			MaxHandshakes: 9,
		},
		Timeouts: Timeouts{
			Connect:    5 * time.Second,
			Disconnect: time.Minute,
			Silence:    20 * time.Second,
			Gather:     500 * time.Millisecond,
			Linger:     200 * time.Millisecond,
			Shutdown:   3 * time.Second,
		},
		Media: Media{
			Network: "any",
			UDP: UDP{
				Range: PortRange{50000, 50100},
				Port:  3478,
			},
			Interfaces:      []string{"eth0"},
			PublicAddresses: []string{"203.0.113.7", "2001:db8::7"},
			TCP: TCP{
				Port:           443,
				MaxConnections: 64,
			},
			LocalNetworks:  []string{"192.0.2.0/24"},
			MTU:            1000,
			ViewerNetworks: []string{"198.51.100.0/24"},
		},
		ICE: ICE{
			Servers: []ICEServer{
				{URLs: []string{"stun:stun.example.net"}},
				{
					URLs:     []string{"turn:turn.example.net:3478?transport=udp", "turns:turn.example.net"},
					Username: "ann", Credential: "fedcba9876543210", Region: "eu-west", Priority: 10,
				},
			},
			Regions:            []string{"eu-west", "us-east"},
			CredentialLifetime: time.Hour,
		},
		Gateway: Gateway{
			URL:       "wss://gateway.example.net/ws",
			Dialect:   "master",
			Origin:    "https://gateway.example.net",
			TokenFile: "/etc/gateway.token",
			User:      "host7",
			Allow:     []string{"ann", "bob"},
			Role:      "controller",
			Pins:      []string{strings.Repeat("0", 64)},
			CAFile:    "/etc/ca.pem",
			Insecure:  true,
		},
		Fleet: Fleet{
			Role:    "operator",
			Address: "auto",
		},
		Tracing: Tracing{FrameEvery: time.Minute},
		Log: Log{
			Format: "json",
			Level:  "debug",
		},
	}
}

// nested are the settings that files of one level cannot have.
var nested = []string{
	"api.socket", "displays.virtual_keep", "displays.virtual_socket", "displays.virtual_programs", "displays.virtual",
	"host.labels", "host.probe_interval",
	"encoding.av1", "host.source_url", "sessions.drain_postpone", "sessions.metric_labels",
	"fleet.url", "input.uinput",
	"fleet.credentials_file", "fleet.key_file", "fleet.ca_file", "fleet.role", "fleet.address", "fleet.insecure",
	"fleet.events", "fleet.outbox_file",
	"webhook.url", "webhook.secret_file", "webhook.events", "webhook.outbox_file",
	"tracing.endpoint", "tracing.headers_file", "tracing.frame_every",
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
	for _, s := range Settings() {
		// Others exclude these.
		if s.Name == "auth.token_file" || s.Name == "gateway.account_file" || slices.Contains(nested, s.Name) {
			continue
		}
		if origin := l.Origin[s.Name]; !strings.HasPrefix(origin, path+":") {
			t.Errorf("%s comes from %s", s.Name, origin)
		}
	}
	if l.Origin["api.listen"] != path+":8" {
		t.Errorf("api.listen comes from %s", l.Origin["api.listen"])
	}
}

// lookUp returns the value of a setting in a file.
func lookUp(n *yaml.Node, name string) *yaml.Node {
	for key := range strings.SplitSeq(name, ".") {
		found := false
		for _, e := range entries(n) {
			if e.key.Value == key {
				n, found = e.value, true
				break
			}
		}
		if !found {
			return nil
		}
	}
	return n
}

// asText returns a value as a variable has it: lists in YAML's short form.
func asText(t *testing.T, n *yaml.Node) string {
	t.Helper()
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	n.Style = yaml.FlowStyle
	text, err := yaml.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", " ")
}

// TestVariablesAndFlagsSetEverything puts what the file says into variables, and what has flags into flags.
func TestVariablesAndFlagsSetEverything(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(full), &doc); err != nil {
		t.Fatal(err)
	}
	var env, rest []string
	flags := map[string]string{}
	for _, s := range Settings() {
		n := lookUp(doc.Content[0], s.Name)
		if n == nil {
			continue
		}
		variable := s.Env() + "=" + asText(t, n)
		env = append(env, variable)
		if s.Flag() != "" {
			flags[s.Name] = asText(t, n)
		} else {
			rest = append(rest, variable)
		}
	}
	if len(flags) < 10 || len(rest) < 60 {
		t.Errorf("%d flags and %d variables", len(flags), len(rest))
	}
	for name, src := range map[string]Sources{"variables": {Env: env}, "flags": {Env: rest, Flags: flags}} {
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
	path := write(t, "config.yaml", "displays: {fps: 10}\ntimeouts: {linger: 1s}\nlog: {level: warn}\n")
	other := write(t, "other.yaml", "displays: {fps: 11}\n")
	const variable = "WAVRY_HOST_DISPLAYS__FPS"
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
		{"variable", Sources{Path: path, Env: []string{variable + "=20"}}, 20, variable},
		{"empty variable", Sources{Path: path, Env: []string{variable + "="}}, 10, path + ":1"},
		{
			"flag",
			Sources{Path: path, Env: []string{variable + "=20"}, Flags: map[string]string{"displays.fps": "30"}},
			30,
			"--fps",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := Load(tc.src)
			if err != nil {
				t.Fatal(err)
			}
			if l.Displays.FPS != tc.fps || l.Origin["displays.fps"] != tc.fromOrigin {
				t.Errorf("%d from %s; want %d from %s", l.Displays.FPS, l.Origin["displays.fps"], tc.fps, tc.fromOrigin)
			}
			if tc.src.Path == path && (l.Timeouts.Linger != time.Second || l.Log.Level != "warn") {
				t.Errorf("the rest of the file is lost: %+v", l.Config)
			}
		})
	}
}

// TestFilesThatAreRefused reads the cases of testdata/refused.txt: a name, a file, and the problems that are reported.
func TestFilesThatAreRefused(t *testing.T) {
	const golden = "testdata/refused.txt"
	old, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var now strings.Builder
	for _, one := range strings.Split(string(old), "== ")[1:] {
		name, rest, _ := strings.Cut(one, "\n")
		content, want, _ := strings.Cut(rest, "\n--\n")
		t.Run(name, func(t *testing.T) {
			path := write(t, "config.yaml", content)
			_, err := Load(Sources{Path: path})
			if err == nil {
				t.Fatal("accepted")
			}
			got := strings.ReplaceAll(err.Error(), path, "F") + "\n"
			fmt.Fprintf(&now, "== %s\n%s\n--\n%s", name, content, got)
			if got != want && !*update {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if code := codeOf(err); code != 78 {
				t.Errorf("exit code %d", code)
			}
		})
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(golden, []byte(now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilesWithoutSettings(t *testing.T) {
	for _, content := range []string{"", "\n", "# nothing but a comment\n", "---\n", "{}\n"} {
		if _, err := Load(Sources{Path: write(t, "config.yaml", content)}); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestLabelsOfTheHost(t *testing.T) {
	l, err := Load(Sources{Path: write(t, "c.yaml", "host:\n  labels: [region=eu-west, pool=cad/2, empty=]\n")})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"region": "eu-west", "pool": "cad/2", "empty": ""}
	if got := l.Host.LabelMap(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v; want %v", got, want)
	}
	for _, bad := range []string{"region", "=x", "a=b c", "a=1, a=2"} {
		if _, err := Load(Sources{Path: write(t, "c.yaml", "host:\n  labels: ["+bad+"]\n")}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

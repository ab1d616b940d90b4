package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestVariablesAndFlagsThatAreRefused(t *testing.T) {
	flag := func(name, value string) map[string]string { return map[string]string{name: value} }
	for _, tc := range []struct {
		src  Sources
		want string
		code int
	}{
		{
			Sources{Env: []string{"WAVRY_HOST_DISPLAYS__FSP=1"}},
			`WAVRY_HOST_DISPLAYS__FSP: unknown variable; did you mean "WAVRY_HOST_DISPLAYS__FPS"?`, 78,
		},
		{
			Sources{Env: []string{"WAVRY_HOST_FPS=1"}},
			`WAVRY_HOST_FPS: unknown variable: it is WAVRY_HOST_DISPLAYS__FPS now`, 78,
		},
		{
			Sources{Env: []string{"WAVRY_HOST_GRANT_KEYS=/k"}},
			`WAVRY_HOST_GRANT_KEYS: unknown variable: it is part of auth.grants now`, 78,
		},
		{
			Sources{Env: []string{"WAVRY_HOST_DISPLAYS__FPS=x"}},
			`WAVRY_HOST_DISPLAYS__FPS: "x" is not a whole number from 1 to 240`, 78,
		},
		{
			Sources{Env: []string{"WAVRY_HOST_AUTH__TOKEN=hunter2"}},
			"WAVRY_HOST_AUTH__TOKEN: the value is not text of 16 or more printable ASCII characters without " +
				"spaces, or none",
			78,
		},
		{Sources{Flags: flag("displays.fps", "500")}, `--fps: "500" is not a whole number from 1 to 240`, 64},
		{
			Sources{Env: []string{"WAVRY_HOST_MEDIA__PUBLIC_ADDRESSES=192.0.2.1,x"}},
			`WAVRY_HOST_MEDIA__PUBLIC_ADDRESSES[1]: "x" is not an IP address`, 78,
		},
		{
			Sources{Env: []string{"WAVRY_HOST_MEDIA__INTERFACES=a,,b"}},
			`WAVRY_HOST_MEDIA__INTERFACES: "a,,b" has an empty element`, 78,
		},
		{
			Sources{Env: []string{"WAVRY_HOST_ICE__SERVERS=stun:a,turn:b"}},
			"WAVRY_HOST_ICE__SERVERS[1]: the server requires a username and a credential, or a secret, for turn:b", 78,
		},
		{Sources{Env: []string{"WAVRY_HOST_ICE__SERVERS=[{urls: ["}}, "WAVRY_HOST_ICE__SERVERS: the value is not " +
			"YAML", 78},
		{
			Sources{Env: []string{"WAVRY_HOST_ICE__SERVERS=[{urls: [stun:a], credential: [s3cret]}]"}},
			"WAVRY_HOST_ICE__SERVERS[0].credential: the value is not printable text", 78,
		},
		{
			Sources{Flags: flag("displays.fps", "0"), Env: []string{"WAVRY_HOST_TIMEOUTS__LINGER=x"}},
			"WAVRY_HOST_TIMEOUTS__LINGER: \"x\" is not a duration from 100ms to 10m\n" +
				"--fps: \"0\" is not a whole number from 1 to 240", 78,
		},
		{Sources{Flags: flag("api.listen", "0.0.0.0:1")}, "--listen: api.listen: \"0.0.0.0:1\" can be reached " +
			"from other " +
			"machines, which requires api.tls.cert_file and api.tls.key_file, and " + credentialSettings +
			"; or listen on 127.0.0.1", 64},
		{
			Sources{Flags: flag("api.tls.key_file", "k"), Env: []string{"WAVRY_HOST_DISPLAYS__BITRATE__MAX=100k"}},
			"--tls-key: api.tls.cert_file: a certificate requires its key: set both or none\n" +
				"WAVRY_HOST_DISPLAYS__BITRATE__MAX: displays.bitrate.min: 150k is above displays.bitrate.max, 100k", 78,
		},
		{Sources{Path: "/nonexistent/c.yaml"}, "/nonexistent/c.yaml: stat: no such file or directory", 78},
		{
			Sources{Env: []string{"WAVRY_HOST_CONFIG=/nonexistent/c.yaml"}},
			"/nonexistent/c.yaml: stat: no such file or directory", 78,
		},
		{Sources{Path: "/"}, "/: it is a folder", 78},
	} {
		_, err := Load(tc.src)
		if err == nil || err.Error() != tc.want || codeOf(err) != tc.code {
			t.Errorf("got %v (exit code %d)\nwant %s (%d)", err, codeOf(err), tc.want, tc.code)
		}
	}
}

func TestDropInsOverrideInOrder(t *testing.T) {
	folder := t.TempDir()
	put := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	main := put("config.yaml", "displays: {fps: 10, cursor: false}\nmedia: {interfaces: [a, b]}\nauth: {token: "+
		"0123456789abcdef}\n")
	role := put("conf.d/10-role.yaml", "displays:\n  fps: 20\n  bitrate: {max: 8M}\n")
	host := put("conf.d/20-host.yaml", "displays: {fps: 30}\nmedia: {interfaces: [c]}\nauth: {token: "+
		"0123456789abcdef}\n")
	put("conf.d/.hidden.yaml", "nonsense: 1\n")
	put("conf.d/README", "nonsense: 1\n")
	ignored := put("conf.d/30.yml", "nonsense: 1\n")

	l, err := Load(Sources{Path: main})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(l.Displays.FPS, l.Displays.Cursor, l.Displays.Bitrate.Max, l.Media.Interfaces) != "30 false "+
		"8000000 [c]" {
		t.Errorf("got %+v", l.Config)
	}
	for name, want := range map[string]string{
		"displays.fps": host + ":1", "displays.cursor": main + ":1", "displays.bitrate.max": role + ":3",
		"media.interfaces": host + ":2", "media.mtu": "default",
	} {
		if l.Origin[name] != want {
			t.Errorf("%s comes from %s; want %s", name, l.Origin[name], want)
		}
	}
	if fmt.Sprint(l.Files) != fmt.Sprint([]string{main, role, host}) {
		t.Errorf("files %v", l.Files)
	}
	if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], ignored) {
		t.Errorf("warnings %q", l.Warnings)
	}
	// Drop-ins are enough, and the faults of all files are reported at once.
	if l, err := Load(Sources{Fallback: filepath.Join(folder, "none.yaml")}); err != nil || l.Displays.FPS != 30 {
		t.Errorf("without the file: %v", err)
	}
	put("conf.d/10-role.yaml", "displays:\n  fps: 0\n")
	put("conf.d/20-host.yaml", "fsp: 30\n")
	want := role + ":2: displays.fps: 0 (a number) is not a whole number from 1 to 240\n" +
		host + `:1: unknown setting "fsp"`
	if _, err := Load(Sources{Path: main}); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
	// A folder that cannot be listed might hold what keeps others out.
	if runtime.GOOS == "linux" {
		if err := os.RemoveAll(filepath.Join(folder, "conf.d")); err != nil {
			t.Fatal(err)
		}
		put("conf.d", "")
		if _, err := Load(Sources{Path: main}); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("a file for the folder: %v", err)
		}
	}
}

// Kubernetes sets variables for every service, and one may be called wavry-host.
func TestInjectedVariablesAreNotSettings(t *testing.T) {
	env := []string{
		"WAVRY_HOST_SERVICE_HOST=10.96.0.7",
		"WAVRY_HOST_SERVICE_PORT=8470",
		"WAVRY_HOST_SERVICE_PORT_HTTP=8470",
		"WAVRY_HOST_PORT=tcp://10.96.0.7:8470",
		"WAVRY_HOST_PORT_8470_TCP=tcp://10.96.0.7:8470",
		"WAVRY_HOST_PORT_8470_TCP_PROTO=tcp",
		"WAVRY_HOST_PORT_8470_TCP_PORT=8470",
		"WAVRY_HOST_PORT_8470_TCP_ADDR=10.96.0.7",
		"WAVRY_HOST_METRICS_SERVICE_HOST=10.96.0.8",
		"WAVRY_HOST_METRICS_PORT=tcp://10.96.0.8:9000",
		"WAVRY_HOST_MEDIA_PORT=udp://10.96.0.9:3478", // of a service wavry-host-media
		"WAVRY_HOST_DISPLAYS__FPS=30",
	}
	l, err := Load(Sources{Env: env})
	if err != nil || l.Displays.FPS != 30 || len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "Kubernetes") ||
		!strings.Contains(l.Warnings[0], "WAVRY_HOST_MEDIA_PORT") {
		t.Errorf("got %v, %+v", err, l)
	}
	for _, bad := range []string{
		"WAVRY_HOST_FSP=30", "WAVRY_HOST_MEDIA_PORTS=1-2", "WAVRY_HOST_SERVICE=x",
		"WAVRY_HOST_MEDIA__PORT=1",
	} {
		if _, err := Load(Sources{Env: []string{bad}}); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// Ansible and others write YAML 1.1, where off is a boolean and yes is true.
func TestBooleansOfYAML11(t *testing.T) {
	for text, want := range map[string]string{
		"input: {from: false}": "none", "input: {from: off}": "none", "input: {from: No}": "none",
		"auth: {certificates: {mode: false}}": "none", "auth: {anonymous: off}": "none", "api: {audit_file: no}": "",
		"displays: {cursor: off}": "false", "displays: {cursor: No}": "false", "gateway: {insecure: yes}": "true",
		"gateway: {insecure: On}": "true", "media: {tcp: {port: false}}": "0", "displays: {bitrate: {fixed: off}}": "0",
	} {
		l, err := Load(Sources{Path: write(t, "c.yaml", text+"\n")})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		section, rest, _ := strings.Cut(text, ": {")
		key, rest, _ := strings.Cut(rest, ": ")
		if inner, ok := strings.CutPrefix(rest, "{"); ok {
			sub, _, _ := strings.Cut(inner, ":")
			key += "." + sub
		}
		s, ok := Find(section + "." + key)
		if !ok || fmt.Sprint(s.Value(&l.Config)) != want {
			t.Errorf("%s: got %v; want %s", text, s.Value(&l.Config), want)
		}
	}
	for _, text := range []string{"input: {from: true}", "encoding: {prefer: false}", "log: {level: " +
		"off}", "media: {udp: {port: off}}"} {
		if _, err := Load(Sources{Path: write(t, "c.yaml", text+"\n")}); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestMediaStaysWhereTheListenerIs(t *testing.T) {
	const token = "\nauth: {token: 0123456789abcdef}"
	for text, want := range map[string]bool{
		"":                                    true,
		"api: {listen: \"localhost:1\"}":      true,
		"api: {listen: \"[::1]:1\"}":          true,
		"media: {network: any}" + token:       false,
		"media: {interfaces: [eth0]}" + token: false,
		"media: {public_addresses: [203.0.113.7]}" + token:                       false,
		"ice: {servers: [{urls: [\"stun:a\"]}]}" + token:                         false,
		"api: {listen: \"0.0.0.0:1\", tls: {cert_file: c, key_file: k}}" + token: false,
	} {
		l, err := Load(Sources{Path: write(t, "c.yaml", text)})
		if err != nil {
			t.Fatal(err)
		}
		if got := l.MediaOnLoopback(); got != want {
			t.Errorf("%q: media on loopback: %v; want %v", text, got, want)
		}
	}
}

func TestOptionalCertificatesAreNoLock(t *testing.T) {
	const text = "api: {listen: \"0.0.0.0:1\", tls: {cert_file: c, key_file: k}}\n"
	for auth, locked := range map[string]bool{
		"{certificates: {mode: optional, ca_file: a}}":                 false,
		"{certificates: {mode: required, ca_file: a}}":                 true,
		"{certificates: {mode: optional, ca_file: a}, tokens_file: t}": true,
	} {
		if _, err := Load(Sources{Path: write(t, "c.yaml", text+"auth: "+auth)}); (err == nil) != locked {
			t.Errorf("%s: %v", auth, err)
		}
	}
}

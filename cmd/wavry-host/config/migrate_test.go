package config

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestMigratedFileMeansTheSame(t *testing.T) {
	got, err := Migrate("flat.yaml", []byte(flat))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/full.yaml", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(got) != full {
		t.Errorf("got\n%s\nwant\n%s", got, full)
	}
	l, err := Load(Sources{Path: write(t, "c.yaml", string(got))})
	if err != nil || !reflect.DeepEqual(l.Config, fullConfig()) {
		t.Errorf("got %v, %+v", err, l)
	}
}

// Each former setting is migrated, also where it has a word now.
func TestEveryFormerSettingIsMigrated(t *testing.T) {
	for _, s := range Settings() {
		if s.Former == "" && s.Name != "auth.grants" && !slices.Contains(nested, s.Name) {
			t.Errorf("%s has no former name", s.Name)
		}
	}
	for old, want := range map[string]string{
		"fixed_bitrate: 0":                  "displays:\n  bitrate:\n    fixed: none\n",
		"local_start_bitrate: 0":            "displays:\n  bitrate:\n    local_start: none\n",
		"max_uplink: 0":                     "sessions:\n  max_uplink: unlimited\n",
		"encoder_sessions: 0":               "encoding:\n  max_gpu_sessions: unlimited\n",
		"media_port: 0":                     "media:\n  udp:\n    port: auto\n",
		"media_tcp_port: 0 # off":           "media:\n  tcp:\n    port: none # off\n",
		"udp_ports: \"\"":                   "media:\n  udp:\n    range: auto\n",
		"probation: 0s":                     "host:\n  probation:\n    time: none\n",
		"token_file: \"\"":                  "auth:\n  token_file: none\n",
		"revocations_file: \"\"":            "auth:\n  revocations_file: none\n",
		"revocations_file: auto":            "auth:\n  revocations_file: auto\n",
		"vaapi_device: \"\"":                "encoding:\n  vaapi_device: auto\n",
		"host_id: \"\"":                     "host:\n  id: auto\n",
		"gateway_ca: \"\"":                  "gateway:\n  ca_file: auto\n",
		"max_requests: 2000":                "api:\n  limits:\n    requests: 2000/s\n",
		"input: off":                        "input:\n  from: none\n",
		"input: false":                      "input:\n  from: none\n",
		"tls_client_auth: off":              "auth:\n  certificates:\n    mode: none\n",
		"# why\nfps: 30\n":                  "displays:\n  # why\n  fps: 30\n",
		"ice_servers: []":                   "ice:\n  servers: []\n",
		"grant_keys: /k\ngrant_audience: a": "auth:\n  grants:\n    - keys: /k\n      audience: a\n",
		"grant_audience: a\ngrant_issuers:\n  - {issuer: i, keys: /k}\n  - {issuer: j, keys: /l, audience: b}": "auth:\n" +
			"  grants:\n    - {issuer: i, keys: /k, audience: a}\n    - {issuer: j, keys: /l, audience: b}\n",
		"": "",
	} {
		got, err := Migrate("f", []byte(old))
		if err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v; want %q", old, got, err, want)
			continue
		}
		if _, err := Load(Sources{Path: write(t, "c.yaml", string(got))}); err != nil {
			t.Errorf("%q: %v", old, err)
		}
	}
	for old, want := range map[string]string{
		"fsp: 30":             `f:1: unknown setting "fsp"; did you mean "fps"?`,
		"fps: 30\nfps: 31":    `f:2: key "fps" is set already, in line 1`,
		"- a":                 "f:1: found a list; want",
		"a: [":                "f:1: not YAML",
		"fps: 1\n---\nfps: 2": "f: there is more than one document",
		"displays: {fps: 30}": "f:1: there is a section already: displays",
		"input: {from: none}": "f:1: there is a section already: input",
	} {
		if _, err := Migrate("f", []byte(old)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v; want %s", old, err, want)
		}
	}
}

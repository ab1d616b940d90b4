package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// unpack returns the files of a bundle.
func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		files[name] = string(text)
	}
}

// Secrets in every setting that takes one, in the files that settings name, and in the log, are not in the bundle.
func TestBundleHasNoSecrets(t *testing.T) {
	state := t.TempDir()
	planted := map[string]string{
		"shared token": "planted-shared-token", "credential": `planted "credential" & more`,
		"relay secret": "planted-relay-secret",
		"own token":    "planted-own-token-0000", "token": "planted-gateway-token", "account": "planted-account-0123",
		"bearer": "planted-bearer-of-a-client", "address": "planted-address-token",
		"grant": "eyJhbGciOiJFZDI1NTE5In0.cGxhbnRlZA.cGxhbnRlZC1zaWduYXR1cmU", "password": "planted-password",
		"reservation": "planted-reservation", "key of another machine": "cGxhbnRlZCBrZXk",
		"gateway's password": "planted-gateway-password", "variable": "planted-in-a-variable",
	}
	if err := os.MkdirAll(filepath.Join(state, "wavry-host"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := os.WriteFile(filepath.Join(state, "wavry-host", "token"), []byte(planted["own token"]+"\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(planted["credential"])
	if err != nil {
		t.Fatal(err)
	}
	account := write(t, "account", planted["account"]+"\n")
	token := write(t, "gateway-token", planted["token"])
	common := []string{
		"auth.token: " + planted["shared token"],
		"ice.servers: [{urls: ['turn:a.example'], username: u, credential: '" + planted["credential"] + "'}, " +
			"{urls: ['turn:b.example'], secret: " + planted["relay secret"] + "}]",
		"gateway.url: wss://gw.example/ws", "gateway.allow: [ann]",
	}
	for name, more := range map[string]string{
		"account": "gateway.account_file: " + account, "token": "gateway.token_file: " + token,
		"refused": "displays.fps: 0",
	} {
		t.Run(name, func(t *testing.T) {
			cfg := write(t, "c.yaml", nested(strings.Join(append(common, more), "\n")))
			log := write(t, "log", strings.Join([]string{
				"Authorization: Bearer " + planted["bearer"], "GET /#token=" + planted["address"] + " 200",
				"grant " + planted["grant"], "turn:u:x https://u:" + planted["password"] + "@a.example/",
				`{"kind":"reserved","reservation":"` + planted["reservation"] + `"}`, `{"err":` + string(quoted) + "}",
				"-----BEGIN PRIVATE KEY-----\n" + planted["key of another machine"] + "\n-----END PRIVATE KEY-----",
				"wss://ann:" + planted["gateway's password"] + "@gw.example", planted["shared token"] + planted["relay secret"],
				planted["own token"], planted[name], planted["credential"], planted["variable"], "an honest line",
			}, "\n"))
			out := filepath.Join(t.TempDir(), "b.tar.gz")
			env := []string{
				"XDG_STATE_HOME=" + state, "XDG_RUNTIME_DIR=" + t.TempDir(), "OTHER_TOKEN=" + planted["variable"],
			}
			got := try(t, env, "bundle", "--config="+cfg, "--log="+log, "--out="+out)
			if got.code != 0 {
				t.Fatalf("got %+v", got)
			}
			files := unpack(t, out)
			for _, file := range []string{"manifest.json", "doctor.json", "log.txt"} {
				if files[file] == "" {
					t.Errorf("there is no %s; got %+v", file, got)
				}
			}
			refused := name == "refused"
			if !strings.Contains(files["log.txt"], "an honest line") ||
				strings.Contains(files["config.yaml"], "(hidden)") == refused {
				t.Error("the bundle lacks what is no secret")
			}
			for file, text := range files {
				for what, secret := range planted {
					if strings.Contains(text, secret) || strings.Contains(got.out+got.errout, secret) {
						t.Errorf("%s has the %s", file, what)
					}
				}
				if strings.Contains(text, "planted") {
					t.Errorf("%s has a part of a secret:\n%s", file, text)
				}
			}
			if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file: %v, %v", info.Mode(), err)
			}
		})
	}
}

// A bundle has what the running daemon knows, and only the events of the time window. Missing parts have their reason.
func TestBundleOfARunningDaemon(t *testing.T) {
	_, env := startOnSocket(t)
	if got := try(t, env, "cordon", "--note=for the bundle"); got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	dir := t.TempDir()
	unpacked := func(args ...string) map[string]string {
		out := filepath.Join(dir, time.Now().Format("150405.000000000"))
		got := try(t, env, append([]string{"bundle", "--out=" + out, "--log=" + filepath.Join(dir, "none")}, args...)...)
		if got.code != 0 || !strings.Contains(got.out, "missing: log.txt: open") {
			t.Errorf("%v: got %+v", args, got)
		}
		return unpack(t, out)
	}
	files := unpacked()
	for name, want := range map[string]string{
		"host.json": `"note":"for the bundle"`, "sessions.json": "[]", "metrics.txt": "wavry_host_cordoned 1",
		"events.jsonl": `"kind":"cordon"`, "capacity.json": "profiles", "doctor.json": `"daemon.state"`,
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s has no %s:\n%.300s", name, want, files[name])
		}
	}
	var m manifest
	if err := json.Unmarshal([]byte(files["manifest.json"]), &m); err != nil || m.Files["host.json"] == 0 ||
		m.To.Sub(m.From) != time.Hour || m.Missing["log.txt"] == "" {
		t.Errorf("manifest %+v, %v", m, err)
	}
	if files := unpacked("--until=2020-01-01T00:00:00Z"); files["events.jsonl"] != "" {
		t.Errorf("events of another time: %s", files["events.jsonl"])
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--until=yesterday"}, exitUsage, "--until"},
		{[]string{"--last=-1h"}, exitUsage, "--last"},
		{[]string{"--out=" + write(t, "there", "")}, exitUsage, "exists; name another"},
		{[]string{"--out=" + filepath.Join(dir, "no", "folder")}, exitFailure, "no such file"},
	} {
		got := try(t, env, append([]string{"bundle"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.errout, c.want) {
			t.Errorf("%v: got %+v", c.args, got)
		}
	}
}

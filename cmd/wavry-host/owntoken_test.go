package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session/logtest"
)

// provided returns the daemon's own token in an environment, and what the log said.
func provided(t *testing.T, env ...string) (ownToken, string) {
	t.Helper()
	var log bytes.Buffer
	l, err := load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	own := &ownTokens{env: env, log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := own.provide(l); err != nil {
		t.Fatal(err)
	}
	if len(l.own.Reveal()) < 32 || strings.Contains(log.String(), l.own.Reveal()) {
		t.Errorf("token of %d characters; the log: %s", len(l.own.Reveal()), &log)
	}
	return l.own, log.String()
}

func TestOwnTokenIsKept(t *testing.T) {
	for name, env := range map[string]func(dir string) (path string, env []string){
		"of systemd": func(dir string) (string, []string) {
			return filepath.Join(dir, "a", "token"), []string{
				"STATE_DIRECTORY=" + dir + "/a:" + dir + "/b",
				"HOME=/nonexistent",
			}
		},
		"of XDG": func(dir string) (string, []string) {
			return filepath.Join(dir, "wavry-host", "token"), []string{"XDG_STATE_HOME=" + dir, "HOME=/nonexistent"}
		},
		"of the user": func(dir string) (string, []string) {
			return filepath.Join(dir, ".local", "state", "wavry-host", "token"), []string{
				"HOME=" + dir,
				"XDG_STATE_HOME=relative",
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, env := env(t.TempDir())
			first, log := provided(t, env...)
			info, err := os.Stat(path)
			if err != nil || info.Mode() != 0o600 || first.path != path || !strings.Contains(log, path) {
				t.Fatalf("%v, %v; kept in %q: %s", info, err, first.path, log)
			}
			if folder, err := os.Stat(filepath.Dir(path)); err != nil || folder.Mode() != fs.ModeDir|0o700 {
				t.Errorf("the folder has %v, %v", folder.Mode(), err)
			}
			if again, log := provided(t, env...); again != first || log != "" {
				t.Errorf("the next start has another token, or says something: %s", log)
			}
			entries, err := os.ReadDir(filepath.Dir(path))
			if err != nil || len(entries) != 1 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
}

// Two daemons of a user that start for the first time at once end up with one token.
func TestOwnTokenIsMadeOnce(t *testing.T) {
	env := "STATE_DIRECTORY=" + t.TempDir()
	var all sync.WaitGroup
	tokens := make([]config.Secret, 16)
	for i := range tokens {
		all.Go(func() {
			own, _ := provided(t, env)
			tokens[i] = own.Secret
		})
	}
	all.Wait()
	for _, one := range tokens {
		if one != tokens[0] {
			t.Fatal("there are several tokens")
		}
	}
}

func TestOwnTokenThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(folder, "token"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string]string{
		"no folder":          "PATH=/bin",
		"a file in its way":  "STATE_DIRECTORY=" + file,
		"below a file":       "HOME=" + file,
		"a folder for token": "STATE_DIRECTORY=" + folder,
	} {
		first, log := provided(t, env)
		second, _ := provided(t, env)
		if first.path != "" || first == second || !strings.Contains(log, "for this run only") ||
			!strings.Contains(log, "level=WARN") ||
			!strings.Contains(log, "token_file") {
			t.Errorf("%s: kept in %q: %s", name, first.path, log)
		}
	}
}

// A file that holds no token, or that others had access to, gets a new one.
func TestOwnTokenIsReplaced(t *testing.T) {
	for name, was := range map[string]struct {
		text string
		mode fs.FileMode
	}{
		"empty": {"", 0o600}, "short": {"hunter2\n", 0o600}, "two words": {
			"0123456789abcdef 0123456789abcdef\n",
			0o600,
		}, "binary": {strings.Repeat("\x00", 32), 0o600},
		"shown to all": {"0123456789abcdef\n", 0o644},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "token")
		if err := os.WriteFile(path, []byte(was.text), was.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, was.mode); err != nil {
			t.Fatal(err)
		}
		own, log := provided(t, "STATE_DIRECTORY="+dir)
		now, err := os.ReadFile(path)
		info, err2 := os.Stat(path)
		if err != nil || err2 != nil || strings.TrimSpace(string(now)) != own.Reveal() ||
			own.Reveal() == strings.TrimSpace(was.text) ||
			info.Mode() != 0o600 {
			t.Errorf("%s: not replaced, or mode %v: %v %v", name, info.Mode(), err, err2)
		}
		if !strings.Contains(log, "replaced") || strings.Contains(log, "hunter2") ||
			strings.Contains(log, "0123456789abcdef") {
			t.Errorf("%s: the log: %s", name, log)
		}
	}
}

// With a credential in the configuration no token is made, and neither is one by commands that only look.
func TestNoOwnTokenWithoutNeed(t *testing.T) {
	dir := t.TempDir()
	env := []string{"STATE_DIRECTORY=" + dir}
	for _, flags := range []map[string]string{
		{"auth.token": "0123456789abcdef"},
		{"auth.tokens_file": "/t"},
		{"auth.grants": "[{keys: /k, audience: a}]"},
		{
			"auth.certificates.mode": "required", "auth.certificates.ca_file": "c", "api.tls.cert_file": "c",
			"api.tls.key_file": "k",
		},
	} {
		l, err := load(config.Sources{Flags: flags})
		if err != nil {
			t.Fatal(err)
		}
		own := &ownTokens{env: env, log: newTestLog(t)}
		if err := own.provide(l); err != nil || l.own.Secret != "" {
			t.Errorf("%v: a token was made, or %v", flags, err)
		}
	}
	for _, args := range [][]string{{"config", "check"}, {"config", "print"}, {"url"}} {
		try(t, env, args...)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("made: %v, %v", entries, err)
	}
}

func TestURL(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("own+0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	state := "STATE_DIRECTORY=" + dir
	for _, tc := range []struct {
		env  []string
		args []string
		want outcome
	}{
		{[]string{state}, nil, outcome{0, "http://127.0.0.1:8470/#token=own%2B0123456789abcdef\n", ""}},
		{[]string{state}, []string{"--listen", "[::1]:9000"}, outcome{
			0,
			"http://[::1]:9000/#token=own%2B0123456789abcdef\n", "",
		}},
		{
			[]string{state, "WAVRY_HOST_AUTH__TOKEN=0123456789abcdef"},
			nil,
			outcome{0, "http://127.0.0.1:8470/#token=0123456789abcdef\n", ""},
		},
		{
			[]string{state},
			[]string{"--token-file", write(t, "token", "file-0123456789abcdef")},
			outcome{0, "http://127.0.0.1:8470/#token=file-0123456789abcdef\n", ""},
		},
		{[]string{state, "WAVRY_HOST_AUTH__TOKENS_FILE=/t"}, nil, outcome{0, "http://127.0.0.1:8470/\n", "no " +
			"operator's token"}},
		{[]string{state}, []string{"--listen", "127.0.0.1:0"}, outcome{exitUsage, "", "port 0"}},
		{[]string{"STATE_DIRECTORY=" + t.TempDir()}, nil, outcome{exitFailure, "", "it is made at the first start"}},
	} {
		got := try(t, tc.env, append([]string{"url"}, tc.args...)...)
		if got.code != tc.want.code || got.out != tc.want.out || !strings.Contains(got.errout, tc.want.errout) ||
			tc.want.errout == "" && got.errout != "" {
			t.Errorf("%v %v: got %+v; want %+v", tc.env, tc.args, got, tc.want)
		}
	}
}

// The token that the daemon makes is in nothing that comes out of it but the file of it: log, audit log,
// configuration, answers, events and metrics, however it is shown.
func TestOwnTokenStaysSecret(t *testing.T) {
	dir := t.TempDir()
	trail := filepath.Join(dir, "audit.jsonl")
	env := []string{
		"STATE_DIRECTORY=" + dir, "WAVRY_HOST_ENCODING__VAAPI_DEVICE=/nonexistent",
		"WAVRY_HOST_API__AUDIT_FILE=" + trail,
	}
	var printed logtest.Buffer
	d := startIn(t, env, &printed, "--display=synthetic", "--encoder=h264_vaapi", "--log-level=debug")
	text, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(text))
	said := map[string]string{}
	ask := func(method, path, shown, body string) {
		request, err := http.NewRequestWithContext(t.Context(), method, d.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+shown)
		request.Header.Set("Content-Type", "application/sdp")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		first := make([]byte, 1<<20)
		n, _ := io.ReadAtLeast(response.Body, first, 1) // of events no more comes
		said[method+" "+path] += fmt.Sprint(response.Header, string(first[:n]))
	}
	for _, shown := range []string{token, token + "x", "x" + token} {
		for _, path := range []string{
			"/", "/v1/host", "/v1/displays", "/v1/sessions", "/v1/capacity", "/v1/reservations",
			"/v1/events?after=0", "/metrics", "/readyz",
			"/v1/sessions/none", "/v1/openapi.json", "/whep/none?token=" + token,
		} {
			ask(http.MethodGet, path, shown, "")
		}
		for _, path := range []string{
			"/whep/default", "/v1/drain?token=" + token, "/v1/sessions",
			"/v1/sessions/none/recording", "/v1/reload",
		} {
			ask(http.MethodPost, path, shown, "v=0 "+token)
		}
	}
	d.token = token
	d.end(t)
	said["the log"] = printed.String()
	audit, err := os.ReadFile(trail)
	if err != nil {
		t.Fatal(err)
	}
	said["the audit log"] = string(audit)
	for _, args := range [][]string{{"config", "print"}, {"config", "check"}, {"displays"}, {"version"}} {
		var out, errs strings.Builder
		run(t.Context(), args, append(env, "WAVRY_HOST_DISPLAYS__DEFAULT=synthetic"), &out, &errs)
		said[strings.Join(args, " ")] = out.String() + errs.String()
	}
	for where, text := range said {
		if text == "" || strings.Contains(text, token) {
			t.Errorf("%s has the token, or nothing at all: %.300s", where, text)
		}
	}
}

// A daemon without any setting admits nobody who does not show its token, which nothing that it prints to a log has.
func TestDaemonWithoutConfiguration(t *testing.T) {
	dir := t.TempDir()
	var printed logtest.Buffer
	d := startIn(
		t, []string{"STATE_DIRECTORY=" + dir, "WAVRY_HOST_ENCODING__VAAPI_DEVICE=/nonexistent"}, &printed,
		"--display=synthetic", "--encoder=h264_vaapi",
		"--log-level=debug",
	)
	for _, path := range []string{"/v1/host", "/v1/sessions", "/metrics"} {
		if status, body := d.get(t, path); status != http.StatusUnauthorized {
			t.Errorf("%s with a wrong token: %d %s", path, status, body)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	d.token = strings.TrimSpace(string(text))
	if status, body := d.get(t, "/v1/sessions"); status != http.StatusOK {
		t.Errorf("with its token: %d %s", status, body)
	}
	d.token = ""
	if status, body := d.get(t, "/v1/sessions"); status != http.StatusUnauthorized {
		t.Errorf("without one: %d %s", status, body)
	}
	d.end(t)
	if out := printed.String(); strings.Contains(out, strings.TrimSpace(string(text))) ||
		!strings.Contains(out, "wavry-host url") {
		t.Errorf("the log has the token, or does not say how to get it:\n%s", out)
	}
}

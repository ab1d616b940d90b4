package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestTokenFile(t *testing.T) {
	const good = "0123456789abcdef"
	for _, tc := range []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"its owner's", good + "\n", 0o600, ""},
		{"its group's", good, 0o640, ""},
		{"everyone's", good, 0o644, "--token-file: auth.token_file: every user can read F (mode 0644): chmod 640 F"},
		{
			"short", "hunter2", 0o600,
			"--token-file: auth.token_file: what F holds is not text of 16 or more printable ASCII characters without spaces",
		},
		{"empty", "\n", 0o600, "--token-file: auth.token_file: what F holds is not text of 16 or more printable ASCII " +
			"characters without spaces"},
		{"masked", mask + mask, 0o600, ""},
		{"the mask", mask, 0o600, "--token-file: auth.token_file: what F holds is not text of 16 or more printable ASCII " +
			"characters without spaces"},
		{"large", strings.Repeat("x", 5000), 0o600, "--token-file: auth.token_file: F: it is larger than 4096 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && tc.mode == 0o644 {
				t.Skip("the mode says nothing on Windows")
			}
			path := write(t, "token", tc.content)
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}
			l, err := Load(Sources{Flags: map[string]string{"auth.token_file": path}})
			switch {
			case tc.want == "":
				if err != nil || l.SharedToken.Reveal() != strings.TrimSpace(tc.content) {
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
		"auth: {token: 0123456789abcdef}\n": 1,
		"auth: {tokens_file: /t}\nice: {servers: [{urls: ['turn:a'], username: u, credential: c}]}\n": 1,
		"displays: {fps: 30}\n": 0,
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

func TestSecretsShowNowhere(t *testing.T) {
	c := fullConfig()
	var b strings.Builder
	log := slog.New(slog.NewJSONHandler(&b, nil))
	log.Info("x", "config", c, "token", c.Auth.Token, "server", c.ICE.Servers[1])
	log = slog.New(slog.NewTextHandler(&b, nil))
	log.Info("x", "config", c, "token", c.Auth.Token, "pointer", &c)
	fmt.Fprintf(&b, "%v %+v %#v %s %q", c, c, c, c.Auth.Token, c.Auth.Token)
	fmt.Fprint(&b, errors.New(c.Auth.Token.String()))
	for _, s := range []string{"0123456789abcdef", "fedcba9876543210"} {
		if strings.Contains(b.String(), s) {
			t.Errorf("a secret is shown: %s", b.String())
		}
	}
	if !strings.Contains(b.String(), "ann") {
		t.Error("the configuration was not shown at all")
	}
}

// Secrets of ICE servers may stand in files of their own, which are read with the configuration and never printed.
func TestSecretsOfICEServersInFiles(t *testing.T) {
	shared, credential := write(t, "shared", "shared-with-turn\n"), write(t, "credential", "ann-s-password")
	text := fmt.Sprintf(
		"auth: {token: 0123456789abcdef}\nice:\n  servers:\n  - {urls: ['turn:a'], secret_file: %s}\n"+
			"  - {urls: ['turn:b'], username: ann, credential_file: %s}\n",
		shared, credential,
	)
	l, err := Load(Sources{Path: write(t, "config.yaml", text)})
	if err != nil {
		t.Fatal(err)
	}
	if l.ICE.Servers[0].Secret != "shared-with-turn" || l.ICE.Servers[1].Credential != "ann-s-password" {
		t.Error("the configuration does not have what the files hold")
	}
	var printed strings.Builder
	if err := errors.Join(l.Print(&printed), l.PrintJSON(&printed)); err != nil {
		t.Fatal(err)
	}
	if out := printed.String(); strings.Contains(out, "shared-with-turn") || strings.Contains(out, "ann-s-password") ||
		!strings.Contains(out, "secret_file: "+shared) || !strings.Contains(out, "credential_file: "+credential) {
		t.Errorf("printed:\n%s", out)
	}
	if err := os.Chmod(shared, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, want string }{
		"exposed":   {shared, "every user can read"},
		"not there": {"/nonexistent/s", "ice.servers: /nonexistent/s: open: no such file"},
		"two lines": {write(t, "two", "a\nb"), "is not one line of text"},
		"empty":     {write(t, "none", "\n"), "is not one line of text"},
	} {
		text := "auth: {token: 0123456789abcdef}\nice: {servers: [{urls: ['turn:a'], secret_file: " + c.file + "}]}"
		_, err := Load(Sources{Path: write(t, "config.yaml", text)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
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
	l, err := Load(Sources{Flags: map[string]string{"auth.token_file": path}})
	if err != nil || l.SharedToken.Reveal() != "0123456789abcdef" || len(l.Warnings) != 1 ||
		!strings.Contains(l.Warnings[0], "every user can read") {
		t.Errorf("%v; warnings %q", err, l.Warnings)
	}
}

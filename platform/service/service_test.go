package service

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"howett.net/plist"
)

var update = flag.Bool("update", false, "rewrite the golden files and deploy/")

func TestGoldenDescriptions(t *testing.T) {
	odd := Spec{
		Name: "screen", Label: "com.example.screen", Binary: "/opt/my screens/100%/wavry-host",
		ConfigPath: "/etc/$HOME/a.yaml", User: "kiosk", Watchdog: 10 * time.Second, StopTimeout: 20 * time.Second,
	}
	session := Spec{Session: true, LogPath: "/Users/ann/Library/Logs/wavry-host.log"}
	for _, tc := range []struct {
		path   string
		render func() (string, error)
	}{
		{"testdata/odd.service", func() (string, error) { return Unit(odd) }},
		{"testdata/session.service", func() (string, error) { return Unit(session) }},
		{"testdata/odd.plist", func() (string, error) { return plistText(odd) }},
		{"testdata/session.plist", func() (string, error) { return plistText(session) }},
		// What packages ship is what the program itself writes.
		{"../../deploy/systemd/wavry-host.service", func() (string, error) { return Unit(Spec{}) }},
		{"../../deploy/systemd/user/wavry-host.service", func() (string, error) { return Unit(Spec{Session: true}) }},
		{"../../deploy/systemd/wavry-host-desktop.service", func() (string, error) { return DesktopUnit(Spec{}) }},
		{"../../deploy/systemd/wavry-host-desktop.socket", func() (string, error) { return DesktopSocket(Spec{}) }},
		{"../../deploy/systemd/wavry-host-kms.service", func() (string, error) { return KMSUnit(Spec{}) }},
		{"../../deploy/systemd/wavry-host-kms.socket", func() (string, error) { return KMSSocket(Spec{}) }},
		{
			"../../deploy/systemd/user/wavry-host-desktop.service",
			func() (string, error) { return DesktopUnit(Spec{Session: true}) },
		},
		{
			"../../deploy/systemd/user/wavry-host-desktop.socket",
			func() (string, error) { return DesktopSocket(Spec{Session: true}) },
		},
		{"../../deploy/needrestart/wavry-host.conf", func() (string, error) { return needrestart(Spec{}), nil }},
		{"../../deploy/systemd/sysusers.d/wavry-host.conf", func() (string, error) { return sysusers(Spec{}), nil }},
		{"../../deploy/launchd/org.wavry.host.plist", func() (string, error) { return plistText(Spec{}) }},
	} {
		t.Run(filepath.Base(tc.path), func(t *testing.T) {
			got, err := tc.render()
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.MkdirAll(filepath.Dir(tc.path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(tc.path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(tc.path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs from what is generated; rewrite it with go test -update\n%s", tc.path, got)
			}
		})
	}
}

func plistText(s Spec) (string, error) {
	b, err := Plist(s)
	return string(b), err
}

// TestPlistHasWhatLaunchdNeeds parses the list again; launchd's own parser exists on macOS only.
func TestPlistHasWhatLaunchdNeeds(t *testing.T) {
	b, err := Plist(Spec{Binary: "/opt/a&b/<wavry-host>", ConfigPath: "/etc/c.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Label                  string
		ProgramArguments       []string
		RunAtLoad              bool
		KeepAlive              map[string]bool
		LimitLoadToSessionType string
		ExitTimeOut            int
		Umask                  int
	}
	format, err := plist.Unmarshal(b, &got)
	if err != nil {
		t.Fatal(err)
	}
	if format != plist.XMLFormat {
		t.Errorf("format %s; want XML", plist.FormatNames[format])
	}
	args := strings.Join(got.ProgramArguments, "|")
	if want := "/opt/a&b/<wavry-host>|run|--config|/etc/c.yaml"; args != want {
		t.Errorf("arguments %s; want %s", args, want)
	}
	restart, ok := got.KeepAlive["SuccessfulExit"]
	if got.Label != "org.wavry.host" || !got.RunAtLoad || !ok || restart || got.LimitLoadToSessionType != "Aqua" ||
		got.ExitTimeOut != 45 || got.Umask != 0o077 {
		t.Errorf("got %+v", got)
	}
	// The parser is a gate only if it refuses what is broken.
	if _, err := plist.Unmarshal(b[:len(b)/2], &got); err == nil {
		t.Error("half a property list was taken")
	}
}

func TestSpecsThatCannotWork(t *testing.T) {
	for _, tc := range []struct {
		spec Spec
		want string
	}{
		{Spec{Name: "Wavry Host"}, `service: name "Wavry Host" is not lower-case letters, digits and dashes`},
		{Spec{User: "root\nUser=x"}, `service: user "root\nUser=x" is not lower-case letters, digits and dashes`},
		{Spec{Label: "wavry"}, `service: label "wavry" is not a reverse domain name`},
		{Spec{Binary: "wavry-host"}, `service: binary "wavry-host" is not absolute`},
		{Spec{Binary: "/a\nExecStartPre=/bin/sh"}, `service: binary "/a\nExecStartPre=/bin/sh" holds control characters`},
		{Spec{ConfigPath: "c.yaml"}, `service: configuration path "c.yaml" is not absolute`},
		{Spec{LogPath: "log"}, `service: log path "log" is not absolute`},
		{Spec{Watchdog: time.Millisecond}, `service: watchdog 1ms is under 1s`},
		{Spec{StopTimeout: -1}, `service: stop timeout -1ns is under 1s`},
	} {
		_, unitErr := Unit(tc.spec)
		_, plistErr := Plist(tc.spec)
		for _, err := range []error{unitErr, plistErr} {
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v; want %s", err, tc.want)
			}
		}
	}
}

func TestUnknownInitIsUnsupported(t *testing.T) {
	if _, err := NewManager(Config{Init: "runit"}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v; want %v", err, ErrUnsupported)
	}
}

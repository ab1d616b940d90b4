package xproto

import (
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	for name, want := range map[string]displayName{
		":0":                 {network: "unix", address: "/tmp/.X11-unix/X0"},
		":12.3":              {network: "unix", address: "/tmp/.X11-unix/X12", number: 12, screen: 3},
		"unix:1":             {network: "unix", address: "/tmp/.X11-unix/X1", number: 1},
		"host:2":             {network: "tcp", host: "host", address: "host:6002", number: 2},
		"tcp/host:2.1":       {network: "tcp", host: "host", address: "host:6002", number: 2, screen: 1},
		"[::1]:3":            {network: "tcp", host: "::1", address: "[::1]:6003", number: 3},
		"/run/x.sock":        {network: "unix", address: "/run/x.sock"},
		"/run/launchd/:4":    {network: "unix", address: "/run/launchd/:4", number: 4},
		"/tmp/.X11-unix/X5":  {network: "unix", address: "/tmp/.X11-unix/X5", number: 5},
		"@/tmp/.X11-unix/X6": {network: "unix", address: "@/tmp/.X11-unix/X6", number: 6},
	} {
		want.full = name
		if got, err := parseName(name); err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", name, got, err, want)
		}
	}
	for _, name := range []string{"", "0", ":", ":x", ":-1", ":0.", ":0.x", ":70000", "tcp/:0", "host:"} {
		if got, err := parseName(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: got %+v, %v; want an error that names it", name, got, err)
		}
	}
}

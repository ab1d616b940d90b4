package main

import "testing"

func TestPathOfTheSocket(t *testing.T) {
	for _, c := range []struct {
		setting string
		env     []string
		want    string
	}{
		{
			"auto",
			[]string{"RUNTIME_DIRECTORY=/run/wavry-host:/run/x", "XDG_RUNTIME_DIR=/run/user/1"},
			"/run/wavry-host/api.sock",
		},
		{"auto", []string{"XDG_RUNTIME_DIR=/run/user/1", "HOME=/root"}, "/run/user/1/wavry-host/api.sock"},
		{"auto", []string{"HOME=/root"}, "/root/.local/state/wavry-host/api.sock"},
		{"auto", nil, ""},
		{"/tmp/s", []string{"HOME=/root"}, "/tmp/s"},
	} {
		if got := socketPath(c.setting, c.env); got != c.want {
			t.Errorf("%s with %v: %q; want %q", c.setting, c.env, got, c.want)
		}
	}
}

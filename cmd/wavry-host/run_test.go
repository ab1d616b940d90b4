package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/encode/ffmpeg"
)

// outcome is the result of a command line.
type outcome struct {
	code        int
	out, errout string
}

func try(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	// What this machine has in /etc is not for the tests.
	env = append([]string{"WAVRY_HOST_CONFIG=" + write(t, "none.yaml", "")}, env...)
	var stdout, stderr strings.Builder
	code := run(t.Context(), args, env, &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

func TestExitCodes(t *testing.T) {
	bad := write(t, "bad.yaml", "displays: {fps: 0}\n")
	image := t.TempDir()
	for _, tc := range []struct {
		name string
		env  []string
		args []string
		code int
		out  string // must be in what is printed
		err  string // must be in what is said of errors
	}{
		{"help", nil, []string{"--help"}, 0, "Exit codes:", ""},
		{"help of a command", nil, []string{"run", "--help"}, 0, "--max-bitrate=BITRATE", ""},
		{"version", nil, []string{"version"}, 0, "wavry-host ", ""},
		{"good configuration", nil, []string{"config", "check"}, 0, "The configuration is valid", ""},
		{"printed configuration", nil, []string{"config", "print", "--fps=24"}, 0, "fps: 24 # --fps", ""},
		{"unknown command", nil, []string{"stream"}, exitUsage, "", "unexpected argument stream"},
		{"unknown flag", nil, []string{"run", "--fsp=3"}, exitUsage, "", `did you mean "--fps"?`},
		{"unknown flag without a command", nil, []string{"--fsp=3"}, exitUsage, "", `did you mean "--fps"?`},
		{
			"command that lacks its own", nil,
			[]string{"config"},
			exitUsage, "",
			`expected one of "check", "print", "schema", "migrate"`,
		},
		{
			"refused flag", nil,
			[]string{"run", "--fps=0"},
			exitUsage, "",
			`wavry-host: --fps: "0" is not a whole number from 1 to 240`,
		},
		{
			"refused flag without a command", nil,
			[]string{"--fps=0"},
			exitUsage, "",
			`wavry-host: --fps: "0" is not a whole number`,
		},
		{"refused file", nil, []string{"run", "--config", bad}, exitConfig, "", bad + ":1: displays.fps: 0 (a " +
			"number) is not"},
		{"refused file, checked", nil, []string{"config", "check", "--config", bad}, exitConfig, "", bad + ":1: " +
			"displays.fps"},
		{
			"refused variable",
			[]string{"WAVRY_HOST_DISPLAYS__FPS=0"},
			[]string{"config", "print"},
			exitConfig, "",
			`WAVRY_HOST_DISPLAYS__FPS: "0" is not`,
		},
		{
			"source without a page",
			[]string{"WAVRY_HOST_HOST__SOURCE_URL=ftp://example.net/"},
			[]string{"config", "check"},
			exitConfig, "", "host",
		},
		{"missing file", nil, []string{"run", "--config", bad + "x"}, exitConfig, "", "no such file"},
		{
			"unsafe address", nil,
			[]string{"run", "--listen", "0.0.0.0:0"},
			exitUsage, "",
			"can be reached from other machines",
		},
		{"unknown encoder's proof", nil, []string{"prove-encoder", "x"}, exitUsage, "", `no encoder is named "x"`},
		{
			"service in an empty image", nil,
			[]string{"service", "status", "--init=systemd", "--root", image},
			exitAbsent,
			"not installed", "",
		},
		{
			"service without its program", nil,
			[]string{"service", "install", "--init=systemd", "--root", image},
			exitFailure, "", "no such file",
		},
		{
			"unknown service manager", nil,
			[]string{"service", "print", "--init=upstart"},
			exitUsage, "",
			`--init must be one of`,
		},
		{"unit", nil, []string{"service", "print", "--init=systemd", "--binary=/x"}, 0, "ExecStart=/x run\n", ""},
		{"property " +
			"list", nil, []string{"service", "print", "--init=launchd", "--binary=/x"}, 0, "<string>/x</string>", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := try(t, tc.env, tc.args...)
			if got.code != tc.code || !strings.Contains(got.out, tc.out) || !strings.Contains(got.errout, tc.err) {
				t.Errorf("got %+v; want %+v", got, tc)
			}
			if tc.code == 0 && got.errout != "" {
				t.Errorf("complained: %s", got.errout)
			}
		})
	}
}

func TestHelpNamesEveryExitCodeAndSetting(t *testing.T) {
	help := try(t, nil, "--help").out
	for _, e := range exits() {
		if !strings.Contains(help, e.meaning) {
			t.Errorf("%d is not in the help", e.code)
		}
	}
	help = try(t, nil, "run", "--help").out
	for _, s := range flagged() {
		if !strings.Contains(help, s.Flag()+"=") {
			t.Errorf("%s is not in the help", s.Flag())
		}
	}
	if strings.Contains(help, "prove-encoder") {
		t.Error("the hidden command shows")
	}
}

func TestVersionForMachines(t *testing.T) {
	var r versionReport
	got := try(t, nil, "version", "--json")
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || r.Version == "" || r.Go == "" || r.Platform == "" ||
		r.ConfigSchemaVersion != config.SchemaVersion || r.Libraries == nil {
		t.Errorf("got %+v, %v", r, err)
	}
	for _, l := range ffmpeg.Libraries() {
		if !slices.Contains(r.Libraries, l) || l.Version == "" || l.Version == "0.0.0" {
			t.Errorf("libraries %+v; want %+v, with a version", r.Libraries, l)
		}
	}
}

func TestServiceStatusForMachines(t *testing.T) {
	got := try(t, nil, "service", "status", "--json", "--init=launchd", "--root", t.TempDir())
	var st struct {
		Path      string
		Installed bool
	}
	if err := json.Unmarshal([]byte(got.out), &st); err != nil || st.Path == "" || st.Installed ||
		got.code != exitAbsent {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSecretsInVariablesAreNotRepeated(t *testing.T) {
	for _, c := range []struct{ variable, command string }{
		{"AUTH__TOKEN=hunter2", "run"},
		{"AUTH__TOKEN=hunter2-hunter2-hunter2", "config print"},
		{"AUTH__TOKEN=hunter2-hunter2-hunter2", "config print --json"},
		{"ICE__SERVERS=[{urls: [turn:a], username: u, credential: [hunter2]}]", "run"},
	} {
		args := strings.Fields(c.command)
		if got := try(t, []string{"WAVRY_HOST_" + c.variable}, args...); strings.Contains(got.out+got.errout,
			"hunter2") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// host stands for the commands of a system: those in fail fail, those in out print.
type host struct {
	ran  []string
	out  map[string]string
	fail map[string]error
}

func (h *host) run(_ context.Context, name string, args ...string) (string, error) {
	line := strings.Join(append([]string{name}, args...), " ")
	h.ran = append(h.ran, line)
	for prefix, err := range h.fail {
		if strings.HasPrefix(line, prefix) {
			return "", fmt.Errorf("%s: %w", line, err)
		}
	}
	return h.out[line], nil
}

// image returns a folder with a program in it, to install into.
func image(t *testing.T, binary string) string {
	t.Helper()
	root := t.TempDir()
	path := filepath.Join(root, binary)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestInstallIntoImage(t *testing.T) {
	for _, tc := range []struct {
		init  Init
		files []string
	}{
		{Systemd, []string{
			"etc/systemd/system/wavry-host.service", "etc/systemd/system/wavry-host-desktop.service",
			"etc/systemd/system/wavry-host-desktop.socket", "etc/systemd/system/wavry-host-kms.service",
			"etc/systemd/system/wavry-host-kms.socket", "etc/needrestart/conf.d/wavry-host.conf",
			"etc/sysusers.d/wavry-host.conf",
		}},
		{Launchd, []string{"Library/LaunchAgents/org.wavry.host.plist"}},
	} {
		t.Run(string(tc.init), func(t *testing.T) {
			root := image(t, "/usr/bin/wavry-host")
			h := &host{}
			var out strings.Builder
			m, err := newManager(Config{Init: tc.init, Root: root, Out: &out}, h.run)
			if err != nil {
				t.Fatal(err)
			}
			if st, err := m.Status(t.Context()); err != nil || st.Installed || st.State != "not installed" {
				t.Errorf("before: status %+v, %v", st, err)
			}
			for _, word := range []string{"wrote ", "unchanged "} {
				out.Reset()
				if err := m.Install(t.Context()); err != nil {
					t.Fatal(err)
				}
				want := ""
				for _, f := range tc.files {
					want += word + filepath.Join(root, f) + "\n"
				}
				if out.String() != want {
					t.Errorf("said %q; want %q", out.String(), want)
				}
			}
			if st, err := m.Status(t.Context()); err != nil || !st.Installed || !st.Current {
				t.Errorf("installed: status %+v, %v", st, err)
			}
			path := filepath.Join(root, tc.files[0])
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("stat %v, %v", info, err)
			}
			if err := os.WriteFile(path, []byte("changed by hand"), 0o644); err != nil {
				t.Fatal(err)
			}
			if st, err := m.Status(t.Context()); err != nil || !st.Installed || st.Current {
				t.Errorf("changed by hand: status %+v, %v", st, err)
			}
			for _, word := range []string{"removed ", "wavry-host is not installed"} {
				out.Reset()
				if err := m.Uninstall(t.Context()); err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(out.String(), word) {
					t.Errorf("said %q; want %q", out.String(), word)
				}
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after uninstall: %v", err)
			}
			if len(h.ran) != 0 {
				t.Errorf("an image's install ran %q", h.ran)
			}
		})
	}
}

func TestInstallRefusesBinaries(t *testing.T) {
	root := image(t, "/home/ann/wavry-host")
	if err := os.MkdirAll(filepath.Join(root, "usr/bin/wavry-host"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		binary, want string
	}{
		{"/home/ann/wavry-host", "which the service does not see; copy it first: " +
			"install -m 0755 /home/ann/wavry-host /usr/local/bin/wavry-host"},
		{"/opt/wavry-host", "no such file"},
		{"/usr/bin/wavry-host", "is not an executable file"},
	} {
		m, err := newManager(Config{Init: Systemd, Root: root, Spec: Spec{Binary: tc.binary}}, (&host{}).run)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Install(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v; want %s", tc.binary, err, tc.want)
		}
		if st, _ := m.Status(t.Context()); st.Installed {
			t.Errorf("%s: a refused install left its files", tc.binary)
		}
	}
}

func newSystemd(t *testing.T, h *host, spec Spec, euid int) *systemd {
	t.Helper()
	cfg := Config{Spec: spec.WithDefaults(), Home: "/home/ann", Out: t.Output()}
	return &systemd{cfg: cfg, run: h.run, booted: t.TempDir(), euid: euid}
}

func TestSystemdCheck(t *testing.T) {
	none := errors.New("no bus")
	for _, tc := range []struct {
		name string
		spec Spec
		host *host
		euid int
		gone bool
		want error
	}{
		{name: "root", host: &host{}},
		{name: "not root", host: &host{}, euid: 1000, want: ErrPermission},
		{name: "a user's own", spec: Spec{Session: true}, host: &host{}, euid: 1000},
		{name: "no systemd", host: &host{}, gone: true, want: ErrNotRunning},
		{name: "no bus", host: &host{fail: map[string]error{"systemctl": none}}, want: ErrNotRunning},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSystemd(t, tc.host, tc.spec, tc.euid)
			if tc.gone {
				s.booted = filepath.Join(s.booted, "gone")
			}
			if err := s.check(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("got %v; want %v", err, tc.want)
			}
		})
	}
}

func TestSystemdActivate(t *testing.T) {
	folder := "install -d -m 0750 -o root -g wavry-host /etc/wavry-host"
	enable := "systemctl enable wavry-host.service wavry-host-desktop.socket"
	socket := "systemctl start wavry-host-desktop.socket" // the desktop itself is not restarted
	for _, tc := range []struct {
		name    string
		spec    Spec
		changed bool
		fail    map[string]error
		want    []string
	}{
		{name: "first", changed: true, want: []string{
			"systemd-sysusers /etc/sysusers.d/wavry-host.conf", folder,
			"systemctl daemon-reload", enable, socket, "systemctl restart wavry-host.service",
		}},
		{name: "again", want: []string{
			"systemd-sysusers /etc/sysusers.d/wavry-host.conf", folder,
			"systemctl daemon-reload", enable, socket, "systemctl start wavry-host.service",
		}},
		{
			name: "without sysusers",
			fail: map[string]error{"systemd-sysusers": exec.ErrNotFound, "id": errors.New("no such user")},
			want: []string{
				"systemd-sysusers /etc/sysusers.d/wavry-host.conf", "id -u wavry-host-desktop",
				"useradd --system --user-group --no-create-home --home-dir /var/lib/wavry-host-desktop " +
					"--shell /usr/sbin/nologin wavry-host-desktop",
				"id -u wavry-host",
				"useradd --system --user-group --no-create-home --home-dir /var/lib/wavry-host " +
					"--shell /usr/sbin/nologin wavry-host",
				"usermod --append --groups render wavry-host", "usermod --append --groups video wavry-host", folder,
				"systemctl daemon-reload", enable, socket, "systemctl start wavry-host.service",
			},
		},
		{
			name: "without sysusers, the user being there",
			fail: map[string]error{"systemd-sysusers": exec.ErrNotFound},
			want: []string{
				"systemd-sysusers /etc/sysusers.d/wavry-host.conf", "id -u wavry-host-desktop", "id -u wavry-host", folder,
				"systemctl daemon-reload", enable, socket, "systemctl start wavry-host.service",
			},
		},
		{name: "a user's own", spec: Spec{Session: true}, want: []string{
			"systemctl --user daemon-reload", "systemctl --user enable wavry-host.service wavry-host-desktop.socket",
			"systemctl --user start wavry-host-desktop.socket", "systemctl --user start wavry-host.service",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &host{fail: tc.fail}
			if err := newSystemd(t, h, tc.spec, 0).activate(t.Context(), tc.changed); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(h.ran, tc.want) {
				t.Errorf("ran\n%s\nwant\n%s", strings.Join(h.ran, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

func TestSystemdStops(t *testing.T) {
	h := &host{}
	s := newSystemd(t, h, Spec{}, 0)
	if err := errors.Join(s.deactivate(t.Context()), s.forget(t.Context())); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"systemctl disable --now wavry-host.service wavry-host-desktop.socket wavry-host-desktop.service " +
			"wavry-host-kms.socket wavry-host-kms.service",
		"systemctl daemon-reload",
	}
	if !slices.Equal(h.ran, want) {
		t.Errorf("ran %q; want %q", h.ran, want)
	}
}

func TestSystemdRestarts(t *testing.T) {
	h := &host{}
	if err := newSystemd(t, h, Spec{}, 0).restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{
		"systemctl daemon-reload", "systemctl reset-failed wavry-host.service", "systemctl restart wavry-host.service",
	}; !slices.Equal(h.ran, want) {
		t.Errorf("ran %q; want %q", h.ran, want)
	}
}

func TestSystemdQuery(t *testing.T) {
	const show = "systemctl show wavry-host.service --property=ActiveState,SubState,UnitFileState,MainPID,StatusText"
	h := &host{out: map[string]string{
		show: "ActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=812\nStatusText=2 viewers, k=v\n",
	}}
	var got Status
	if err := newSystemd(t, h, Spec{}, 1000).query(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	want := Status{
		Installed: true, Running: true, State: "active (running)", Enabled: "enabled", PID: 812, Text: "2 viewers, k=v",
	}
	if got != want {
		t.Errorf("got %+v; want %+v", got, want)
	}
	got = Status{State: "not installed"}
	parseShow("ActiveState=inactive\nSubState=dead\nUnitFileState=\nMainPID=0\nStatusText=\n", &got)
	if want := (Status{State: "not installed"}); got != want {
		t.Errorf("got %+v; want %+v", got, want)
	}
}

const target = "launchctl print gui/501/org.wavry.host"

func TestLaunchdActivate(t *testing.T) {
	plist := "/Users/ann/Library/LaunchAgents/org.wavry.host.plist"
	for _, tc := range []struct {
		name    string
		changed bool
		fail    map[string]error
		want    []string
	}{
		{"first", true, map[string]error{target: errors.New("no such service")}, []string{
			target,
			"launchctl bootstrap gui/501 " + plist,
		}},
		{"again", false, nil, []string{target}},
		{"changed", true, nil, []string{
			target, "launchctl bootout gui/501/org.wavry.host",
			"launchctl bootstrap gui/501 " + plist,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &host{fail: tc.fail}
			l := &launchd{
				cfg: Config{Spec: Spec{Session: true}.WithDefaults(), Home: "/Users/ann", Out: t.Output()}, run: h.run, euid: 501,
			}
			if err := l.activate(t.Context(), tc.changed); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(h.ran, tc.want) {
				t.Errorf("ran %q; want %q", h.ran, tc.want)
			}
		})
	}
}

func TestLaunchdCheck(t *testing.T) {
	for _, tc := range []struct {
		name    string
		session bool
		euid    int
		fail    error
		want    error
	}{
		{name: "a user's own", session: true, euid: 501},
		{name: "root's own", session: true, want: ErrPermission},
		{name: "every user's, by root"},
		{name: "every user's, by a user", euid: 501, want: ErrPermission},
		{name: "no launchd", fail: exec.ErrNotFound, want: ErrNotRunning},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &host{fail: map[string]error{"launchctl": tc.fail}}
			if tc.fail == nil {
				h.fail = nil
			}
			l := &launchd{cfg: Config{Spec: Spec{Session: tc.session}}, run: h.run, euid: tc.euid}
			if err := l.check(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("got %v; want %v", err, tc.want)
			}
		})
	}
}

func TestLaunchdQuery(t *testing.T) {
	h := &host{out: map[string]string{
		target: "gui/501/org.wavry.host = {\n\tactive count = 1\n\tstate = running\n\n\tpid = 4711\n" +
			"\tendpoints = {\n\t\tstate = waiting\n\t}\n}\n",
	}}
	l := &launchd{cfg: Config{Spec: Spec{Session: true}.WithDefaults()}, run: h.run, euid: 501}
	got := Status{Installed: true}
	if err := l.query(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if want := (Status{Installed: true, Running: true, State: "running", PID: 4711}); got != want {
		t.Errorf("got %+v; want %+v", got, want)
	}
	h.fail = map[string]error{target: errors.New("no such service")}
	got = Status{Installed: true}
	if err := l.query(t.Context(), &got); err != nil || got.State != "not loaded" || got.Running {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestCommandTellsWhatFailed(t *testing.T) {
	if _, err := command(t.Context(), "wavry-host-no-such-program"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v; want %v", err, exec.ErrNotFound)
	}
	if out, err := command(t.Context(), os.Args[0], "-test.run=^$"); err != nil || !strings.Contains(out, "PASS") {
		t.Errorf("got %q, %v", out, err)
	}
	_, err := command(t.Context(), os.Args[0], "-test.no-such-flag")
	if err == nil || !strings.Contains(err.Error(), "-test.no-such-flag: exit status 2: flag provided but not defined") {
		t.Errorf("got %v", err)
	}
}

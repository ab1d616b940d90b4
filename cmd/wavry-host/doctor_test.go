package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/capture/darwin"
	"wavryhost/cmd/wavry-host/doctor"
	"wavryhost/encode"
	"wavryhost/platform/desktop"
	"wavryhost/platform/display"
	"wavryhost/platform/service"
	"wavryhost/session"
	"wavryhost/session/relay"
)

// patient is a host in which all is well, and which tests make ill.
type patient struct {
	*examination
	t        *testing.T
	file     []string // lines of the configuration
	env      []string
	host     hostStatus
	hostErr  error
	unitNow  service.Status
	unitErr  error
	found    []candidate
	desk     []desktop.Status
	deskErr  error
	proofs   []encode.Candidate
	proofErr error
	up       bool // the relays

	recordErr error // why macOS lets it record no screen
}

// put writes a file of the system.
func (p *patient) put(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.machine.Root, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// healthy returns a host in which no check has a warning, and in which each check that can be broken is made.
func healthy(t *testing.T) *patient {
	t.Helper()
	certFile, keyFile := pair(t, time.Now().Add(1000*time.Hour))
	state := t.TempDir()
	p := &patient{
		t: t, examination: &examination{}, up: true, env: []string{"XDG_STATE_HOME=" + state},
		file: []string{
			"api.listen: 127.0.0.1:0", "api.hosts: [desk.example.net]", "api.audit_file: " + state + "/audit.jsonl",
			"api.tls.cert_file: " + certFile, "api.tls.key_file: " + keyFile,
			"auth.tokens_file: " + write(t, "tokens", "ann operator sha256:"+strings.Repeat("0", 64)+"\n"),
			"gateway.url: wss://gw.example/ws", "gateway.allow: [ann]",
			"gateway.account_file: " + write(t, "account", "1234123412341234"),
			"ice.servers: [{urls: ['stun:a.example']}, {urls: ['turn:a.example'], username: u, credential: hunter2}]",
			"media.udp.range: 50000-50999",
		},
		host: hostStatus{
			Host:    session.Host{State: "active", StateReason: "started", Limit: 10},
			Version: thisBuild().Version,
		},
		unitNow: service.Status{
			Path: "/x/wavry-host.service", Installed: true, Current: true, Running: true, Enabled: "enabled",
			State: "active (running)",
		},
		found: []candidate{
			{ID: "x11:0", Backend: "x11", State: display.Usable, Default: true, Width: 640, Height: 480},
			{ID: idVirtual, Backend: "x11", State: display.Usable},
			// The server of the virtual display, of which only the daemon has the key.
			{ID: "x11:90", Backend: "x11", State: display.Unusable, Why: "refused"},
		},
		desk: []desktop.Status{{ID: idVirtual, Display: ":90", Daemons: 1}},
	}
	for _, profile := range encode.Profiles() {
		p.proofs = append(p.proofs, encode.Candidate{Profile: profile, Proof: encode.Proof{Usable: true}})
	}
	p.machine = doctor.Machine{
		Root: t.TempDir(), PID: 7, CPUs: 4,
		Space: func(string) (doctor.Space, error) { return doctor.Space{Free: 1 << 40, Total: 1 << 41}, nil },
		Clock: func() (bool, time.Duration, error) { return true, time.Millisecond, nil },
		Addresses: func() ([]net.Addr, error) {
			return []net.Addr{&net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}}, nil
		},
		LookUp: func(context.Context, string) ([]string, error) { return []string{"192.0.2.1"}, nil },
		Dial:   func(context.Context, string) error { return nil },
	}
	const group = "sys/fs/cgroup/system.slice/wavry-host.service/"
	for name, text := range map[string]string{
		"proc/self/status": "", "proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
		"proc/sys/kernel/shmmax":                    "18446744073692774399",
		"proc/meminfo":                              "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n",
		"proc/pressure/cpu":                         "some avg10=0.00 avg60=1.00 avg300=0.00 total=0\n",
		"proc/pressure/memory":                      "some avg60=1\nfull avg10=0 avg60=0.1 avg300=0 total=0\n",
		"proc/sys/net/netfilter/nf_conntrack_count": "10", "proc/sys/net/netfilter/nf_conntrack_max": "1000",
		"proc/7/limits":                    "Limit Soft Hard Units\nMax open files   1024   16384   files\n",
		"proc/7/cgroup":                    "0::/system.slice/wavry-host.service\n",
		"proc/7/fd/0":                      "",
		"proc/7/environ":                   "XDG_STATE_HOME=" + state + "\x00A=B\x00",
		"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n", group + "cpu.max": "max 100000\n",
		group + "pids.max": "512\n", group + "pids.current": "20\n", group + "memory.max": "4294967296\n",
		group + "memory.current": "1000000\n", group + "memory.events": "low 0\noom_kill 0\n",
		group + "cpu.stat":                        "usage_usec 1\nnr_periods 1000\nnr_throttled 3\n",
		"dev/dri/renderD128":                      "",
		"dev/nvidiactl":                           "",
		"sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
		"sys/bus/pci/devices/0000:01:00.0/class":  "0x030000\n",
	} {
		p.put(name, text)
	}
	return p
}

// examine reads the configuration and makes the checks.
func (p *patient) examine() map[string]doctor.Result {
	p.t.Helper()
	p.app = &app{env: p.env}
	p.loaded, p.refusal = nil, nil
	p.loaded, p.refusal = settingFlags{Config: write(p.t, "c.yaml", nested(strings.Join(p.file, "\n")))}.load(p.app)
	p.daemon = func(context.Context) (hostStatus, error) { return p.host, p.hostErr }
	p.unit = func(context.Context) (service.Status, error) { return p.unitNow, p.unitErr }
	p.displays = func(context.Context) []candidate { return p.found }
	p.desktop = func(context.Context) ([]desktop.Status, error) { return p.desk, p.deskErr }
	p.recording = func() error { return p.recordErr }
	p.encoders = func(context.Context) ([]encode.Candidate, error) { return p.proofs, p.proofErr }
	p.relays = func(_ context.Context, servers []relay.Server) (all []relay.ServerStatus) {
		for _, s := range servers {
			one := relay.ServerStatus{URL: s.URLs[0], State: string(relay.StateUp), RTT: 0.01}
			if !p.up {
				one.State, one.Reason, one.Error = string(relay.StateDown), string(relay.ReasonTimeout), "no answer"
			}
			all = append(all, one)
		}
		return all
	}
	got := map[string]doctor.Result{}
	for _, r := range doctor.Run(p.t.Context(), p.checks(), time.Minute) {
		got[r.ID] = r
	}
	return got
}

// set replaces the lines of a setting.
func (p *patient) set(name, value string) {
	p.file = slices.DeleteFunc(p.file, func(line string) bool { return strings.HasPrefix(line, name+": ") })
	if value != "" {
		p.file = append(p.file, name+": "+value)
	}
}

// usable sets which encoders work.
func (p *patient) usable(works func(encode.Profile) bool) {
	for i := range p.proofs {
		p.proofs[i].Proof = encode.Proof{Usable: works(p.proofs[i].Profile), Why: "broken"}
	}
}

// A host in which all is well has no warning. Each check is broken, and says then what it saw and what repairs it.
func TestDoctorFindsEachFault(t *testing.T) {
	const group = "sys/fs/cgroup/system.slice/wavry-host.service/"
	gone := filepath.Join(t.TempDir(), "gone", "file")
	full := func(string) (doctor.Space, error) { return doctor.Space{Free: 1 << 20, Total: 1 << 30}, nil }
	busy, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	taken, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := func(a net.Addr) string { return a.String()[strings.LastIndex(a.String(), ":")+1:] }

	breaks := map[string]struct {
		want     doctor.Status
		evidence string
		spoil    func(p *patient)
	}{
		"settings.valid":     {doctor.Failed, "displays.fps", func(p *patient) { p.set("displays.fps", "0") }},
		"access.certificate": {doctor.Failed, "no such file", func(p *patient) { p.set("api.tls.key_file", gone) }},
		"access.certificate_dates": {doctor.Warning, "has expired", func(p *patient) {
			c, k := pair(p.t, time.Now().Add(-time.Hour))
			p.set("api.tls.cert_file", c)
			p.set("api.tls.key_file", k)
		}},
		"access.certificate_names": {
			doctor.Warning, "other.example.net",
			func(p *patient) { p.set("api.hosts", "[other.example.net]") },
		},
		"access.tokens": {doctor.Failed, "tokens", func(p *patient) {
			p.set("auth.tokens_file", write(p.t, "t",
				"nonsense"))
		}},
		"access.client_certificates": {doctor.Failed, "ca_file", func(p *patient) {
			p.set("auth.certificates.mode", "required")
			p.set("auth.certificates.ca_file", gone)
		}},
		"access.grants": {
			doctor.Failed, gone,
			func(p *patient) { p.set("auth.grants", "[{keys: "+gone+", audience: host7}]") },
		},
		"access.revocations_file": {doctor.Failed, gone, func(p *patient) {
			p.set("auth.grants", "[{keys: 'https://gw.example/jwks', audience: host7}]")
			p.set("auth.revocations_file", gone)
		}},
		"access.audit_file": {doctor.Failed, gone, func(p *patient) { p.set("api.audit_file", gone) }},
		"gateway.files":     {doctor.Failed, gone, func(p *patient) { p.set("gateway.ca_file", gone) }},
		"gateway.reachable": {
			doctor.Failed, "gw.example:443: refused",
			func(p *patient) {
				p.machine.Dial = func(context.Context, string) error { return errors.New("refused") }
			},
		},
		"service.installed": {doctor.Warning, "does not exist", func(p *patient) { p.unitNow.Installed = false }},
		"service.current":   {doctor.Warning, "differs", func(p *patient) { p.unitNow.Current = false }},
		"service.enabled":   {doctor.Warning, "disabled", func(p *patient) { p.unitNow.Enabled = "disabled" }},
		"service.running": {doctor.Failed, "failed", func(p *patient) {
			p.unitNow.Running,
				p.unitNow.State = false, "failed"
		}},
		"daemon.answers": {doctor.Warning, "nobody", func(p *patient) { p.hostErr = errors.New("nobody") }},
		"daemon.state":   {doctor.Warning, "draining", func(p *patient) { p.host.State = "draining" }},
		"daemon.version": {doctor.Warning, "v0", func(p *patient) { p.host.Version = "v0" }},
		"daemon.room":    {doctor.Warning, "10 of 10", func(p *patient) { p.host.Sessions = 10 }},
		"daemon.open_files": {doctor.Warning, "1024", func(p *patient) {
			p.put("proc/7/limits",
				"Max open files 1024 1024 files\n")
		}},
		"daemon.tasks": {doctor.Warning, "500 of 512", func(p *patient) { p.put(group+"pids.current", "500") }},
		"daemon.memory_limit": {
			doctor.Failed, "4000 MiB of 4096",
			func(p *patient) { p.put(group+"memory.current", fmt.Sprint(4000<<20)) },
		},
		"daemon.oom_kills": {doctor.Warning, "killed 2", func(p *patient) {
			p.put(group+"memory.events",
				"oom_kill 2\n")
		}},
		"daemon.throttled": {doctor.Warning, "500 of 1000", func(p *patient) {
			p.put(group+"cpu.stat",
				"nr_periods 1000\nnr_throttled 500\n")
		}},
		"machine.kernel": {doctor.Warning, "4.19", func(p *patient) {
			p.put("proc/sys/kernel/osrelease",
				"4.19.0")
		}},
		"machine.cpus": {doctor.Warning, "0.5 of 4", func(p *patient) { p.put(group+"cpu.max", "50000 100000") }},
		"machine.cpu_pressure": {doctor.Warning, "80 %", func(p *patient) {
			p.put("proc/pressure/cpu",
				"some avg10=0 avg60=80.00 avg300=0 total=0")
		}},
		"machine.memory": {doctor.Failed, "97 MiB", func(p *patient) {
			p.put("proc/meminfo",
				"MemTotal: 1000000 kB\nMemAvailable: 100000 kB")
		}},
		"machine.memory_pressure": {doctor.Warning, "30 %", func(p *patient) {
			p.put("proc/pressure/memory",
				"full avg10=0 avg60=30.00 avg300=0 total=0")
		}},
		"machine.shared_memory": {
			doctor.Warning, "33554432",
			func(p *patient) { p.put("proc/sys/kernel/shmmax", "33554432") },
		},
		"machine.clock": {
			doctor.Warning, "nothing synchronizes",
			func(p *patient) { p.machine.Clock = func() (bool, time.Duration, error) { return false, 0, nil } },
		},
		"machine.cgroups": {
			doctor.Warning, `"memory"`,
			func(p *patient) { p.put("sys/fs/cgroup/cgroup.controllers", "cpu pids") },
		},
		"machine.conntrack": {
			doctor.Warning, "999 of 1000",
			func(p *patient) { p.put("proc/sys/net/netfilter/nf_conntrack_count", "999") },
		},
		"devices.render": {doctor.Warning, "renderD129", func(p *patient) {
			if err := os.Symlink("renderD129", filepath.Join(p.machine.Root, "dev/dri/renderD129")); err != nil {
				p.t.Fatal(err) // opening it fails for root, too
			}
		}},
		"devices.nvidia": {doctor.Warning, "0000:01:00.0", func(p *patient) {
			if err := os.Remove(filepath.Join(p.machine.Root, "dev/nvidiactl")); err != nil {
				p.t.Fatal(err)
			}
		}},
		"network.interfaces": {
			doctor.Warning, "loopback",
			func(p *patient) { p.machine.Addresses = func() ([]net.Addr, error) { return nil, nil } },
		},
		"network.api_port": {doctor.Warning, "in use", func(p *patient) {
			p.machine.PID = 0
			p.set("api.listen", busy.Addr().String())
		}},
		"network.media_udp_port": {doctor.Warning, "in use", func(p *patient) {
			p.machine.PID = 0
			p.set("media.udp.range", "")
			p.set("media.udp.port", port(taken.LocalAddr()))
		}},
		"network.media_tcp_port": {doctor.Warning, "in use", func(p *patient) {
			p.machine.PID = 0
			p.set("media.tcp.port", port(busy.Addr()))
		}},
		"network.media_ports": {doctor.Warning, "2 ports", func(p *patient) {
			p.set("media.udp.range",
				"50000-50001")
		}},
		"network.names": {doctor.Warning, "no such host", func(p *patient) {
			p.machine.LookUp = func(context.Context, string) ([]string, error) {
				return nil,
					errors.New("no such host")
			}
		}},
		"network.stun": {doctor.Failed, "stun:a.example: timeout", func(p *patient) { p.up = false }},
		"network.turn": {doctor.Failed, "turn:a.example: timeout", func(p *patient) { p.up = false }},
		"disk.state": {doctor.Failed, "not a directory", func(p *patient) {
			p.put("proc/7/environ",
				"XDG_STATE_HOME="+write(p.t, "f", ""))
		}},
		"disk.state_space": {doctor.Failed, "1 MiB of 1024", func(p *patient) { p.machine.Space = full }},
		"disk.audit_space": {doctor.Failed, "1 MiB of 1024", func(p *patient) { p.machine.Space = full }},
		"displays.default": {doctor.Failed, "gone", func(p *patient) {
			p.found[0].State,
				p.found[0].Why = display.Unusable, "gone"
		}},
		"displays.permissions": {doctor.Warning, "refused", func(p *patient) {
			p.found = append(p.found,
				candidate{ID: "x11:1", Backend: "x11", State: display.Unusable, Why: "refused"})
		}},
		"displays.virtual": {doctor.Warning, "Xvfb", func(p *patient) {
			p.found[1].State,
				p.found[1].Why = display.Unusable, "Xvfb is not there"
		}},
		"displays.wayland": {doctor.Warning, "wayland-0", func(p *patient) {
			p.env = append(p.env,
				"WAYLAND_DISPLAY=wayland-0")
		}},
		"displays.screen_recording": {doctor.Failed, "no permission", func(p *patient) {
			p.recordErr = fmt.Errorf("no permission: %s", darwin.Grant)
		}},
		"displays.desktop": {doctor.Warning, "not attached", func(p *patient) { p.desk[0].Daemons = 0 }},
		"encoders.any": {
			doctor.Failed, "libx264: broken",
			func(p *patient) { p.usable(func(encode.Profile) bool { return false }) },
		},
		"encoders.hardware": {doctor.Failed, "names h264_nvenc", func(p *patient) {
			p.set("encoding.encoder", "h264_nvenc")
			p.usable(func(encode.Profile) bool { return false })
			p.proofs = slices.DeleteFunc(p.proofs,
				func(c encode.Candidate) bool { return c.Profile.Name != "h264_nvenc" })
		}},
		"encoders.h264": {
			doctor.Warning, "libx264: broken",
			func(p *patient) { p.usable(func(e encode.Profile) bool { return e.Format != encode.H264 }) },
		},
		"encoders.vp9": {
			doctor.Warning, "libvpx-vp9: broken",
			func(p *patient) { p.usable(func(e encode.Profile) bool { return e.Format != encode.VP9 }) },
		},
		// Browsers that take one of these take another codec, too.
		"encoders.h265": {
			doctor.Skipped, "hevc_vaapi: broken",
			func(p *patient) { p.usable(func(e encode.Profile) bool { return e.Format != encode.HEVC }) },
		},
		"encoders.av1": {
			doctor.Skipped, "libaom-av1: broken",
			func(p *patient) { p.usable(func(e encode.Profile) bool { return e.Format != encode.AV1 }) },
		},
		"encoders.vp8": {
			doctor.Skipped, "libvpx: broken",
			func(p *patient) { p.usable(func(e encode.Profile) bool { return e.Format != encode.VP8 }) },
		},
	}

	before := healthy(t).examine()
	if len(before) < 30 {
		t.Errorf("%d checks", len(before))
	}
	// These need what the healthy host does not have.
	absent := []string{
		"access.client_certificates", "access.grants", "access.revocations_file", "network.media_udp_port",
		"network.media_tcp_port", "displays.wayland",
	}
	for id, r := range before {
		if slices.Contains(absent, id) != (r.Status == doctor.Skipped) || r.Status != doctor.Skipped &&
			r.Status != doctor.OK ||
			r.Evidence == "" || r.Title == "" || r.Fix != "" {
			t.Errorf("healthy: %+v", r)
		}
		if _, ok := breaks[id]; !ok {
			t.Errorf("no test breaks %s", id)
		}
	}
	for id, c := range breaks {
		t.Run(id, func(t *testing.T) {
			p := healthy(t)
			c.spoil(p)
			got := p.examine()[id]
			if got.Status != c.want || !strings.Contains(got.Evidence, c.evidence) ||
				(got.Fix == "") != (c.want == doctor.Skipped) {
				t.Errorf("got %+v; want %s with %q", got, c.want, c.evidence)
			}
			if strings.Contains(fmt.Sprint(p.examine()), "hunter2") {
				t.Error("a credential is in the report")
			}
		})
	}
}

// The report's form is stable. A failure has its own exit code, and a warning does not count.
func TestDoctorsReport(t *testing.T) {
	env := []string{"XDG_STATE_HOME=" + t.TempDir(), "XDG_RUNTIME_DIR=" + t.TempDir()}
	args := []string{"doctor", "--json", "--listen=127.0.0.1:0", "--display=synthetic"}
	got := try(t, env, args...)
	var r struct {
		Version int
		Time    time.Time
		Summary map[string]int
		Program build
		Seconds float64
		Checks  []struct{ ID, Title, Status, Evidence string }
	}
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	if r.Version != 1 || r.Time.IsZero() || r.Program.Version == "" || len(r.Checks) < 30 || len(r.Summary) != 4 ||
		(got.code == exitUnwell) != (r.Summary["failed"] > 0) {
		t.Errorf("got code %d, %+v", got.code, r)
	}
	full := filepath.Join(t.TempDir(), "gone", "audit")
	got = try(t, append(env, "WAVRY_HOST_API__AUDIT_FILE="+full), "doctor", "--problems", "--listen=127.0.0.1:0")
	if got.code != exitUnwell || !strings.Contains(got.out, "failed") || !strings.Contains(got.out,
		"access.audit_file") ||
		!strings.Contains(got.out, "fix: install -d") || strings.Contains(got.out, "\nok ") || got.errout != "" {
		t.Errorf("got %+v", got)
	}
	got = try(t, append(env, "WAVRY_HOST_DISPLAYS__FPS=0"), "doctor", "--problems")
	if got.code != exitUnwell || !strings.Contains(got.out, `WAVRY_HOST_DISPLAYS__FPS: "0" is not`) {
		t.Errorf("got %+v", got)
	}
}

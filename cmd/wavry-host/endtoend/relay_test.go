//go:build integration

package endtoend

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// relayed is a host and a viewer that reach each other's API through a router but cannot exchange UDP: media must go
// through a relay on the router.
type relayed struct {
	host, viewer, router string // namespaces
	hostIP, relayIP      string
	secondIP             string // another address for a relay
}

func newRelayed(t testing.TB) *relayed {
	t.Helper()
	need(t, "ip", "nft", "turnserver")
	needNamespaces(t)
	id := strings.ToLower(rand.Text()[:8]) // tests run side by side
	r := &relayed{
		host: "wr" + id + "-host", viewer: "wr" + id + "-view", router: "wr" + id + "-turn",
		hostIP: "10.213.8.1", relayIP: "10.213.9.254", secondIP: "10.213.9.253",
	}
	all := []string{r.host, r.viewer, r.router}
	t.Cleanup(func() {
		for _, ns := range all {
			_ = exec.Command("ip", "netns", "del", ns).Run()
		}
	})
	for _, ns := range all {
		addNamespace(t, ns)
		_ = exec.Command("ip", "netns", "exec", ns, "sh", "-c",
			"echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6").Run()
		ip(t, "-n", ns, "link", "set", "lo", "up")
	}
	for n, end := range map[int]string{8: r.host, 9: r.viewer} {
		mine, theirs := fmt.Sprintf("r%d", n), fmt.Sprintf("e%d", n)
		ip(t, "-n", r.router, "link", "add", mine, "type", "veth", "peer", "name", theirs, "netns", end)
		ip(t, "-n", r.router, "addr", "add", fmt.Sprintf("10.213.%d.254/24", n), "dev", mine)
		ip(t, "-n", end, "addr", "add", fmt.Sprintf("10.213.%d.1/24", n), "dev", theirs)
		ip(t, "-n", r.router, "link", "set", mine, "up")
		ip(t, "-n", end, "link", "set", theirs, "up")
		ip(t, "-n", end, "route", "add", "default", "via", fmt.Sprintf("10.213.%d.254", n))
	}
	ip(t, "netns", "exec", r.router, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	ip(t, "-n", r.router, "addr", "add", r.secondIP+"/24", "dev", "r9")
	r.block(t, true)
	return r
}

// block blocks UDP between host and viewer in both directions, or unblocks it.
func (r *relayed) block(t testing.TB, on bool) {
	t.Helper()
	if !on {
		ip(t, "netns", "exec", r.router, "nft", "delete table ip t")
		return
	}
	ip(t, "netns", "exec", r.router, "nft",
		"add table ip t; add chain ip t f { type filter hook forward priority 0; }; add rule ip t f ip protocol "+
			"udp drop")
}

// relay starts coturn on the router.
func (r *relayed) relay(t testing.TB, secret string) *process {
	t.Helper()
	return r.relayAt(t, r.relayIP, secret)
}

func (r *relayed) relayAt(t testing.TB, address, secret string) *process {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "turn.conf")
	conf := []string{
		"listening-ip=" + address, "relay-ip=" + address, "use-auth-secret", "static-auth-secret=" + secret,
		"realm=test", "no-tls", "no-dtls", "no-cli",
		"userdb=" + filepath.Join(dir, "db"), "pidfile=" + filepath.Join(dir, "pid"), "log-file=stdout", "simple-log",
	}
	if err := os.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, exec.Command("ip", "netns", "exec", r.router, "turnserver", "-c", file))
	eventually(t, patience, "the relay listens", func() error {
		c, err := dialWithin(t.Context(), r.router, "tcp", address+":3478")
		if err != nil {
			return err
		}
		return c.Close()
	})
	return p
}

// A viewer that no UDP reaches directly watches through coturn with short-lived credentials. When the relay dies, the
// session ends in time, and the page reconnects without help when a relay is available again.
func TestRelay(t *testing.T) {
	t.Parallel()
	r := newRelayed(t)
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	x.noisy(t)
	const secret = "shared-with-coturn"
	turn := r.relay(t, secret)
	h := startExposed(t, r.host, r.hostIP, "--display", x.id(), "timeouts.disconnect=5s", "--max-bitrate", "3M",
		"ice.servers="+fmt.Sprintf("[{urls: ['turn:%s:3478?transport=udp'], secret: %s}]", r.relayIP, secret))
	b := openBrowser(t, r.viewer, h.page(""))
	b.waitFrames(t, 30, patience)
	h.waitMetric(t, `wavry_host_session_path{path="relay"}`, 1)
	first := h.session(t).ID

	turn.kill()
	eventually(t, patience, "the session ends", func() error {
		sessions, err := h.sessions()
		if err != nil {
			return err
		}
		for _, s := range sessions {
			if s.ID == first {
				return fmt.Errorf("it is %s", s.State)
			}
		}
		return nil
	})
	h.waitLog(t, `"session disconnected"`)

	r.relay(t, secret)
	eventually(t, patience, "the page is back", func() error {
		sessions, err := h.sessions()
		if err != nil {
			return err
		}
		for _, s := range sessions {
			if s.State == "connected" && s.FramesSent > 30 {
				return nil
			}
		}
		return fmt.Errorf("sessions %+v", sessions)
	})
	if strings.Contains(h.out.String(), secret) {
		t.Error("the log holds the relay's secret")
	}
}

// Two relays, one of which dies: its session continues by an ICE restart over the other, the next session uses the
// other at once, and the daemon reports it. A path that becomes direct or relayed during a session is counted as such.
func TestOneOfTwoRelaysDies(t *testing.T) {
	t.Parallel()
	r := newRelayed(t)
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	x.noisy(t)
	const secret = "shared-with-coturn"
	turn := r.relayAt(t, r.relayIP, secret)
	r.relayAt(t, r.secondIP, secret)
	r.block(t, false)
	first, second := fmt.Sprintf("turn:%s:3478?transport=udp", r.relayIP),
		fmt.Sprintf("turn:%s:3478?transport=tcp", r.secondIP)
	h := startExposed(t, r.host, r.hostIP, "--display", x.id(), "--max-bitrate", "3M", "ice.regions=here",
		"ice.servers="+fmt.Sprintf("[{urls: ['%s'], secret: %s, region: here, priority: 1}, {urls: ['%s'], "+
			"secret: %[2]s, region: here, priority: 2}, "+
			"{urls: ['turn:192.0.2.1'], secret: %[2]s, region: far}]", first, secret, second))
	h.waitServer(t, first, "up")
	h.waitServer(t, second, "up")
	b := openBrowser(t, r.viewer, h.page(""))
	b.waitFrames(t, 30, patience)
	id := h.session(t).ID
	h.waitPath(t, id, "direct", "udp")

	r.block(t, true)
	h.waitPath(t, id, "relay", "")
	b.waitFrames(t, 30, patience)
	h.waitMetric(t, `wavry_host_session_path{path="direct"}`, 0)
	h.waitMetric(t, `wavry_host_session_path{path="relay"}`, 1)
	if e := h.waitEvent(t, id, "path_changed"); e.From != "direct/udp" || !strings.HasPrefix(e.To, "relay/") {
		t.Errorf("event %+v; want one from direct/udp to a relay", e)
	}
	// On a busy machine the browser may have started on a relay, too.
	if direct, relayed := h.metric(t, `wavry_host_session_paths_total{path="direct"`), h.metric(t,
		`wavry_host_session_paths_total{path="relay"`); direct < 1 || relayed < direct || relayed > direct+1 {
		t.Errorf("%v direct paths and %v relayed ones were counted; want as many of each, or one more of the latter",
			direct, relayed)
	}

	turn.kill()
	fresh := openBrowser(t, r.viewer, h.page(""))
	began := time.Now()
	fresh.waitFrames(t, 30, patience)
	t.Logf("pictures for the next viewer %v after its page was there", time.Since(began).Round(100*time.Millisecond))
	h.waitServer(t, first, "down")
	b.waitFrames(t, 30, patience)
	if state, err := h.stateOf(id); err != nil || state != "connected" {
		t.Errorf("the first session is %s, %v; want connected, over the other relay", state, err)
	}
	h.waitMetric(t, fmt.Sprintf(`wavry_host_ice_server_up{region="here",server=%q}`, first), 0)
	h.waitLog(t, `"ice server down"`)
	if strings.Contains(h.out.String(), secret) {
		t.Error("the log holds the relay's secret")
	}
	r.relayAt(t, r.relayIP, secret)
	h.waitServer(t, first, "up")
	h.waitMetric(t, `wavry_host_events_total{kind="relay_up"}`, 1)
}

// waitPath waits until a session, which must remain the only one, uses a path, and a protocol unless that is "".
func (h *host) waitPath(t testing.TB, id, path, protocol string) {
	t.Helper()
	eventually(t, patience, "the session's path is "+path, func() error {
		if s := h.session(t); s.ID != id || s.Path != path || protocol != "" && s.Protocol != protocol {
			return fmt.Errorf("session %s, path %q, protocol %q", s.ID, s.Path, s.Protocol)
		}
		return nil
	})
}

// waitServer waits until the daemon reports a STUN or TURN server in a state.
func (h *host) waitServer(t testing.TB, url, want string) {
	t.Helper()
	eventually(t, patience, url+" is "+want, func() error {
		status, body, err := h.request("GET", "/v1/host")
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("GET /v1/host: status %d, %w", status, err)
		}
		var shown struct {
			Servers []struct{ URL, State, Reason string } `json:"ice_servers"`
		}
		if err := json.Unmarshal(body, &shown); err != nil {
			return err
		}
		for _, s := range shown.Servers {
			if s.URL == url && s.State == want {
				return nil
			}
		}
		return fmt.Errorf("%+v", shown.Servers)
	})
}

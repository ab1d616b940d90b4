//go:build integration

package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// relayed are a host and a viewer who reach each other's API, by a router in between, but no UDP: media has to go through a relay on the router.
type relayed struct {
	host, viewer, router string // namespaces
	hostIP, relayIP      string
}

func newRelayed(t testing.TB) *relayed {
	t.Helper()
	need(t, "ip", "nft", "turnserver")
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root; run 'make test' as root or through sudo")
	}
	id := os.Getpid() % 10000
	r := &relayed{
		host: fmt.Sprintf("wr%d-host", id), viewer: fmt.Sprintf("wr%d-view", id), router: fmt.Sprintf("wr%d-turn", id),
		hostIP: "10.213.8.1", relayIP: "10.213.9.254",
	}
	all := []string{r.host, r.viewer, r.router}
	t.Cleanup(func() {
		for _, ns := range all {
			_ = exec.Command("ip", "netns", "del", ns).Run()
		}
	})
	for _, ns := range all {
		ip(t, "netns", "add", ns)
		_ = exec.Command("ip", "netns", "exec", ns, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6").Run()
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
	ip(t, "netns", "exec", r.router, "nft", "add table ip t; add chain ip t f { type filter hook forward priority 0; }; add rule ip t f ip protocol udp drop")
	return r
}

// relay starts coturn on the router.
func (r *relayed) relay(t testing.TB, secret string) *process {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "turn.conf")
	conf := []string{
		"listening-ip=" + r.relayIP, "relay-ip=" + r.relayIP, "use-auth-secret", "static-auth-secret=" + secret, "realm=test", "no-tls", "no-dtls", "no-cli",
		"userdb=" + filepath.Join(dir, "db"), "pidfile=" + filepath.Join(dir, "pid"), "log-file=stdout", "simple-log",
	}
	if err := os.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, exec.Command("ip", "netns", "exec", r.router, "turnserver", "-c", file))
	eventually(t, 10*time.Second, "the relay listens", func() error {
		c, err := dialWithin(t.Context(), r.router, "tcp", r.relayIP+":3478")
		if err != nil {
			return err
		}
		return c.Close()
	})
	return p
}

// A viewer whom no UDP reaches directly watches through coturn, with short-lived credentials; when the relay dies the session ends in time, and the page comes
// back by itself when there is a relay again.
func TestRelay(t *testing.T) {
	r := newRelayed(t)
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	x.noisy(t)
	const token, secret = "for-this-test-and-no-other", "shared-with-coturn"
	turn := r.relay(t, secret)
	cert, key := certificate(t, r.hostIP)
	h := startHost(t, hostOptions{
		namespace: r.host, listen: r.hostIP + ":8470", secure: true, token: token,
		args: []string{
			"--display", x.id(), "--tls-cert", cert, "--tls-key", key, "--disconnect-timeout", "5s", "--max-bitrate", "3M",
			"--ice-servers", fmt.Sprintf("[{urls: ['turn:%s:3478?transport=udp'], secret: %s}]", r.relayIP, secret),
		},
		env: []string{"WAVRY_HOST_TOKEN=" + token},
	})
	b := openBrowser(t, r.viewer, h.url+"/#token="+token)
	b.waitFrames(t, 30, 30*time.Second)
	if v := h.metric(t, `wavry_host_session_path{path="relay"}`); v != 1 {
		t.Errorf("%v sessions are relayed by the metric; want 1", v)
	}
	first := h.session(t).ID

	turn.kill()
	eventually(t, 30*time.Second, "the session ends", func() error {
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
	if !strings.Contains(h.out.String(), `"session disconnected"`) {
		t.Error("the log does not tell that the path was lost")
	}

	r.relay(t, secret)
	eventually(t, 60*time.Second, "the page is back", func() error {
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

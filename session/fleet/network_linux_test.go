package fleet_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// inNetwork is set in the process of a drill that has a network of its own.
const inNetwork = "WAVRY_FLEET_IN_NETWORK"

// ownNetwork runs a drill in a process that has a network of its own, and reports whether this is that process. The
// network ends with the process.
func ownNetwork(t *testing.T) bool {
	t.Helper()
	if !*drills {
		t.Skip("a drill of minutes: run scripts/fleet-drills")
	}
	if os.Getenv(inNetwork) != "" {
		// ip keeps the names of namespaces in a folder in /run.
		if err := syscall.Mount("tmpfs", "/run", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"); err != nil {
			t.Fatalf("mount /run: %v", err)
		}
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--net", "--mount"}
	if os.Geteuid() != 0 {
		args = append(args, "--user", "--map-root-user")
	}
	args = append(args, self, "-test.run", "^"+t.Name()+"$", "-test.v", "-drills")
	inner := exec.CommandContext(t.Context(), "unshare", args...)
	inner.Env = append(os.Environ(), inNetwork+"=1")
	inner.Stdout, inner.Stderr = os.Stdout, os.Stderr
	if err := inner.Run(); err != nil {
		t.Errorf("the drill in a network of its own: %v", err)
	}
	return false
}

// network is three network namespaces on two bridges: one to the clients, which are in this process, and one for the
// routes between servers. A cut drops all packets without a word.
type network struct{ t *testing.T }

// The bridges of a network.
const (
	clients = "clients"
	routes  = "routes"
)

// newNetwork makes the namespaces in a process that ownNetwork has started, and returns a node in each.
func newNetwork(t *testing.T) (n network, nodes []node) {
	t.Helper()
	n = network{t}
	n.run("ip", "link", "set", "lo", "up")
	for _, bridge := range []string{clients, routes} {
		n.run("ip", "link", "add", bridge, "type", "bridge")
		n.run("ip", "link", "set", bridge, "up")
	}
	n.run("ip", "addr", "add", "10.214.1.254/24", "dev", clients)
	for i := range 3 {
		namespace := fmt.Sprint("nats", i)
		n.run("ip", "netns", "add", namespace)
		for k, bridge := range []string{clients, routes} {
			port := fmt.Sprint(bridge, i)
			n.run("ip", "link", "add", port, "type", "veth", "peer", "name", bridge, "netns", namespace)
			n.run("ip", "link", "set", port, "master", bridge, "up")
			n.run("ip", "-n", namespace, "addr", "add", fmt.Sprintf("10.214.%d.%d/24", k+1, i+1), "dev", bridge)
			n.run("ip", "-n", namespace, "link", "set", bridge, "up")
		}
		nodes = append(nodes, node{
			client: fmt.Sprintf("10.214.1.%d:4222", i+1), route: fmt.Sprintf("10.214.2.%d:6222", i+1),
			within: []string{"ip", "netns", "exec", namespace},
		})
	}
	return n, nodes
}

// cut cuts a server off a bridge.
func (n network) cut(i int, bridge string) { n.state(i, bridge, "0") }

// heal ends a cut.
func (n network) heal(i int, bridge string) { n.state(i, bridge, "3") }

// state sets the state of a port: 0 is disabled, and 3 is forwarding.
func (n network) state(i int, bridge, state string) {
	n.t.Helper()
	n.run("bridge", "link", "set", "dev", fmt.Sprint(bridge, i), "state", state)
}

func (n network) run(command ...string) {
	n.t.Helper()
	if out, err := exec.CommandContext(n.t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %v\n%s", command, err, out)
	}
}

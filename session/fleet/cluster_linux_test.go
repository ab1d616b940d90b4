package fleet_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/session/fleet/fleettest"

	"github.com/nats-io/nats.go"
)

// node is where a NATS server of a cluster runs.
type node struct {
	client, route string   // its addresses
	within        []string // the command that runs a program there
}

// loopback returns three nodes on this machine.
func loopback(t *testing.T) []node {
	t.Helper()
	address := func() string {
		var lc net.ListenConfig
		ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		return ln.Addr().String()
	}
	var list []node
	for range 3 {
		list = append(list, node{client: address(), route: address()})
	}
	return list
}

// cluster is several NATS servers, each a process.
type cluster struct {
	program, folder string
	nodes           []node
	procs           []*exec.Cmd
}

// newCluster starts the servers, and waits until each answers. settings are lines of their configuration.
func newCluster(t *testing.T, nodes []node, settings func(i int) string) *cluster {
	t.Helper()
	if !*drills {
		t.Skip("a drill of minutes: run scripts/fleet-drills")
	}
	c := &cluster{folder: t.TempDir(), nodes: nodes, procs: make([]*exec.Cmd, len(nodes))}
	c.program = filepath.Join(c.folder, "nats-server")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", c.program, "github.com/nats-io/nats-server/v2")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build nats-server: %v\n%s", err, out)
	}
	for i := range nodes {
		c.configure(t, i, settings)
		c.start(t, i)
	}
	t.Cleanup(func() {
		for i := range c.procs {
			c.kill(i)
		}
	})
	for i, n := range nodes {
		fleettest.Eventually(t, 10*time.Second, fmt.Sprint("server ", i, " answers"), func() bool {
			nc, err := nats.Connect("nats://" + n.client)
			if err != nil {
				return false
			}
			nc.Close()
			return true
		})
	}
	return c
}

// file returns a file of a server.
func (c *cluster) file(i int, name string) string {
	return filepath.Join(c.folder, fmt.Sprint("n", i, ".", name))
}

// configure writes the configuration of a server.
func (c *cluster) configure(t *testing.T, i int, settings func(i int) string) {
	t.Helper()
	var routes []string
	for j, n := range c.nodes {
		if j != i {
			routes = append(routes, fmt.Sprintf("%q", "nats://"+n.route))
		}
	}
	text := fmt.Sprintf("server_name: n%d\nlisten: %q\nlog_file: %q\ncluster { name: drill, listen: %q, routes: [%s] }\n",
		i, c.nodes[i].client, c.file(i, "log"), c.nodes[i].route, strings.Join(routes, ", "))
	if settings != nil {
		text += settings(i)
	}
	if err := os.WriteFile(c.file(i, "conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) start(t *testing.T, i int) {
	t.Helper()
	command := append(append([]string{}, c.nodes[i].within...), c.program, "-c", c.file(i, "conf"))
	c.procs[i] = exec.CommandContext(context.Background(), command[0], command[1:]...)
	if err := c.procs[i].Start(); err != nil {
		t.Fatal(err)
	}
}

// kill kills a server with signal 9.
func (c *cluster) kill(i int) {
	_ = c.procs[i].Process.Kill()
	_ = c.procs[i].Wait()
}

// url returns the addresses of all servers.
func (c *cluster) url() string {
	var list []string
	for _, n := range c.nodes {
		list = append(list, "nats://"+n.client)
	}
	return strings.Join(list, ",")
}

// of returns the server of a connection.
func (c *cluster) of(nc *nats.Conn) int {
	for i, n := range c.nodes {
		if nc.ConnectedAddr() == n.client {
			return i
		}
	}
	return -1
}

package lab

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"wavryhost/platform/child"
)

// relay is a TURN server (coturn) in a place.
type relay struct {
	process *child.Process
	address string
	secret  string
}

// startRelay starts coturn, with its files in dir, and waits until it serves.
func startRelay(ctx context.Context, in *place, dir string, log *os.File) (r *relay, err error) {
	r = &relay{address: in.address.String(), secret: rand.Text()}
	file := filepath.Join(dir, "turn.conf")
	lines := []string{
		"listening-ip=" + r.address, "relay-ip=" + r.address, "use-auth-secret", "static-auth-secret=" + r.secret,
		"realm=lab", "no-tls", "no-dtls", "no-cli", "userdb=" + filepath.Join(dir, "turn.db"),
		"pidfile=" + filepath.Join(dir, "turn.pid"), "log-file=stdout", "simple-log",
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	r.process, err = child.Start(child.Command{
		Program: "turnserver", Args: []string{"-c", file}, Stdout: log, Stderr: log, Network: in.network,
	})
	if err != nil {
		return nil, fmt.Errorf("lab: start turnserver: %w", err)
	}
	err = untilServes(ctx, "turnserver", r.process, log.Name(), func() error {
		return in.within(func() error {
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp4", net.JoinHostPort(r.address, "3478"))
			if err != nil {
				return err
			}
			return c.Close()
		})
	})
	if err != nil {
		r.process.Stop()
		return nil, err
	}
	return r, nil
}

// setting is the daemon's setting for the relay.
func (r *relay) setting() string {
	return fmt.Sprintf("[{urls: ['turn:%s:3478?transport=udp'], secret: %s}]", r.address, r.secret)
}

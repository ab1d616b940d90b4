package x11

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// displayName is a parsed display name.
type displayName struct {
	full    string
	network string // "unix" or "tcp"
	host    string // of tcp
	address string
	number  int
	screen  int
}

// local reports whether the server is certainly on this machine. A TCP connection to the loopback interface may be the
// end of a tunnel.
func (d displayName) local() bool { return d.network == "unix" }

func parseDisplay(name string) (displayName, error) {
	bad := func(why string) (displayName, error) {
		return displayName{}, fmt.Errorf(
			"x11: display name %q %s: it looks like :0, :0.1, host:0 or /path/to/socket", name, why,
		)
	}
	d := displayName{full: name, network: "unix"}
	if strings.HasPrefix(name, "/") {
		d.address = name
		// launchd names its socket /path/org.xquartz:0, including the number.
		if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
			if n, err := strconv.ParseUint(name[i+1:], 10, 16); err == nil {
				d.number = int(n)
			}
		}
		return d, nil
	}
	colon := strings.LastIndexByte(name, ':')
	if colon < 0 {
		return bad("has no colon")
	}
	host, number := name[:colon], name[colon+1:]
	number, screen, hasScreen := strings.Cut(number, ".")
	n, err := strconv.ParseUint(number, 10, 16)
	// Display N is TCP port 6000+N.
	if err != nil || n > 65535-6000 {
		return bad("has no display number")
	}
	d.number = int(n)
	if hasScreen {
		s, err := strconv.ParseUint(screen, 10, 8)
		if err != nil {
			return bad("has no screen number after the dot")
		}
		d.screen = int(s)
	}
	switch host {
	case "", "unix":
		d.address = "/tmp/.X11-unix/X" + number
	default:
		d.network = "tcp"
		d.host = strings.Trim(strings.TrimPrefix(host, "tcp/"), "[]")
		if d.host == "" {
			return bad("has no host")
		}
		d.address = net.JoinHostPort(d.host, strconv.Itoa(6000+d.number))
	}
	return d, nil
}

func (d displayName) dial(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	nc, err := dialer.DialContext(ctx, d.network, d.address)
	switch {
	case err == nil:
		return nc, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf(
			"x11: no X server is listening for display %s at %s: start it, or name the display that runs: %w", d.full, d.address,
			err,
		)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf(
			"x11: display %s: %s may not be opened by this user: run as the display's owner or as root: %w", d.full, d.address,
			err,
		)
	}
	return nil, fmt.Errorf("x11: connect to display %s at %s: %w", d.full, d.address, err)
}

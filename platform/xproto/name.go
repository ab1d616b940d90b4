package xproto

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

func parseName(name string) (displayName, error) {
	bad := func(why string) (displayName, error) {
		return displayName{}, fmt.Errorf("display name %q %s: %w", name, why, ErrName)
	}
	d := displayName{full: name, network: "unix"}
	if strings.HasPrefix(name, "/") || strings.HasPrefix(name, "@") { // Go's form of an abstract name
		d.address, d.number = name, numberOf(name)
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

// numberOf returns the number in the path of a socket, or 0. Servers listen at /tmp/.X11-unix/X0, launchd at
// /path/org.xquartz:0.
func numberOf(path string) int {
	base := path[strings.LastIndexByte(path, '/')+1:]
	digits, ok := strings.CutPrefix(base, "X")
	if i := strings.LastIndexByte(base, ':'); i >= 0 {
		digits, ok = base[i+1:], true
	}
	if n, err := strconv.ParseUint(digits, 10, 16); ok && err == nil {
		return int(n)
	}
	return 0
}

// dial connects. It does not try the abstract name of a socket whose path is missing: any user may take that name, and
// would get the cookie.
func (d displayName) dial(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	nc, err := dialer.DialContext(ctx, d.network, d.address)
	switch {
	case err == nil:
		return nc, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf(
			"no X server is listening for display %s at %s: start it, or name the display that runs: %w", d.full, d.address,
			err,
		)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf(
			"display %s: %s may not be opened by this user: run as the display's owner or as root: %w", d.full, d.address,
			err,
		)
	}
	return nil, fmt.Errorf("connect to display %s at %s: %w", d.full, d.address, err)
}

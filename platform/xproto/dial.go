// Package xproto is a client of the X protocol, version 11: connection, authority, requests, replies, errors and
// events. It sends what its callers ask for, and decides nothing.
//
// It is small on purpose. A client library with process-wide tables of event types cannot serve two servers that
// number their extensions differently. It also allocates for each request, passes no open files, and has no limit for
// a server that hangs.
package xproto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// OpenTimeout bounds the opening of a display. Servers answer in milliseconds unless a client has grabbed them.
const OpenTimeout = 5 * time.Second

// maxClients is the server's message when it has no room for another client.
const maxClients = "Maximum number of clients"

// Dial opens a display: ":0", ":0.1", "host:0" or the path of the server's socket. authority has the paths of X
// authority files, in the order of the attempts; without one the connection is tried without authorization. The
// environment is never read. Dial takes no longer than ctx and OpenTimeout.
func Dial(ctx context.Context, display string, authority []string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, OpenTimeout)
	defer cancel()
	d, err := parseName(display)
	if err != nil {
		return nil, err
	}
	if len(authority) == 0 {
		authority = []string{""}
	}
	tried := make(map[string]bool)
	var refused RefusedError
	var reasons []string
	for _, path := range authority {
		nc, err := d.dial(ctx)
		if err != nil {
			return nil, err
		}
		key, keyErr := readCookie(path, d, nc.RemoteAddr())
		switch {
		case keyErr != nil:
			reasons = append(reasons, keyErr.Error())
		default:
			reasons = append(reasons, "with the cookie from "+path)
		}
		if tried[key] {
			nc.Close()
			continue
		}
		tried[key] = true
		c, err := Handshake(ctx, nc, key, d.screen)
		switch {
		case err == nil:
			c.local = d.local()
			return c, nil
		case errors.As(err, &refused) && !strings.Contains(err.Error(), maxClients):
			continue
		case errors.As(err, &refused):
			err = fmt.Errorf("%w: close programs on it, or start the server with -maxclients", err)
		case errors.Is(err, context.DeadlineExceeded):
			err = fmt.Errorf("the server at %s does not answer: %w", d.address, err)
		}
		return nil, fmt.Errorf("open display %s: %w", display, err)
	}
	return nil, fmt.Errorf(
		"open display %s: %w (%s): give the authority file that the server was started with "+
			"(XAUTHORITY), or run as its user after xhost +SI:localuser:NAME",
		display,
		refused,
		strings.Join(reasons, "; "),
	)
}

// Handshake starts the X protocol on nc and selects a screen. It owns nc, and closes it on failure.
func Handshake(ctx context.Context, nc net.Conn, cookie string, screen int) (*Conn, error) {
	// The greeting has no reader to wake. When ctx ends, the socket is closed under it.
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	set, err := greet(nc, cookie)
	if !stop() {
		err = ctx.Err()
	}
	if err == nil && screen >= len(set.Screens) {
		err = fmt.Errorf("it has no screen %d, but %d", screen, len(set.Screens))
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	c := newConn(nc)
	c.Setup, c.Screen = set, set.Screens[screen]
	return c, nil
}

// greet exchanges the first messages of a connection.
func greet(nc net.Conn, cookie string) (Setup, error) {
	name := ""
	if cookie != "" {
		name = cookieName
	}
	b := []byte{'l', 0, 11, 0, 0, 0}
	b = le.AppendUint16(b, uint16(len(name)))
	b = le.AppendUint16(b, uint16(len(cookie)))
	b = append(b, 0, 0)
	b = appendPadded(b, name)
	b = appendPadded(b, cookie)
	if _, err := nc.Write(b); err != nil {
		return Setup{}, err
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(nc, head); err != nil {
		return Setup{}, err
	}
	// The peer may be another program, which sends fewer bytes than expected. In a demand for more authentication
	// (kind 2) the version is unused.
	n := 4 * int(le.Uint16(head[6:]))
	if head[0] > 2 || (head[0] < 2 && le.Uint16(head[2:]) != 11) {
		return Setup{}, errors.New("the peer is not an X11 server")
	}
	body := make([]byte, 8+n)
	copy(body, head)
	if _, err := io.ReadFull(nc, body[8:]); err != nil {
		return Setup{}, err
	}
	switch head[0] {
	case 0:
		return Setup{}, RefusedError(strings.TrimSpace(string(body[8 : 8+min(n, int(head[1]))])))
	case 2:
		return Setup{}, RefusedError(strings.TrimSpace(strings.TrimRight(string(body[8:]), "\x00")))
	}
	return parseSetup(body)
}

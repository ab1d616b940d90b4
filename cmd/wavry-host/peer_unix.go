//go:build linux || darwin

package main

import (
	"errors"
	"net"
)

// peerUID returns the user at the other end of a Unix socket.
func peerUID(c net.Conn) (int, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return -1, errors.New("not a Unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1, err
	}
	uid := -1
	var failed error
	if err := raw.Control(func(fd uintptr) { uid, failed = uidOf(int(fd)) }); err != nil {
		return -1, err
	}
	return uid, failed
}

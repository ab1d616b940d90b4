package main

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
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
	var cred *unix.Xucred
	if err := errors.Join(raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	}), err); err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}

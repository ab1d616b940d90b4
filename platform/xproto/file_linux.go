package xproto

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// SendFile sends a request together with an open file, and returns its sequence number. The caller keeps its
// descriptor.
func (c *Conn) SendFile(fd int, op, data byte, words ...uint32) (uint16, error) {
	nc, ok := c.nc.(*net.UnixConn)
	if !ok {
		return 0, errors.New("xproto: files need a Unix socket")
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	seq := c.Send(op, data, words...)
	n, _, err := nc.WriteMsgUnix(c.out, unix.UnixRights(fd), nil)
	if err != nil {
		return 0, LostError{err}
	}
	c.out = c.out[:copy(c.out, c.out[n:])]
	return seq, c.flush()
}

// User returns the user of the server at the other end of a local socket.
func (c *Conn) User() (uint32, bool) {
	u, ok := c.nc.(*net.UnixConn)
	if !ok {
		return 0, false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); cerr != nil || err != nil {
		return 0, false
	}
	return cred.Uid, true
}

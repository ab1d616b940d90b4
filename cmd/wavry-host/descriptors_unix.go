//go:build unix

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// maxDescriptors bounds the sockets that one daemon passes to another.
const maxDescriptors = 64

// sendSockets passes sockets to the process at the other end of a Unix socket. A child would get them by its start, but
// that makes them blocking, for this process, too.
func sendSockets(to *net.UnixConn, sockets []syscall.Conn) error {
	fds := make([]int, len(sockets))
	for i, s := range sockets {
		raw, err := s.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			return err
		}
	}
	_, _, err := to.WriteMsgUnix([]byte{1}, syscall.UnixRights(fds...), nil)
	return err
}

// receiveSockets returns the sockets that the process at the other end passes.
func receiveSockets(from *net.UnixConn) ([]*os.File, error) {
	oob := make([]byte, syscall.CmsgSpace(4*maxDescriptors))
	_, n, flags, _, err := from.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return nil, err
	}
	if flags&syscall.MSG_CTRUNC != 0 {
		return nil, fmt.Errorf("it passes more than %d sockets", maxDescriptors)
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, errors.New("it passes no sockets")
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), "socket of the former daemon"))
	}
	return files, nil
}

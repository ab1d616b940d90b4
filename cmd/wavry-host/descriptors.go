package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"wavryhost/platform/descriptors"
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
	return descriptors.Send(to, []byte{1}, fds)
}

// receiveSockets returns the sockets that the process at the other end passes.
func receiveSockets(from *net.UnixConn) ([]*os.File, error) {
	_, files, err := descriptors.Receive(from, make([]byte, 1), maxDescriptors, "socket of the former daemon")
	switch {
	case errors.Is(err, descriptors.ErrTooMany):
		return nil, fmt.Errorf("it passes more than %d sockets", maxDescriptors)
	case err == nil && len(files) == 0:
		return nil, errors.New("it passes no sockets")
	}
	return files, err
}

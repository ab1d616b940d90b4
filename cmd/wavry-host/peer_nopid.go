//go:build !linux

package main

import (
	"errors"
	"net"
)

// peerPID reports that this system does not say which process is at the other end of a Unix socket.
func peerPID(net.Conn) (int, error) { return 0, errors.ErrUnsupported }

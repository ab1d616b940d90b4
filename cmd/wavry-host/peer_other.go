//go:build !linux && !darwin

package main

import (
	"errors"
	"net"
)

// peerUID reports that this system does not say who is at the other end of a Unix socket.
func peerUID(net.Conn) (int, error) { return -1, errors.ErrUnsupported }

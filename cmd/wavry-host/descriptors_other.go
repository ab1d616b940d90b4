//go:build !unix

package main

import (
	"errors"
	"net"
	"os"
	"syscall"
)

func sendSockets(*net.UnixConn, []syscall.Conn) error { return errors.ErrUnsupported }

func receiveSockets(*net.UnixConn) ([]*os.File, error) { return nil, errors.ErrUnsupported }

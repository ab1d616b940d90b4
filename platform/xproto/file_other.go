//go:build !linux

package xproto

import "errors"

// SendFile returns an error: only Linux has shared memory that an X server can map.
func (c *Conn) SendFile(int, byte, byte, ...uint32) (uint16, error) {
	return 0, errors.New("xproto: files are sent on linux only")
}

// User reports that the server's user is unknown.
func (c *Conn) User() (uint32, bool) { return 0, false }

//go:build unix

package peer

import "syscall"

// noBroadcast makes the kernel refuse packets to broadcast addresses, which Go allows.
func noBroadcast(fd uintptr) error {
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST, 0)
}

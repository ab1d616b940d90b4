package peer

import "syscall"

// noBroadcast makes the system refuse packets to broadcast addresses, which Go allows.
func noBroadcast(fd uintptr) error {
	return syscall.SetsockoptInt(syscall.Handle(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST, 0)
}

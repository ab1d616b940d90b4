package identity

import "golang.org/x/sys/unix"

// read returns the id of the hardware's platform.
func read() (string, error) { return unix.Sysctl("kern.uuid") }

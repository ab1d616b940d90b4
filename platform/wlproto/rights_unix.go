//go:build unix

package wlproto

import "syscall"

// rights returns the control message that passes descriptors.
func rights(files []int) []byte {
	if len(files) == 0 {
		return nil
	}
	return syscall.UnixRights(files...)
}

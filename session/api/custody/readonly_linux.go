package custody

import (
	"os"

	"golang.org/x/sys/unix"
)

// readOnly reports whether a file is on a read-only mount.
func readOnly(f *os.File) bool {
	var s unix.Statfs_t
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	if controlErr := raw.Control(func(fd uintptr) { err = unix.Fstatfs(int(fd), &s) }); controlErr != nil ||
		err != nil {
		return false
	}
	return s.Flags&unix.ST_RDONLY != 0
}

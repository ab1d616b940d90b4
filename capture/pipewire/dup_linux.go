package pipewire

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// duplicate returns another descriptor of a file.
func duplicate(fd int) (int, error) {
	other, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("duplicate a descriptor: %w", err)
	}
	return other, nil
}

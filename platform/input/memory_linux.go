package input

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// memoryFile returns the descriptor of a file in memory with that content.
func memoryFile(content string) (fd int, err error) {
	fd, err = unix.MemfdCreate("wavry-host-keymap", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("make a file in memory: %w", err)
	}
	if _, err := unix.Pwrite(fd, []byte(content), 0); err != nil {
		closeFile(fd)
		return -1, fmt.Errorf("write a file in memory: %w", err)
	}
	return fd, nil
}

func closeFile(fd int) { _ = unix.Close(fd) }

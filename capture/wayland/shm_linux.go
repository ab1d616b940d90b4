package wayland

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func checkSystem() error { return nil }

// newMemory returns memory that a compositor can map, and its file.
func newMemory(size int) (mem []byte, fd int, err error) {
	fd, err = unix.MemfdCreate("wavry-host-capture", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, -1, fmt.Errorf("wayland: make a file in memory: %w", err)
	}
	err = unix.Ftruncate(fd, int64(size))
	if err == nil {
		// A compositor that shortened the file would make this process fail on the next access.
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err == nil {
		// All pages are made at once, so that no page fault slows a capture.
		mem, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, -1, fmt.Errorf("wayland: map %d bytes of memory: %w", size, err)
	}
	return mem, fd, nil
}

func closeFile(fd int) { _ = unix.Close(fd) }

func freeMemory(mem []byte) { _ = unix.Munmap(mem) }

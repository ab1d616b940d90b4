package drm

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// file is a node of a card.
type file int

// Open opens the node of a card, such as /dev/dri/card0.
func Open(path string) (Device, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return file(fd), nil
}

// Ioctl implements Device.
func (f file) Ioctl(request uint32, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f), uintptr(request), uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR, unix.EAGAIN: // as libdrm does
		default:
			return errno
		}
	}
}

// Map implements Device.
func (f file) Map(offset uint64, size int) ([]byte, error) {
	return unix.Mmap(int(f), int64(offset), size, unix.PROT_READ, unix.MAP_SHARED)
}

// Close implements Device.
func (f file) Close() error { return unix.Close(int(f)) }

func closeFile(fd int) { _ = unix.Close(fd) }

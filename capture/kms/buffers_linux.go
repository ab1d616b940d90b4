package kms

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"

	"wavryhost/platform/kms"
)

// maxMapped is the number of buffers that stay mapped. Programs flip between two or three; a new map costs a page fault
// for each 4096 bytes.
const maxMapped = 4

// The request DMA_BUF_IOCTL_SYNC of linux/dma-buf.h, and its flags.
const (
	ioctlSync = 0x40086200
	syncRead  = 1
	syncEnd   = 4
)

func checkSystem() error { return nil }

// buffer is a mapped DMA-BUF.
type buffer struct {
	inode uint64 // identifies it: the numbers of framebuffers are used again
	file  *os.File
	mem   []byte
}

// buffers are mapped DMA-BUFs, the latest in front.
type buffers struct{ list []*buffer }

// read writes a part of a buffer to dst. It owns the files.
func (b *buffers) read(l layout, part *kms.Buffer, files []*os.File, dst []byte) error {
	mapped, err := b.of(files[part.Parts[0].File])
	if err != nil {
		return err
	}
	if uint64(len(mapped.mem)) < l.end {
		return fmt.Errorf("%w: it has %d bytes, and pixels up to byte %d", errUnknown, len(mapped.mem), l.end)
	}
	if err := mapped.sync(syncRead); err != nil {
		return err
	}
	err = guarded(func() { l.read(dst, mapped.mem) })
	return errors.Join(err, mapped.sync(syncRead|syncEnd))
}

// guarded calls f, which reads from memory of a device. That may go away.
func guarded(f func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			if fault, ok := v.(interface{ Addr() uintptr }); ok {
				err = fmt.Errorf("the graphics card has taken the memory at %#x away", fault.Addr())
				return
			}
			panic(v)
		}
	}()
	f()
	return nil
}

// of returns the map of a file. It keeps a copy of the file, unless the buffer is mapped already.
func (b *buffers) of(f *os.File) (*buffer, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnknown, err)
	}
	for i, one := range b.list {
		if one.inode == stat.Ino {
			copy(b.list[1:i+1], b.list[:i])
			b.list[0] = one
			return one, nil
		}
	}
	// A DMA-BUF says its size by lseek only.
	size, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_END)
	if err == nil && (size <= 0 || size > math.MaxInt32) {
		err = fmt.Errorf("a buffer of %d bytes", size)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnknown, err)
	}
	copied, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("keep a buffer: %w", err)
	}
	mem, err := unix.Mmap(copied, 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		_ = unix.Close(copied)
		return nil, fmt.Errorf("%w: its driver does not let programs map %d bytes: %w", kms.ErrUnsupported, size, err)
	}
	one := &buffer{inode: stat.Ino, file: os.NewFile(uintptr(copied), "DMA-BUF"), mem: mem}
	if len(b.list) == maxMapped {
		b.list[maxMapped-1].unmap()
		b.list = b.list[:maxMapped-1]
	}
	b.list = append([]*buffer{one}, b.list...)
	return one, nil
}

// sync begins or ends an access. It waits for the graphics card to finish drawing.
func (b *buffer) sync(flags uint64) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, b.file.Fd(), ioctlSync, uintptr(unsafe.Pointer(&flags)))
		switch errno {
		case 0, unix.ENOTTY: // memory without a device has nothing to wait for
			return nil
		case unix.EINTR, unix.EAGAIN:
		default:
			return fmt.Errorf("wait for the graphics card: %w", errno)
		}
	}
}

func (b *buffer) unmap() {
	_ = unix.Munmap(b.mem)
	_ = b.file.Close()
}

// close unmaps all.
func (b *buffers) close() {
	for _, one := range b.list {
		one.unmap()
	}
	b.list = nil
}

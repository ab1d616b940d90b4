package kms

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"sync"
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

// buffers are mapped DMA-BUFs, the latest in front. They may be used concurrently.
type buffers struct {
	mu   sync.Mutex
	list []*buffer
}

// use calls f with the memory of a DMA-BUF, which has the pixels of a layout.
func (b *buffers) use(l layout, fd int, f func(mem []byte)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	mapped, err := b.of(fd)
	if err != nil {
		return err
	}
	if err := l.fits(uint64(len(mapped.mem))); err != nil {
		return err
	}
	if err := mapped.sync(syncRead); err != nil {
		return err
	}
	err = guarded(func() { f(mapped.mem) })
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

// identify returns the inode and the size of a DMA-BUF.
func identify(fd int) (inode, size uint64, err error) {
	var stat unix.Stat_t
	err = unix.Fstat(fd, &stat)
	var end int64
	if err == nil { // a DMA-BUF says its size by lseek only
		end, err = unix.Seek(fd, 0, unix.SEEK_END)
	}
	if err != nil || end < 0 {
		return 0, 0, fmt.Errorf("%w: %w", errUnknown, err)
	}
	return stat.Ino, uint64(end), nil
}

// of returns the map of a file. It keeps a copy of the file, unless the buffer is mapped already.
func (b *buffers) of(fd int) (*buffer, error) {
	inode, size, err := identify(fd)
	if err != nil {
		return nil, err
	}
	for i, one := range b.list {
		if one.inode == inode {
			copy(b.list[1:i+1], b.list[:i])
			b.list[0] = one
			return one, nil
		}
	}
	if size == 0 || size > math.MaxInt32 {
		return nil, fmt.Errorf("%w: a buffer of %d bytes", errUnknown, size)
	}
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("keep a buffer: %w", err)
	}
	mem, err := unix.Mmap(copied, 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		_ = unix.Close(copied)
		return nil, fmt.Errorf("%w: its driver does not let programs map %d bytes: %w", kms.ErrUnsupported, size, err)
	}
	one := &buffer{inode: inode, file: os.NewFile(uintptr(copied), "DMA-BUF"), mem: mem}
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
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.list {
		one.unmap()
	}
	b.list = nil
}

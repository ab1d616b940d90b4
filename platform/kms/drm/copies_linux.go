package drm

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxCopies is the number of files that are kept: programs flip between two or three framebuffers, and the cursor
	// has others.
	maxCopies = 6
	// maxCopy is the size of the largest framebuffer that is copied, in bytes.
	maxCopy = 512 << 20
)

// copies are files in memory for the pixels of framebuffers, the latest in front. A file is used again for the same
// framebuffer, so that it stays mapped in the daemon.
type copies struct{ list []pixelCopy }

type pixelCopy struct {
	fb   uint32
	size int
	file int
}

// copyPixels copies a buffer to a file, which the caller must close. The next call for the framebuffer changes it.
func (c *Card) copyPixels(fb, handle uint32, size uint64) (int, error) {
	if size == 0 || size > maxCopy {
		return -1, fmt.Errorf("a framebuffer of %d bytes", size)
	}
	where := MapDumbArg{Handle: handle}
	if err := c.call(IoctlMapDumb, unsafe.Pointer(&where)); err != nil {
		return -1, fmt.Errorf("map a framebuffer: %w", err)
	}
	mem, err := c.dev.Map(where.Offset, int(size))
	if err != nil {
		return -1, fmt.Errorf("map a framebuffer: %w", err)
	}
	defer func() { _ = unix.Munmap(mem) }()
	file, err := c.copies.file(fb, int(size))
	if err != nil {
		return -1, fmt.Errorf("make a file in memory: %w", err)
	}
	for done := 0; done < len(mem); {
		// The kernel reads the card's memory: if that goes away, the call fails instead of this process.
		n, err := unix.Pwrite(file, mem[done:], int64(done))
		if err != nil {
			return -1, fmt.Errorf("copy a framebuffer: %w", err)
		}
		done += n
	}
	return unix.FcntlInt(uintptr(file), unix.F_DUPFD_CLOEXEC, 0)
}

// file returns the file of a framebuffer.
func (s *copies) file(fb uint32, size int) (int, error) {
	for i, one := range s.list {
		if one.fb == fb && one.size == size {
			copy(s.list[1:i+1], s.list[:i])
			s.list[0] = one
			return one.file, nil
		}
	}
	file, err := unix.MemfdCreate("wavry-host-kms", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if err := unix.Ftruncate(file, int64(size)); err != nil {
		_ = unix.Close(file)
		return -1, err
	}
	if len(s.list) == maxCopies {
		_ = unix.Close(s.list[maxCopies-1].file)
		s.list = s.list[:maxCopies-1]
	}
	s.list = append([]pixelCopy{{fb, size, file}}, s.list...)
	return file, nil
}

func (s *copies) close() {
	for _, one := range s.list {
		_ = unix.Close(one.file)
	}
	s.list = nil
}

// mappable reports whether programs may map a DMA-BUF.
func mappable(file int) bool {
	mem, err := unix.Mmap(file, 0, unix.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return false
	}
	return unix.Munmap(mem) == nil
}

package x11

import (
	"context"
	"errors"
	"fmt"
	"os"

	"wavryhost/platform/xproto"

	"golang.org/x/sys/unix"
)

func checkSystem() error { return nil }

// newSegment makes shared memory and has the server attach it. It prefers an open file, because System V memory
// requires the same IPC namespace and user.
func newSegment(ctx context.Context, c *xproto.Conn, ext extensions, size int) (*segment, error) {
	if ext.shmFD {
		s, err := newFile(ctx, c, ext.shm, size)
		var loss xproto.LostError
		if err == nil || errors.As(err, &loss) || ctx.Err() != nil {
			return s, err
		}
	}
	return newSystemV(ctx, c, ext.shm, size)
}

// newFile makes memory with a file descriptor, which the server gets over the connection.
func newFile(ctx context.Context, c *xproto.Conn, ext xproto.Extension, size int) (*segment, error) {
	fd, err := unix.MemfdCreate("wavry-host-capture", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // both have mapped it, or neither will
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, fmt.Errorf("make a file of %d bytes in memory: %w", size, err)
	}
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map shared memory: %w", err)
	}
	s := &segment{mem: mem, file: true, xid: c.NewID()}
	seq, err := c.SendFile(fd, ext.Major, shmAttachFD, s.xid, 0)
	if err == nil {
		err = c.Check(ctx, seq)
	}
	if err != nil {
		s.detach()
		return nil, fmt.Errorf("have the server map shared memory: %w", err)
	}
	return s, nil
}

// newSystemV makes System V memory. It marks the memory for removal as soon as both sides have attached it. So it goes
// with the last of them, however they end.
func newSystemV(ctx context.Context, c *xproto.Conn, ext xproto.Extension, size int) (*segment, error) {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, size, unix.IPC_CREAT|0o600)
	if err != nil {
		return nil, fmt.Errorf("make %d bytes of shared memory: %w", size, err)
	}
	defer func() { _, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) }() // there is no receiver for an error
	mem, err := unix.SysvShmAttach(id, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("attach shared memory: %w", err)
	}
	s := &segment{mem: mem, id: id, xid: c.NewID()}
	if err := s.share(ctx, c, ext); err != nil {
		s.detach()
		return nil, err
	}
	return s, nil
}

func (s *segment) share(ctx context.Context, c *xproto.Conn, ext xproto.Extension) error {
	var desc unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(s.id, unix.IPC_STAT, &desc); err != nil {
		return fmt.Errorf("inspect shared memory: %w", err)
	}
	// A server that runs as its user cannot attach memory of root, so root gives the segment to that user.
	if uid, ok := c.User(); ok && os.Geteuid() == 0 && uid != desc.Perm.Uid {
		desc.Perm.Uid = uid
		if _, err := unix.SysvShmCtl(s.id, unix.IPC_SET, &desc); err != nil {
			return fmt.Errorf("give shared memory to user %d: %w", uid, err)
		}
	}
	if err := c.Check(ctx, c.Send(ext.Major, shmAttach, s.xid, uint32(s.id), 0)); err != nil {
		return fmt.Errorf("have the server attach shared memory: %w", err)
	}
	// In another IPC namespace the ID may name another segment. The server has then attached that one.
	if _, err := unix.SysvShmCtl(s.id, unix.IPC_STAT, &desc); err != nil {
		return fmt.Errorf("inspect shared memory: %w", err)
	}
	if desc.Nattch < 2 {
		c.Send(ext.Major, shmDetach, s.xid)
		return errors.New("the server is in another IPC namespace")
	}
	return nil
}

// detach unmaps the memory in this process. The server detaches by a request, or when the connection ends.
func (s *segment) detach() {
	// Both fail only for memory that is not attached.
	if s.file {
		_ = unix.Munmap(s.mem)
	} else {
		_ = unix.SysvShmDetach(s.mem)
	}
	s.mem = nil
}

// Package pipewire captures streams of PipeWire: the monitors of GNOME, by the interface of its compositor, and what
// xdg-desktop-portal offers on all desktops.
//
// libpipewire is loaded at run time. A host without it gets an error that wraps capture.ErrUnsupported and names the
// file.
//
// Pictures come in shared memory of the compositor. A frame is that memory while the compositor cannot shorten the
// file and has buffers to spare, and a copy otherwise. Damage is what the compositor says (SPA_META_VideoDamage), and
// else what a comparison with the picture before finds.
package pipewire

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"wavryhost/capture"
	"wavryhost/platform/screencast"
)

// Limits.
const (
	// openTimeout is the limit for a first picture.
	openTimeout = 5 * time.Second
	// heartbeat is the interval for asking a daemon and a compositor that send nothing. The answer shows that they
	// work.
	heartbeat = 500 * time.Millisecond
	// silence is the time after which a daemon without an answer is lost. They pause for seconds while a driver does.
	silence = 10 * time.Second
	// maxBad is the number of pictures in a row that may make no sense.
	maxBad = 5
	// maxFrames is the number of frames that may be held at once.
	maxFrames = 3
	// spareBuffers is the number of buffers that a producer must have beside those in frames: one for the newest
	// picture, and one to write to.
	spareBuffers = 2
	// diffRows is the height of the bands that are compared.
	diffRows = 16
	// maxSide is the longest side of a picture that is accepted, and maxSize its size in bytes.
	maxSide = 32767
	maxSize = 512 << 20
)

// streamProperties say to the session manager what a stream is.
const streamProperties = `media.type = Video media.category = Capture media.role = Screen`

// pipe is a stream. One goroutine at a time calls take, copy and ping; others may call giveBack.
type pipe interface {
	// take reports the state, and takes the newest picture if one is wanted and there is one.
	take(wanted bool) update
	// giveBack gives the buffer of a picture to the producer again.
	giveBack(p *picture)
	// copy reads a part of a picture's data.
	copy(p *picture, dst []byte, from uint64) error
	// ping asks the daemon for an answer, which counts as a pong.
	ping()
	close()
}

// update is what is known of a stream.
type update struct {
	err     error // why the stream has failed
	pongs   uint64
	buffers int    // that the producer has
	dropped uint64 // pictures without data
	serial  uint64 // of a new format, or 0
	format  []byte // the POD of that
	picture *picture
}

// picture is a buffer that the producer has filled. Its numbers are the producer's.
type picture struct {
	slot         int32
	generation   uint32
	pix          []byte         // its data, if it is mapped
	mapping      unsafe.Pointer // what keeps pix mapped, in C memory
	length       uint64         // of its data
	offset, size uint32         // of the valid part
	stride       int32
	format       uint64 // the serial of its format
	whole        bool   // everything may have changed
	damage       [][4]int32
}

// Available returns why PipeWire cannot be used here, or nil.
func Available() error {
	if err := load(libraryName); err != nil {
		return fmt.Errorf("pipewire: %w", err)
	}
	return nil
}

// owner is the session of a compositor or portal that a stream belongs to.
type owner interface {
	// Ping asks for an answer. answered is called by another goroutine.
	Ping(answered func())
	// Lost returns a channel that is closed when the session has ended. Err then says why.
	Lost() <-chan struct{}
	Err() error
	Close()
}

// dial connects to the daemon of a socket. The caller owns the descriptor.
func dial(ctx context.Context, path string) (int, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return -1, fmt.Errorf("connect to PipeWire: %w", err)
	}
	defer func() { _ = c.Close() }()
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return -1, errors.New("connect to PipeWire: no Unix socket")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("connect to PipeWire: %w", err)
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(original uintptr) { fd, dupErr = duplicate(int(original)) }); err != nil {
		return -1, fmt.Errorf("connect to PipeWire: %w", err)
	}
	return fd, dupErr
}

// reason returns why a display could not be opened.
func reason(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, screencast.ErrDenied):
		return capture.ErrDenied
	case errors.Is(err, screencast.ErrSilent), errors.Is(err, screencast.ErrConsent),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return capture.ErrSilent
	case errors.Is(err, screencast.ErrAbsent), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED),
		errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ENODEV):
		return capture.ErrNotFound
	}
	return capture.ErrUnsupported
}

//go:build linux && cgo

package pipewire

/*
#cgo LDFLAGS: -ldl -lpthread
#include <stdlib.h>
#include "pw.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"wavryhost/capture"
)

// libraryName is the library under the name that all versions since 0.3 have. The loader searches its usual path.
const libraryName = "libpipewire-0.3.so.0"

// load loads the library, once.
func load(path string) error {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	if why := C.wavry_pw_load(name); why != nil {
		return fmt.Errorf("%w: %s", capture.ErrUnsupported, C.GoString(why))
	}
	return nil
}

// version returns the version of the loaded library.
func version() string { return C.GoString(C.wavry_pw_version()) }

// stream is a stream of the library.
type stream struct {
	c      *C.wavry_stream
	update *C.wavry_update // Go's memory, without pointers into it
	wake   *os.File
	ended  chan struct{} // closed when the reader of wake has ended
}

var _ pipe = (*stream)(nil)

// openStream opens a stream of a node. It owns the socket. wake is called after each event, by another goroutine.
func openStream(socket int, node uint32, properties string, fps int, wake func()) (pipe, error) {
	if err := load(libraryName); err != nil {
		_ = unix.Close(socket)
		return nil, err
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(socket)
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	s := &stream{update: new(C.wavry_update), wake: os.NewFile(uintptr(fd), "eventfd"), ended: make(chan struct{})}
	text := C.CString(properties)
	defer C.free(unsafe.Pointer(text))
	wanted, answer := formats(fps), buffers()
	var why [C.WAVRY_TEXT]C.char
	cWanted, cAnswer := C.CBytes(wanted), C.CBytes(answer)
	defer C.free(cWanted)
	defer C.free(cAnswer)
	s.c = C.wavry_pw_open(C.int(socket), C.int(fd), C.uint32_t(node), text,
		C.wavry_pods{bytes: (*C.uint8_t)(cWanted), size: C.uint32_t(len(wanted))},
		C.wavry_pods{bytes: (*C.uint8_t)(cAnswer), size: C.uint32_t(len(answer))}, &why[0])
	if s.c == nil {
		_ = s.wake.Close()
		return nil, errors.New("PipeWire: " + C.GoString(&why[0]))
	}
	go func() { // unguarded: it reads and wakes
		defer close(s.ended)
		var b [8]byte
		for {
			if _, err := s.wake.Read(b[:]); err != nil {
				return
			}
			wake()
		}
	}()
	return s, nil
}

// take implements pipe.
func (s *stream) take(wanted bool) update {
	var want C.int
	if wanted {
		want = 1
	}
	before := s.update.format
	C.wavry_pw_take(s.c, want, s.update)
	c := s.update
	u := update{pongs: uint64(c.pongs), buffers: int(c.buffers), dropped: uint64(c.dropped)}
	if c.failure != 0 {
		u.err = fmt.Errorf("%s (%w)", C.GoString(&c.text[0]), syscall.Errno(c.failure))
	}
	if c.format != before {
		pods := unsafe.Pointer(&c.pods)
		u.serial, u.format = uint64(c.format), C.GoBytes(pods, C.int(c.pod))
	}
	if p := &c.picture; p.slot >= 0 {
		u.picture = &picture{
			slot: int32(p.slot), generation: uint32(p.generation), mapping: p.mapping,
			length: uint64(p.length),
			offset: uint32(p.offset), size: uint32(p.size), stride: int32(p.stride), format: uint64(p.format),
			whole: p.whole != 0,
		}
		if p.address != nil {
			u.picture.pix = unsafe.Slice((*byte)(p.address), uint64(p.length))
		}
		for _, d := range p.damage[:p.damages] {
			u.picture.damage = append(u.picture.damage, [4]int32{int32(d[0]), int32(d[1]), int32(d[2]), int32(d[3])})
		}
	}
	return u
}

// giveBack implements pipe.
func (s *stream) giveBack(p *picture) {
	C.wavry_pw_give_back(s.c, C.int32_t(p.slot), C.uint32_t(p.generation))
}

// copy implements pipe.
func (s *stream) copy(p *picture, dst []byte, from uint64) error {
	n := C.wavry_pw_copy(s.c, C.int32_t(p.slot), C.uint32_t(p.generation), C.uint64_t(from),
		unsafe.Pointer(unsafe.SliceData(dst)), C.uint64_t(len(dst)))
	if int64(n) != int64(len(dst)) {
		return fmt.Errorf("%d of %d bytes of a picture could be read", max(0, int64(n)), len(dst))
	}
	return nil
}

// ping implements pipe.
func (s *stream) ping() { C.wavry_pw_ping(s.c) }

// close implements pipe.
func (s *stream) close() {
	C.wavry_pw_close(s.c)
	_ = s.wake.Close()
	<-s.ended
}

// unmap ends the hold of a picture's memory.
func unmap(p *picture) {
	if p.mapping != nil {
		C.wavry_pw_unmap(p.mapping)
		p.mapping, p.pix = nil, nil
	}
}

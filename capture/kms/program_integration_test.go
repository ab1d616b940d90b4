//go:build integration && linux

package kms

import (
	"fmt"
	"image"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"wavryhost/platform/kms/drm"
)

// Requests of programs that draw on a card (drm.h and drm_mode.h).
const (
	ioctlSetMaster  = 0x641e
	ioctlSetCRTC    = 0xc06864a2
	ioctlRemoveFB   = 0xc00464af
	ioctlCreateDumb = 0xc02064b2
	ioctlAddFB2     = 0xc06864b8
	ioctlCursor2    = 0xc02464bb
)

// program is a program that draws on the screen of a card, as a compositor does.
type program struct {
	tb              testing.TB
	fd              int
	modes           []drm.ModeArg
	connector, crtc uint32
}

// canvas is a framebuffer of a program.
type canvas struct {
	width, height int
	id            uint32
	handle        uint32
	pitch         int
	pix           []byte
}

// newProgram starts a program on the first connected output of a card.
func newProgram(tb testing.TB, node string) *program {
	tb.Helper()
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	p := &program{tb: tb, fd: fd}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	p.call(ioctlSetMaster, nil)
	connectors, crtcs := make([]uint32, 16), make([]uint32, 16)
	all := drm.ResourcesArg{
		CountConnectors: 16, CountCRTCs: 16, Connectors: address(p, &connectors[0]), CRTCs: address(p, &crtcs[0]),
	}
	p.call(drm.IoctlGetResources, unsafe.Pointer(&all))
	for _, id := range connectors[:all.CountConnectors] {
		modes := make([]drm.ModeArg, 128)
		c := drm.ConnectorArg{ConnectorID: id}
		p.call(drm.IoctlGetConnector, unsafe.Pointer(&c)) // it asks the monitor
		c = drm.ConnectorArg{ConnectorID: id, CountModes: uint32(len(modes)), Modes: address(p, &modes[0])}
		p.call(drm.IoctlGetConnector, unsafe.Pointer(&c))
		if c.Connection == drm.Connected && p.connector == 0 {
			p.connector, p.modes = id, modes[:c.CountModes]
		}
	}
	if p.connector == 0 || len(p.modes) < 2 || all.CountCRTCs == 0 {
		tb.Fatalf("%s has %d modes, %d CRTCs, and connector %d", node, len(p.modes), all.CountCRTCs, p.connector)
	}
	p.crtc = crtcs[0]
	return p
}

// pointer is the address of memory that stays where it is.
func address[T any](p *program, v *T) uint64 {
	var pinner runtime.Pinner
	pinner.Pin(v)
	p.tb.Cleanup(pinner.Unpin)
	return uint64(uintptr(unsafe.Pointer(v)))
}

func (p *program) try(request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd), request, uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR, unix.EAGAIN:
		default:
			return fmt.Errorf("request %#x: %w", request, errno)
		}
	}
}

func (p *program) call(request uintptr, arg unsafe.Pointer) {
	p.tb.Helper()
	if err := p.try(request, arg); err != nil {
		p.tb.Fatal(err)
	}
}

// canvas makes a framebuffer of four bytes for each pixel.
func (p *program) canvas(width, height int, format uint32) *canvas {
	p.tb.Helper()
	dumb := struct {
		height, width, bits, flags uint32
		handle, pitch              uint32
		size                       uint64
	}{height: uint32(height), width: uint32(width), bits: 32}
	p.call(ioctlCreateDumb, unsafe.Pointer(&dumb))
	fb := drm.FramebufferArg{Width: uint32(width), Height: uint32(height), Format: format}
	fb.Handles[0], fb.Pitches[0] = dumb.handle, dumb.pitch
	p.call(ioctlAddFB2, unsafe.Pointer(&fb))
	where := drm.MapDumbArg{Handle: dumb.handle}
	p.call(drm.IoctlMapDumb, unsafe.Pointer(&where))
	pix, err := unix.Mmap(p.fd, int64(where.Offset), int(dumb.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.tb.Cleanup(func() { _ = unix.Munmap(pix) })
	return &canvas{width, height, fb.FBID, dumb.handle, int(dumb.pitch), pix}
}

// fill paints an area of a canvas whose pixels have four bytes.
func (c *canvas) fill(r image.Rectangle, color uint32) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			*(*uint32)(unsafe.Pointer(&c.pix[y*c.pitch+4*x])) = color
		}
	}
}

// show shows a canvas in a mode.
func (p *program) show(c *canvas, mode drm.ModeArg) {
	p.tb.Helper()
	arg := drm.CRTCArg{
		SetConnectors: address(p, &p.connector), CountConnectors: 1, CRTCID: p.crtc, FBID: c.id, ModeValid: 1, Mode: mode,
	}
	p.call(ioctlSetCRTC, unsafe.Pointer(&arg))
}

// off switches the screen off.
func (p *program) off() {
	p.tb.Helper()
	arg := drm.CRTCArg{CRTCID: p.crtc}
	p.call(ioctlSetCRTC, unsafe.Pointer(&arg))
}

// cursor puts the cursor of a canvas of 64x64 pixels somewhere, with the pixel that points.
func (p *program) cursor(c *canvas, at, hot image.Point) error {
	const shape, move = 1, 2
	arg := struct {
		flags, crtc           uint32
		x, y                  int32
		width, height, handle uint32
		hotX, hotY            int32
	}{
		shape | move, p.crtc, int32(at.X - hot.X), int32(at.Y - hot.Y), uint32(c.width), uint32(c.height), c.handle,
		int32(hot.X), int32(hot.Y),
	}
	return p.try(ioctlCursor2, unsafe.Pointer(&arg))
}

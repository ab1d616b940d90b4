package drm

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"
)

// ModifierInvalid is the modifier of a layout that is the driver's secret (drm_fourcc.h).
const ModifierInvalid = 0x00ffffffffffffff

// maxPlanes is the number of parts that a framebuffer may have.
const maxPlanes = 4

// Framebuffer is a picture that a plane shows. The caller owns the files, each of which is a DMA-BUF.
type Framebuffer struct {
	Width, Height int
	Format        uint32 // drm_fourcc.h
	Modifier      uint64
	Parts         []Part
	Files         []int
}

// Part is a part of a Framebuffer: of formats with several planes, or of compressed ones.
type Part struct {
	File   int    `json:"file"` // the index
	Pitch  uint32 `json:"pitch"`
	Offset uint32 `json:"offset"`
}

// ErrNoHandles means that the process may not have the buffers.
var ErrNoHandles = errors.New("the kernel gives no buffers to this process: it lacks CAP_SYS_ADMIN")

// Close closes the files.
func (f *Framebuffer) Close() {
	for _, fd := range f.Files {
		closeFile(fd)
	}
	f.Files = nil
}

// Framebuffer exports a framebuffer. No handle is left in the card, also after an error.
func (c *Card) Framebuffer(id uint32) (*Framebuffer, error) {
	arg := FramebufferArg{FBID: id}
	if err := c.call(IoctlGetFB2, unsafe.Pointer(&arg)); err != nil {
		return nil, fmt.Errorf("read framebuffer %d: %w", id, err)
	}
	var handles []uint32 // a buffer with several parts has one
	for _, h := range arg.Handles {
		if h != 0 && !slices.Contains(handles, h) {
			handles = append(handles, h)
		}
	}
	defer func() {
		for _, h := range handles {
			arg := GEMCloseArg{Handle: h}
			_ = c.call(IoctlGEMClose, unsafe.Pointer(&arg))
		}
	}()
	if len(handles) == 0 {
		return nil, ErrNoHandles
	}
	f := &Framebuffer{
		Width: coordinate(arg.Width), Height: coordinate(arg.Height), Format: arg.Format, Modifier: ModifierInvalid,
	}
	if arg.Flags&FramebufferModifiers != 0 {
		f.Modifier = arg.Modifiers[0]
	}
	for _, h := range handles {
		prime := PrimeArg{Handle: h, Flags: PrimeCloexec, FD: -1}
		if err := c.call(IoctlPrimeHandleToFD, unsafe.Pointer(&prime)); err != nil {
			f.Close()
			return nil, fmt.Errorf("export framebuffer %d: %w", id, err)
		}
		f.Files = append(f.Files, int(prime.FD))
	}
	for i := range maxPlanes {
		if arg.Handles[i] == 0 {
			break
		}
		f.Parts = append(f.Parts, Part{slices.Index(handles, arg.Handles[i]), arg.Pitches[i], arg.Offsets[i]})
	}
	return f, nil
}

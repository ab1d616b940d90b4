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

// Framebuffer is a picture that a plane shows. The caller owns the files. Each is a DMA-BUF, or a file in memory with a
// copy of the pixels.
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

// Framebuffer exports a framebuffer. No handle is left in the card, also after an error. readable is for callers that
// read the pixels.
//
// Drivers of servers' graphics export no DMA-BUF, and some drivers of virtual machines let no program map it. Programs
// may still map the buffer by the card's own file. That file gives more rights than the daemon needs, so the pixels are
// copied for a caller that reads them: the copy is valid until the next call for the framebuffer.
func (c *Card) Framebuffer(id uint32, readable bool) (*Framebuffer, error) {
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
	err := c.export(f, handles)
	rows := f.Modifier == ModifierLinear || f.Modifier == ModifierInvalid
	if readable && len(handles) == 1 && rows && (err != nil || !mappable(f.Files[0])) {
		size := uint64(arg.Offsets[0]) + uint64(arg.Pitches[0])*uint64(arg.Height)
		if file, cause := c.copyPixels(id, handles[0], size); cause == nil {
			f.Close()
			f.Files, err = []int{file}, nil
		} else {
			err = errors.Join(err, cause)
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("export framebuffer %d: %w", id, err)
	}
	for i := range maxPlanes {
		if arg.Handles[i] == 0 {
			break
		}
		f.Parts = append(f.Parts, Part{slices.Index(handles, arg.Handles[i]), arg.Pitches[i], arg.Offsets[i]})
	}
	return f, nil
}

// export adds a file for each handle.
func (c *Card) export(f *Framebuffer, handles []uint32) error {
	for _, h := range handles {
		prime := PrimeArg{Handle: h, Flags: PrimeCloexec, FD: -1}
		if err := c.call(IoctlPrimeHandleToFD, unsafe.Pointer(&prime)); err != nil {
			return err
		}
		f.Files = append(f.Files, int(prime.FD))
	}
	return nil
}

//go:build linux

// Package kmstest has a fake graphics card. It answers the ioctls that package drm makes, with a file in memory in the
// place of each DMA-BUF.
package kmstest

import (
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"wavryhost/platform/kms"
	"wavryhost/platform/kms/drm"
)

// The IDs of objects.
const (
	connectorBase = 100
	encoderBase   = 200
	crtcBase      = 300
	planeBase     = 400
	propBase      = 500
	fbBase        = 600
)

// Output is a connector of a fake card, with all that drives it.
type Output struct {
	Type, TypeID  uint32 // 11, 1: HDMI-A-1
	Width, Height int    // of the mode
	Refresh       int    // of the mode; 100 if it is 0
	Unplugged     bool
	Off           bool
	Rotation      uint64 // drm.Rotate0 if it is 0
	// FB and Cursor are what the planes show.
	FB, Cursor, Overlay uint32
	// Src is where the picture is in the framebuffer.
	SrcX, SrcY             int
	CursorX, CursorY       int
	CursorHotX, CursorHotY int
}

// FB is a framebuffer. Its handles are the numbers of its buffers, from 1.
type FB struct {
	drm.FramebufferArg
	// Pix is the memory of the first buffer.
	Pix   []byte
	files []int // of the buffers
}

// Card is a fake graphics card. Each call of Open opens it again.
type Card struct {
	Name string
	// Driver is the name of the driver.
	Driver string
	// Render is the card's render node.
	Render kms.RenderNode
	// Legacy cards have no properties of positions, and no vertical blanks.
	Legacy bool

	mu      sync.Mutex // guards the following fields
	outputs []*Output
	fbs     map[uint32]*FB
	next    uint32
	fail    map[uint32]error // by request
	handles int
	open    int
	calls   map[uint32]int
	// unprivileged cards give no handles.
	unprivileged bool
}

// New returns a card with an output HDMI-A-1 that shows a framebuffer of its size.
func New(tb testing.TB, width, height int) *Card {
	tb.Helper()
	c := &Card{
		Name: "0000:00:02.0", Driver: "fake", fbs: make(map[uint32]*FB), fail: make(map[uint32]error),
		calls: make(map[uint32]int),
	}
	c.outputs = []*Output{{Type: 11, TypeID: 1, Width: width, Height: height}}
	c.outputs[0].FB = c.Add(tb, width, height, drm.FormatXRGB8888, 4*width)
	return c
}

// Node returns the card as the helper finds it.
func (c *Card) Node() kms.Node { return kms.Node{Name: c.Name, Render: c.Render, Open: c.Open} }

// Open opens the card.
func (c *Card) Open() (drm.Device, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.fail[0]; err != nil {
		return nil, err
	}
	c.open++
	return &device{card: c, caps: make(map[uint64]bool), handles: make(map[uint32]handle)}, nil
}

// Add adds a framebuffer, and returns its number.
func (c *Card) Add(tb testing.TB, width, height int, format uint32, pitch int) uint32 {
	tb.Helper()
	fd, pix := memory(tb, max(pitch*height, 1))
	f := &FB{files: []int{fd}, Pix: pix}
	f.Width, f.Height, f.Format, f.Flags = uint32(width), uint32(height), format, drm.FramebufferModifiers
	f.Handles[0], f.Pitches[0] = 1, uint32(pitch)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	f.FBID = fbBase + c.next
	c.fbs[f.FBID] = f
	return f.FBID
}

// AddPlane adds a plane to a framebuffer, in a buffer of its own. Planes of the same buffer need Change alone.
func (c *Card) AddPlane(tb testing.TB, fb, pitch, offset uint32, size int) {
	tb.Helper()
	fd, _ := memory(tb, size)
	c.Change(fb, func(f *FB) {
		f.files = append(f.files, fd)
		i := slices.Index(f.Handles[:], 0)
		f.Handles[i], f.Pitches[i], f.Offsets[i] = uint32(len(f.files)), pitch, offset
		f.Modifiers[i] = f.Modifiers[0]
	})
}

// memory returns a file in memory with its map, until the test ends.
func memory(tb testing.TB, size int) (fd int, pix []byte) {
	tb.Helper()
	fd, err := unix.MemfdCreate("fake-dma-buf", unix.MFD_CLOEXEC)
	if err == nil {
		err = unix.Ftruncate(fd, int64(size))
	}
	if err == nil {
		pix, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = unix.Munmap(pix)
		_ = unix.Close(fd)
	})
	return fd, pix
}

// AddOutput adds an output.
func (c *Card) AddOutput(o Output) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outputs = append(c.outputs, &o)
}

// Set changes an output.
func (c *Card) Set(output int, change func(*Output)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c.outputs[output])
}

// Change changes a framebuffer.
func (c *Card) Change(fb uint32, change func(*FB)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c.fbs[fb])
}

// Shown returns the framebuffer that an output shows.
func (c *Card) Shown(output int) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outputs[output].FB
}

// Restore gives the memory of a framebuffer back.
func (c *Card) Restore(tb testing.TB, fb uint32) {
	tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := unix.Ftruncate(c.fbs[fb].files[0], int64(len(c.fbs[fb].Pix))); err != nil {
		tb.Fatal(err)
	}
}

// Truncate takes the memory of a framebuffer away, as a reset of the card may do.
func (c *Card) Truncate(tb testing.TB, fb uint32) {
	tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := unix.Ftruncate(c.fbs[fb].files[0], 0); err != nil {
		tb.Fatal(err)
	}
}

// Fail makes a request fail, or work again if err is nil. The request 0 is the opening of the card.
func (c *Card) Fail(request uint32, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail[request] = err
}

// Deny takes the privilege to get buffers.
func (c *Card) Deny() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unprivileged = true
}

// Held returns how many handles and devices are open.
func (c *Card) Held() (handles, devices int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handles, c.open
}

// Calls returns how many times a request was made.
func (c *Card) Calls(request uint32) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[request]
}

// device is an open card.
type device struct {
	card    *Card
	caps    map[uint64]bool
	handles map[uint32]handle
	next    uint32
	closed  bool
}

// handle is a buffer of a framebuffer.
type handle struct {
	fb   *FB
	file int
}

// Close implements drm.Device.
func (d *device) Close() error {
	d.card.mu.Lock()
	defer d.card.mu.Unlock()
	if d.closed {
		return unix.EBADF
	}
	d.closed = true
	d.card.open--
	d.card.handles -= len(d.handles)
	return nil
}

// Map implements drm.Device. The offset has the number of the framebuffer.
func (d *device) Map(offset uint64, size int) ([]byte, error) {
	d.card.mu.Lock()
	defer d.card.mu.Unlock()
	fb := d.card.fbs[uint32(offset>>mapShift)]
	if fb == nil {
		return nil, unix.EINVAL
	}
	return unix.Mmap(fb.files[0], 0, size, unix.PROT_READ, unix.MAP_SHARED)
}

// mapShift is the place of a framebuffer's number in the offset of its map.
const mapShift = 20

// Ioctl implements drm.Device.
func (d *device) Ioctl(request uint32, arg unsafe.Pointer) error {
	if request == drm.IoctlWaitVBlank {
		return d.waitVBlank((*drm.WaitVBlankArg)(arg))
	}
	c := d.card
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[request]++
	switch err := c.fail[request]; {
	case d.closed:
		return unix.EBADF
	case err != nil:
		return err
	}
	switch request {
	case drm.IoctlDropMaster:
	case drm.IoctlVersion:
		a := (*drm.VersionArg)(arg)
		store(a.Name, a.NameLen, []byte(c.Driver))
		a.NameLen = uint64(len(c.Driver))
	case drm.IoctlSetClientCap:
		a := (*drm.ClientCapArg)(arg)
		if c.Legacy && a.Capability != drm.CapUniversalPlanes {
			return unix.EOPNOTSUPP
		}
		d.caps[a.Capability] = a.Value != 0
	case drm.IoctlGetResources:
		c.resources((*drm.ResourcesArg)(arg))
	case drm.IoctlGetConnector:
		return c.connector((*drm.ConnectorArg)(arg))
	case drm.IoctlGetEncoder:
		return c.encoder((*drm.EncoderArg)(arg))
	case drm.IoctlGetCRTC:
		return c.crtc((*drm.CRTCArg)(arg))
	case drm.IoctlGetPlanes:
		a := (*drm.PlanesArg)(arg)
		if d.caps[drm.CapUniversalPlanes] {
			a.Count = list(a.Planes, a.Count, planeBase, 3*len(c.outputs))
		}
	case drm.IoctlGetPlane:
		return c.plane((*drm.PlaneArg)(arg))
	case drm.IoctlObjectProperties:
		return d.properties((*drm.ObjectPropertiesArg)(arg))
	case drm.IoctlGetProperty:
		a := (*drm.PropertyArg)(arg)
		copy(a.Name[:], properties[a.PropertyID-propBase])
	case drm.IoctlGetFB2:
		return d.getFB((*drm.FramebufferArg)(arg))
	case drm.IoctlPrimeHandleToFD:
		a := (*drm.PrimeArg)(arg)
		h, ok := d.handles[a.Handle]
		if !ok {
			return unix.ENOENT
		}
		fd, err := unix.FcntlInt(uintptr(h.file), unix.F_DUPFD_CLOEXEC, 0)
		a.FD = int32(fd)
		return err
	case drm.IoctlMapDumb:
		a := (*drm.MapDumbArg)(arg)
		h, ok := d.handles[a.Handle]
		if !ok {
			return unix.ENOENT
		}
		a.Offset = uint64(h.fb.FBID) << mapShift
	case drm.IoctlGEMClose:
		a := (*drm.GEMCloseArg)(arg)
		if _, ok := d.handles[a.Handle]; !ok {
			return unix.EINVAL
		}
		delete(d.handles, a.Handle)
		c.handles--
	default:
		return unix.ENOTTY
	}
	return nil
}

func (d *device) waitVBlank(a *drm.WaitVBlankArg) error {
	c := d.card
	c.mu.Lock()
	c.calls[drm.IoctlWaitVBlank]++
	err := c.fail[drm.IoctlWaitVBlank]
	index := int(a.Type & 0x3e >> 1)
	if c.Legacy || index >= len(c.outputs) || a.Type&1 == 0 || a.Sequence != 1 {
		err = unix.EINVAL
	}
	var frame time.Duration
	if err == nil {
		frame = time.Second / time.Duration(c.outputs[index].refresh())
	}
	c.mu.Unlock()
	if err == nil {
		<-time.After(frame)
	}
	return err
}

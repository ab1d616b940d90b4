//go:build linux

package kmstest

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"wavryhost/platform/kms/drm"
)

// properties are the names of a plane's properties. From atomicFrom on, only atomic cards have them.
var properties = []string{
	"type", "rotation", "CRTC_X", "CRTC_Y", "SRC_X", "SRC_Y", "SRC_W", "SRC_H", "HOTSPOT_X", "HOTSPOT_Y",
}

const atomicFrom, hotspotFrom = 1, 8

// store writes to memory of a request.
func store[T any](to uint64, room uint64, values []T) {
	if to == 0 {
		return
	}
	// The address is that of memory which the caller has pinned.
	memory := *(*unsafe.Pointer)(unsafe.Pointer(&to))
	copy(unsafe.Slice((*T)(memory), room), values)
}

// list stores consecutive IDs, if there is room for all, and returns their number.
func list(to uint64, room uint32, first, n int) uint32 {
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(first + i)
	}
	if int(room) >= n {
		store(to, uint64(room), ids)
	}
	return uint32(n)
}

func (o *Output) refresh() int {
	if o.Refresh == 0 {
		return 100
	}
	return o.Refresh
}

func (c *Card) resources(a *drm.ResourcesArg) {
	n := len(c.outputs)
	a.CountConnectors = list(a.Connectors, a.CountConnectors, connectorBase, n)
	a.CountEncoders = list(a.Encoders, a.CountEncoders, encoderBase, n)
	a.CountCRTCs = list(a.CRTCs, a.CountCRTCs, crtcBase, n)
}

// output returns the output of an object.
func (c *Card) output(id uint32, base int) (*Output, error) {
	if i := int(id) - base; i >= 0 && i < len(c.outputs) {
		return c.outputs[i], nil
	}
	return nil, unix.ENOENT
}

func (c *Card) connector(a *drm.ConnectorArg) error {
	o, err := c.output(a.ConnectorID, connectorBase)
	if err != nil {
		return err
	}
	if a.CountModes == 0 { // the kernel would ask the monitor
		return unix.EDEADLK
	}
	a.Type, a.TypeID, a.Connection, a.CountModes = o.Type, o.TypeID, drm.Connected, 40
	if o.Unplugged {
		a.Connection, a.CountModes = 2, 0
	}
	if !o.Off {
		a.EncoderID = a.ConnectorID - connectorBase + encoderBase
	}
	return nil
}

func (c *Card) encoder(a *drm.EncoderArg) error {
	_, err := c.output(a.EncoderID, encoderBase)
	a.CRTCID = a.EncoderID - encoderBase + crtcBase
	return err
}

func (c *Card) crtc(a *drm.CRTCArg) error {
	o, err := c.output(a.CRTCID, crtcBase)
	if err != nil || o.Off {
		return err
	}
	a.ModeValid, a.X, a.Y, a.FBID = 1, uint32(o.SrcX), uint32(o.SrcY), o.FB
	a.Mode.HDisplay, a.Mode.VDisplay, a.Mode.VRefresh = uint16(o.Width), uint16(o.Height), uint32(o.refresh())
	return nil
}

// planeOf returns the output of a plane, and its kind.
func (c *Card) planeOf(id uint32) (*Output, uint64, int, error) {
	i := int(id) - planeBase
	if i < 0 || i >= 3*len(c.outputs) {
		return nil, 0, 0, unix.ENOENT
	}
	return c.outputs[i/3], uint64(i % 3), i / 3, nil
}

func (c *Card) plane(a *drm.PlaneArg) error {
	o, kind, i, err := c.planeOf(a.PlaneID)
	if err != nil {
		return err
	}
	if !o.Off {
		a.FBID = []uint32{drm.PlaneOverlay: o.Overlay, drm.PlanePrimary: o.FB, drm.PlaneCursor: o.Cursor}[kind]
	}
	if a.FBID != 0 {
		a.CRTCID = uint32(crtcBase + i)
	}
	return nil
}

func (d *device) properties(a *drm.ObjectPropertiesArg) error {
	if a.ObjectType != drm.ObjectPlane {
		return unix.EINVAL
	}
	o, kind, _, err := d.card.planeOf(a.ObjectID)
	if err != nil {
		return err
	}
	rotation := o.Rotation
	if rotation == 0 {
		rotation = drm.Rotate0
	}
	values := []uint64{kind, rotation, 0, 0, 0, 0, 0, 0, 0, 0}
	switch kind {
	case drm.PlanePrimary:
		values[4], values[5] = uint64(o.SrcX)<<16, uint64(o.SrcY)<<16
		values[6], values[7] = uint64(o.Width)<<16, uint64(o.Height)<<16
	case drm.PlaneCursor:
		// The kernel extends the sign of signed properties to all 64 bits.
		values[2], values[3] = uint64(int64(o.CursorX)), uint64(int64(o.CursorY))
		values[8], values[9] = uint64(int64(o.CursorHotX)), uint64(int64(o.CursorHotY))
	}
	switch {
	case !d.caps[drm.CapAtomic]:
		values = values[:atomicFrom]
	case !d.caps[drm.CapCursorHotspot] || kind != drm.PlaneCursor:
		values = values[:hotspotFrom]
	}
	n := list(a.Props, a.Count, propBase, len(values))
	if a.Count >= n {
		store(a.Values, uint64(a.Count), values)
	}
	a.Count = n
	return nil
}

// getFB returns a framebuffer with new handles. Parts in the same buffer have the same handle.
func (d *device) getFB(a *drm.FramebufferArg) error {
	fb := d.card.fbs[a.FBID]
	if fb == nil {
		return unix.ENOENT
	}
	*a = fb.FramebufferArg
	if d.card.unprivileged {
		a.Handles = [4]uint32{}
		return nil
	}
	first := d.next + 1
	for i, n := range a.Handles {
		if n != 0 {
			a.Handles[i] = first + n - 1
			d.next = max(d.next, a.Handles[i])
		}
	}
	for n := first; n <= d.next; n++ {
		d.handles[n] = handle{fb, fb.files[n-first]}
		d.card.handles++
	}
	return nil
}

// Package drm reads the state of Linux graphics cards: what their planes show on which connector, and the buffers that
// they show. It changes nothing.
//
// The structures match the kernel's drm.h and drm_mode.h. A Device answers the ioctls; tests have a fake one.
package drm

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

// Device answers ioctls. It may be used concurrently.
type Device interface {
	Ioctl(request uint32, arg unsafe.Pointer) error
	// Map maps a buffer at an offset that the device has answered with. The caller must call unix.Munmap.
	Map(offset uint64, size int) ([]byte, error)
	Close() error
}

// maxObjects bounds the objects of one kind on a card. Cards have some dozens.
const maxObjects = 1024

// Card is a graphics card. It may be used concurrently, but for Framebuffer.
type Card struct {
	dev    Device
	driver string
	planes []plane
	copies copies
}

// plane is a plane of a card. Its type and the IDs of its properties do not change.
type plane struct {
	id    uint32
	kind  uint64
	props map[string]uint32
}

// New returns the card of a device. It owns the device, also after an error.
func New(dev Device) (*Card, error) {
	c := &Card{dev: dev}
	if err := c.open(); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return c, nil
}

func (c *Card) open() error {
	// The first process that opens a card becomes its master. A compositor that starts later could not become that.
	// The call fails for a process that is not the master.
	_ = c.dev.Ioctl(IoctlDropMaster, nil)
	name := make([]byte, 64)
	version := VersionArg{NameLen: uint64(len(name))}
	err := c.call(IoctlVersion, unsafe.Pointer(&version), ref(&version.Name, name))
	if err != nil {
		return fmt.Errorf("read the driver's version: %w", err)
	}
	c.driver = string(name[:min(version.NameLen, uint64(len(name)))])
	universal := ClientCapArg{CapUniversalPlanes, 1}
	if err := c.call(IoctlSetClientCap, unsafe.Pointer(&universal)); err != nil {
		return fmt.Errorf("driver %s has no modesetting: %w", c.driver, err)
	}
	// Drivers without these have no positions of cursors, or no hot spots.
	for _, capability := range []uint64{CapAtomic, CapCursorHotspot} {
		arg := ClientCapArg{capability, 1}
		_ = c.call(IoctlSetClientCap, unsafe.Pointer(&arg))
	}
	return c.findPlanes()
}

// findPlanes reads the planes and the names of their properties.
func (c *Card) findPlanes() error {
	var arg PlanesArg
	if err := c.call(IoctlGetPlanes, unsafe.Pointer(&arg)); err != nil {
		return fmt.Errorf("list planes: %w", err)
	}
	ids := make([]uint32, min(arg.Count, maxObjects))
	arg.Count = uint32(len(ids))
	if err := c.call(IoctlGetPlanes, unsafe.Pointer(&arg), ref(&arg.Planes, ids)); err != nil {
		return fmt.Errorf("list planes: %w", err)
	}
	names := make(map[uint32]string)
	for _, id := range ids[:min(int(arg.Count), len(ids))] {
		values, err := c.properties(id, 0)
		if err != nil {
			return err
		}
		p := plane{id: id, props: make(map[string]uint32)}
		for prop, value := range values {
			if names[prop] == "" {
				arg := PropertyArg{PropertyID: prop}
				if err := c.call(IoctlGetProperty, unsafe.Pointer(&arg)); err != nil {
					return fmt.Errorf("read property %d: %w", prop, err)
				}
				names[prop], _, _ = strings.Cut(string(arg.Name[:]), "\x00")
			}
			p.props[names[prop]] = prop
			if names[prop] == "type" {
				p.kind = value
			}
		}
		c.planes = append(c.planes, p)
	}
	return nil
}

// properties returns the values of a plane's properties, by their IDs. expected is their number, or 0.
func (c *Card) properties(plane uint32, expected int) (map[uint32]uint64, error) {
	for {
		ids, values := make([]uint32, expected), make([]uint64, expected)
		arg := ObjectPropertiesArg{ObjectID: plane, ObjectType: ObjectPlane, Count: uint32(expected)}
		err := c.call(IoctlObjectProperties, unsafe.Pointer(&arg), ref(&arg.Props, ids), ref(&arg.Values, values))
		if err != nil {
			return nil, fmt.Errorf("read the properties of plane %d: %w", plane, err)
		}
		n := int(min(arg.Count, maxObjects))
		if n > expected { // the kernel has stored none
			expected = n
			continue
		}
		all := make(map[uint32]uint64, n)
		for i := range n {
			all[ids[i]] = values[i]
		}
		return all, nil
	}
}

// Driver returns the name of the driver.
func (c *Card) Driver() string { return c.driver }

// Close closes the device.
func (c *Card) Close() error {
	c.copies.close()
	return c.dev.Close()
}

// Connector is a connector of a card.
type Connector struct {
	ID        uint32
	Name      string // HDMI-A-1
	Connected bool
	encoder   uint32
}

// connectorTypes are the names by drm_mode.h's numbers, as the kernel's.
var connectorTypes = [...]string{
	"Unknown", "VGA", "DVI-I", "DVI-D", "DVI-A", "Composite", "SVIDEO", "LVDS", "Component", "DIN", "DP", "HDMI-A",
	"HDMI-B", "TV", "eDP", "Virtual", "DSI", "DPI", "Writeback", "SPI", "USB",
}

// Connectors returns the connectors.
func (c *Card) Connectors() ([]Connector, error) {
	ids, _, err := c.resources()
	if err != nil {
		return nil, err
	}
	var all []Connector
	for _, id := range ids {
		one, err := c.Connector(id)
		if errors.Is(err, syscall.ENOENT) { // a monitor of a DisplayPort chain has just gone
			continue
		} else if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func (c *Card) resources() (connectors, crtcs []uint32, err error) {
	var arg ResourcesArg
	if err := c.call(IoctlGetResources, unsafe.Pointer(&arg)); err != nil {
		return nil, nil, fmt.Errorf("list connectors: %w", err)
	}
	connectors = make([]uint32, min(arg.CountConnectors, maxObjects))
	crtcs = make([]uint32, min(arg.CountCRTCs, maxObjects))
	arg = ResourcesArg{CountConnectors: uint32(len(connectors)), CountCRTCs: uint32(len(crtcs))}
	err = c.call(IoctlGetResources, unsafe.Pointer(&arg), ref(&arg.Connectors, connectors), ref(&arg.CRTCs, crtcs))
	if err != nil {
		return nil, nil, fmt.Errorf("list connectors: %w", err)
	}
	return connectors[:min(int(arg.CountConnectors), len(connectors))], crtcs[:min(int(arg.CountCRTCs), len(crtcs))], nil
}

// Connector reads a connector, as the driver last saw it.
func (c *Card) Connector(id uint32) (Connector, error) {
	// Without room for modes the kernel would ask the monitor, which takes a tenth of a second.
	mode := make([]ModeArg, 1)
	arg := ConnectorArg{ConnectorID: id, CountModes: 1}
	if err := c.call(IoctlGetConnector, unsafe.Pointer(&arg), ref(&arg.Modes, mode)); err != nil {
		return Connector{}, fmt.Errorf("read connector %d: %w", id, err)
	}
	kind := "Unknown"
	if int64(arg.Type) < int64(len(connectorTypes)) {
		kind = connectorTypes[arg.Type]
	}
	return Connector{id, fmt.Sprintf("%s-%d", kind, arg.TypeID), arg.Connection == Connected, arg.EncoderID}, nil
}

// Pipe is what drives a connector: a CRTC with its planes.
type Pipe struct {
	Width, Height int // of the mode, in pixels
	Refresh       int // of the mode, in Hz
	// Overlays is the number of planes in use besides those below.
	Overlays int

	crtc            uint32
	index           uint32 // of the CRTC
	x, y            uint32 // in the framebuffer, for drivers without the properties of planes
	primary, cursor *plane
}

// ErrOff means that nothing drives a connector.
var ErrOff = errors.New("it is switched off")

// Pipe returns what drives a connector. The error wraps ErrOff if it is connected and off.
func (c *Card) Pipe(con Connector) (*Pipe, error) {
	if con.encoder == 0 {
		return nil, ErrOff
	}
	encoder := EncoderArg{EncoderID: con.encoder}
	if err := c.call(IoctlGetEncoder, unsafe.Pointer(&encoder)); err != nil {
		return nil, fmt.Errorf("read encoder %d: %w", con.encoder, err)
	}
	if encoder.CRTCID == 0 {
		return nil, ErrOff
	}
	crtc := CRTCArg{CRTCID: encoder.CRTCID}
	if err := c.call(IoctlGetCRTC, unsafe.Pointer(&crtc)); err != nil {
		return nil, fmt.Errorf("read CRTC %d: %w", crtc.CRTCID, err)
	}
	if crtc.ModeValid == 0 {
		return nil, ErrOff
	}
	_, crtcs, err := c.resources()
	if err != nil {
		return nil, err
	}
	p := &Pipe{
		Width: int(crtc.Mode.HDisplay), Height: int(crtc.Mode.VDisplay), Refresh: int(min(crtc.Mode.VRefresh, 1000)),
		crtc: crtc.CRTCID, index: uint32(max(0, slices.Index(crtcs, crtc.CRTCID))), x: crtc.X, y: crtc.Y,
	}
	for i := range c.planes {
		one := &c.planes[i]
		arg := PlaneArg{PlaneID: one.id}
		if err := c.call(IoctlGetPlane, unsafe.Pointer(&arg)); err != nil {
			return nil, fmt.Errorf("read plane %d: %w", one.id, err)
		}
		switch {
		case arg.CRTCID != p.crtc || arg.FBID == 0:
		case one.kind == PlanePrimary && p.primary == nil:
			p.primary = one
		case one.kind == PlaneCursor && p.cursor == nil:
			p.cursor = one
		case one.kind != PlaneCursor:
			p.Overlays++
		}
	}
	if p.primary == nil {
		return nil, ErrOff
	}
	return p, nil
}

// Shown is what a plane shows.
type Shown struct {
	FB   uint32 // 0 for nothing
	X, Y int    // of the plane on the screen, in pixels
	// The part of the framebuffer, in pixels.
	SrcX, SrcY, SrcWidth, SrcHeight int
	Rotation                        uint64 // a set of bits of drm_mode.h
	HotX, HotY                      int
}

// Primary returns what the main plane shows.
func (c *Card) Primary(p *Pipe) (Shown, error) {
	s, err := c.shown(p, p.primary)
	if s.SrcWidth == 0 || s.SrcHeight == 0 { // the driver has no such properties
		s.SrcX, s.SrcY, s.SrcWidth, s.SrcHeight = coordinate(p.x), coordinate(p.y), p.Width, p.Height
	}
	return s, err
}

// Cursor returns what the plane of the cursor shows: nothing, if the driver does not say where that is.
func (c *Card) Cursor(p *Pipe) (Shown, error) {
	if p.cursor == nil || p.cursor.props["CRTC_X"] == 0 {
		return Shown{}, nil
	}
	return c.shown(p, p.cursor)
}

func (c *Card) shown(p *Pipe, one *plane) (Shown, error) {
	s := Shown{Rotation: Rotate0}
	arg := PlaneArg{PlaneID: one.id}
	if err := c.call(IoctlGetPlane, unsafe.Pointer(&arg)); err != nil {
		return s, fmt.Errorf("read plane %d: %w", one.id, err)
	}
	if arg.CRTCID != p.crtc {
		return s, nil
	}
	s.FB = arg.FBID
	values, err := c.properties(one.id, len(one.props))
	if err != nil {
		return s, err
	}
	// Positions are signed, and parts of framebuffers have 16 bits behind the point.
	signed := func(name string) int { return int(int32(uint32(values[one.props[name]]))) }
	fixed := func(name string) int { return int(uint32(values[one.props[name]]) >> 16) }
	s.X, s.Y = signed("CRTC_X"), signed("CRTC_Y")
	s.SrcX, s.SrcY, s.SrcWidth, s.SrcHeight = fixed("SRC_X"), fixed("SRC_Y"), fixed("SRC_W"), fixed("SRC_H")
	s.HotX, s.HotY = signed("HOTSPOT_X"), signed("HOTSPOT_Y")
	if prop, ok := one.props["rotation"]; ok {
		s.Rotation = values[prop]
	}
	return s, nil
}

// coordinate converts a number that should be small.
func coordinate(n uint32) int { return int(min(n, math.MaxInt32)) }

// WaitVBlank waits for the next vertical blank. It fails on cards that have none, and when the screen is off.
func (c *Card) WaitVBlank(p *Pipe) error {
	// The lowest bit of the type has the kind, and the next five the number of the CRTC.
	arg := WaitVBlankArg{Type: VBlankRelative | p.index<<1&0x3e, Sequence: 1}
	return c.call(IoctlWaitVBlank, unsafe.Pointer(&arg))
}

// reference stores the address of memory in a structure for the kernel.
type reference func(*runtime.Pinner)

// ref has the address of a slice stored in a field during a call.
func ref[T any](field *uint64, memory []T) reference {
	return func(p *runtime.Pinner) {
		*field = 0
		if len(memory) > 0 {
			p.Pin(&memory[0])
			*field = uint64(uintptr(unsafe.Pointer(&memory[0])))
		}
	}
}

// call makes an ioctl whose structure refers to memory.
func (c *Card) call(request uint32, arg unsafe.Pointer, refs ...reference) error {
	var p runtime.Pinner
	defer p.Unpin()
	for _, r := range refs {
		r(&p)
	}
	return c.dev.Ioctl(request, arg)
}

//go:build linux

package drm_test

import (
	"errors"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"wavryhost/platform/kms/drm"
	"wavryhost/platform/kms/kmstest"
)

// The size of a structure is in the number of its request, in bits 16 to 29, which is the kernel's.
func TestStructuresAreTheKernels(t *testing.T) {
	for _, tt := range []struct {
		request, size uintptr
	}{
		{drm.IoctlVersion, unsafe.Sizeof(drm.VersionArg{})},
		{drm.IoctlGEMClose, unsafe.Sizeof(drm.GEMCloseArg{})},
		{drm.IoctlSetClientCap, unsafe.Sizeof(drm.ClientCapArg{})},
		{drm.IoctlDropMaster, 0},
		{drm.IoctlPrimeHandleToFD, unsafe.Sizeof(drm.PrimeArg{})},
		{drm.IoctlWaitVBlank, unsafe.Sizeof(drm.WaitVBlankArg{})},
		{drm.IoctlGetResources, unsafe.Sizeof(drm.ResourcesArg{})},
		{drm.IoctlGetCRTC, unsafe.Sizeof(drm.CRTCArg{})},
		{drm.IoctlGetEncoder, unsafe.Sizeof(drm.EncoderArg{})},
		{drm.IoctlGetConnector, unsafe.Sizeof(drm.ConnectorArg{})},
		{drm.IoctlGetProperty, unsafe.Sizeof(drm.PropertyArg{})},
		{drm.IoctlGetPlanes, unsafe.Sizeof(drm.PlanesArg{})},
		{drm.IoctlGetPlane, unsafe.Sizeof(drm.PlaneArg{})},
		{drm.IoctlObjectProperties, unsafe.Sizeof(drm.ObjectPropertiesArg{})},
		{drm.IoctlGetFB2, unsafe.Sizeof(drm.FramebufferArg{})},
		{drm.IoctlMapDumb, unsafe.Sizeof(drm.MapDumbArg{})},
	} {
		if want := tt.request >> 16 & (1<<14 - 1); tt.size != want {
			t.Errorf("request %#x: got a structure of %d bytes; want %d", tt.request, tt.size, want)
		}
		if kind := tt.request >> 8 & 0xff; kind != 'd' {
			t.Errorf("request %#x is not one of DRM", tt.request)
		}
	}
	// Offsets by the C compiler, with libdrm 2.4.114 on amd64. drm_mode_modeinfo is in no request itself.
	for name, tt := range map[string][2]uintptr{
		"drm_mode_fb_cmd2.modifier":         {unsafe.Offsetof(drm.FramebufferArg{}.Modifiers), 72},
		"drm_mode_fb_cmd2.handles":          {unsafe.Offsetof(drm.FramebufferArg{}.Handles), 20},
		"drm_mode_get_connector.connection": {unsafe.Offsetof(drm.ConnectorArg{}.Connection), 60},
		"drm_mode_get_property.name":        {unsafe.Offsetof(drm.PropertyArg{}.Name), 24},
		"drm_mode_crtc.mode":                {unsafe.Offsetof(drm.CRTCArg{}.Mode), 36},
		"drm_mode_modeinfo":                 {unsafe.Sizeof(drm.ModeArg{}), 68},
		"drm_version.desc":                  {unsafe.Offsetof(drm.VersionArg{}.Desc), 56},
	} {
		if tt[0] != tt[1] {
			t.Errorf("%s: got %d; want %d", name, tt[0], tt[1])
		}
	}
}

func open(t *testing.T, k *kmstest.Card) *drm.Card {
	t.Helper()
	dev, err := k.Open()
	if err != nil {
		t.Fatal(err)
	}
	c, err := drm.New(dev)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if handles, devices := k.Held(); handles != 0 || devices != 0 {
			t.Errorf("%d handles and %d devices are left", handles, devices)
		}
	})
	return c
}

// pipe returns the pipe of the connector of a name.
func pipe(t *testing.T, c *drm.Card, name string) (*drm.Pipe, error) {
	t.Helper()
	list, err := c.Connectors()
	if err != nil {
		t.Fatal(err)
	}
	for _, con := range list {
		if con.Name == name {
			return c.Pipe(con)
		}
	}
	t.Fatalf("got %+v; want one of the name %s", list, name)
	return nil, nil
}

// A desktop over two monitors is one framebuffer, of which each shows a part.
func TestCard(t *testing.T) {
	k := kmstest.New(t, 640, 480)
	wide := k.Add(t, 1440, 600, drm.FormatXRGB8888, 4*1440)
	cursor := k.Add(t, 64, 64, drm.FormatARGB8888, 256)
	k.AddOutput(kmstest.Output{
		Type: 10, TypeID: 2, Width: 800, Height: 600, Refresh: 75, FB: wide, Overlay: wide, SrcX: 640, SrcY: 3,
		Cursor: cursor, CursorX: -5, CursorY: 70, CursorHotX: 3, CursorHotY: 4,
	})
	k.AddOutput(kmstest.Output{Type: 99, TypeID: 1, Unplugged: true, Off: true})
	c := open(t, k)
	if c.Driver() != "fake" || k.Calls(drm.IoctlDropMaster) != 1 {
		t.Errorf("driver %q, master dropped %d times; want fake, once", c.Driver(), k.Calls(drm.IoctlDropMaster))
	}
	list, err := c.Connectors()
	if err != nil || len(list) != 3 || list[0].Name != "HDMI-A-1" || list[1].Name != "DP-2" ||
		list[2].Name != "Unknown-1" || !list[1].Connected || list[2].Connected {
		t.Fatalf("got %+v, %v", list, err)
	}
	if _, err := pipe(t, c, "Unknown-1"); !errors.Is(err, drm.ErrOff) {
		t.Errorf("got %v; want %v", err, drm.ErrOff)
	}
	p, err := pipe(t, c, "DP-2")
	if err != nil {
		t.Fatal(err)
	}
	if p.Width != 800 || p.Height != 600 || p.Refresh != 75 || p.Overlays != 1 {
		t.Errorf("got %+v", p)
	}
	got, err := c.Primary(p)
	want := drm.Shown{FB: wide, SrcX: 640, SrcY: 3, SrcWidth: 800, SrcHeight: 600, Rotation: drm.Rotate0}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	got, err = c.Cursor(p)
	want = drm.Shown{FB: cursor, X: -5, Y: 70, HotX: 3, HotY: 4, Rotation: drm.Rotate0}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if err := c.WaitVBlank(p); err != nil {
		t.Error(err)
	}
}

// Drivers without atomic modesetting say where the picture is, and not where the cursor is.
func TestLegacyCard(t *testing.T) {
	k := kmstest.New(t, 640, 480)
	k.Legacy = true
	k.Set(0, func(o *kmstest.Output) { o.SrcX, o.Cursor = 100, o.FB })
	c := open(t, k)
	p, err := pipe(t, c, "HDMI-A-1")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.Primary(p); err != nil || s.SrcX != 100 || s.SrcWidth != 640 || s.SrcHeight != 480 {
		t.Errorf("got %+v, %v", s, err)
	}
	if s, err := c.Cursor(p); err != nil || s.FB != 0 {
		t.Errorf("got %+v, %v; want no cursor", s, err)
	}
	if err := c.WaitVBlank(p); err == nil {
		t.Error("got a vertical blank of a card that has none")
	}
}

func TestFramebuffers(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	fb := k.Add(t, 64, 48, drm.FormatXRGB8888, 256)
	k.Change(fb, func(f *kmstest.FB) { // two parts in one buffer, as compressed formats have
		f.Handles[1], f.Pitches[1], f.Offsets[1], f.Modifiers[0] = 1, 64, 4096, 1<<56|8
	})
	c := open(t, k)
	f, err := c.Framebuffer(fb, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Files) != 1 || len(f.Parts) != 2 || f.Parts[1] != (drm.Part{File: 0, Pitch: 64, Offset: 4096}) ||
		f.Modifier != 1<<56|8 || f.Width != 64 || f.Height != 48 {
		t.Errorf("got %+v", f)
	}
	f.Close()
	k.Change(fb, func(f *kmstest.FB) { f.Flags = 0 })
	if f, err := c.Framebuffer(fb, true); err != nil || f.Modifier != drm.ModifierInvalid {
		t.Errorf("got %+v, %v; want no modifier", f, err)
	} else {
		f.Close()
	}
	before := descriptors(t)
	for _, tt := range []struct {
		name string
		id   uint32
		fail func()
		err  error
	}{
		{"no such framebuffer", 9999, func() {}, unix.ENOENT},
		{"export and map fail", fb, func() {
			k.Fail(drm.IoctlPrimeHandleToFD, unix.ENOSYS)
			k.Fail(drm.IoctlMapDumb, unix.ENOTTY)
		}, unix.ENOTTY},
		{"no privilege", fb, k.Deny, drm.ErrNoHandles},
	} {
		tt.fail()
		if f, err := c.Framebuffer(tt.id, true); !errors.Is(err, tt.err) {
			t.Errorf("%s: got %+v, %v; want %v", tt.name, f, err, tt.err)
		}
		if handles, _ := k.Held(); handles != 0 {
			t.Errorf("%s: %d handles are left", tt.name, handles)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open; want %d", after, before)
	}
}

// The pixels of a buffer without a DMA-BUF are copied. The files are used again for the same framebuffers, and bounded.
func TestFramebuffersAreCopied(t *testing.T) {
	k := kmstest.New(t, 64, 48)
	k.Fail(drm.IoctlPrimeHandleToFD, unix.ENOSYS)
	c := open(t, k)
	read := func(fb uint32) (first byte, inode uint64) {
		t.Helper()
		f, err := c.Framebuffer(fb, true)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var stat unix.Stat_t
		pixels := make([]byte, 64*48*4+1)
		n, err := unix.Pread(f.Files[0], pixels, 0)
		if err != nil || n != len(pixels)-1 || unix.Fstat(f.Files[0], &stat) != nil {
			t.Fatalf("got %d bytes, %v", n, err)
		}
		return pixels[0], stat.Ino
	}
	fbs := []uint32{k.Shown(0)}
	for len(fbs) < 9 {
		fbs = append(fbs, k.Add(t, 64, 48, drm.FormatXRGB8888, 256))
	}
	before := descriptors(t)
	files := make(map[uint32]uint64)
	for color := range byte(3) {
		for _, fb := range fbs[:3] {
			k.Change(fb, func(f *kmstest.FB) { f.Pix[0] = color })
			got, inode := read(fb)
			if got != color || color > 0 && inode != files[fb] {
				t.Errorf("framebuffer %d: got color %d in file %d; want %d in %d", fb, got, inode, color, files[fb])
			}
			files[fb] = inode
		}
	}
	for _, fb := range fbs {
		read(fb)
	}
	if n := descriptors(t) - before; n != 6 {
		t.Errorf("%d descriptors are open; want 6", n)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// Cards that cannot be used are closed.
func TestCardsThatCannotBeUsed(t *testing.T) {
	for name, request := range map[string]uint32{
		"version": drm.IoctlVersion, "no modesetting": drm.IoctlSetClientCap, "planes": drm.IoctlGetPlanes,
		"properties": drm.IoctlObjectProperties, "names": drm.IoctlGetProperty,
	} {
		k := kmstest.New(t, 64, 48)
		k.Fail(request, unix.EOPNOTSUPP)
		dev, err := k.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := drm.New(dev); !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, devices := k.Held(); devices != 0 {
			t.Errorf("%s: the device is open", name)
		}
	}
}

func TestNames(t *testing.T) {
	for m, want := range map[uint64]string{
		drm.ModifierLinear: "linear", drm.ModifierInvalid: "not known", 1<<56 | 2: "0x100000000000002 (Intel)",
		99 << 56: "0x6300000000000000",
	} {
		if got := drm.ModifierName(m); got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
	if got := drm.FormatName(drm.FormatXRGB8888); got != "XR24" {
		t.Errorf("got %q", got)
	}
	if got := drm.FormatName(7); got != "0x7" {
		t.Errorf("got %q", got)
	}
}

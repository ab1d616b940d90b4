//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"errors"
	"image"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/ffmpeg/standin"
	"wavryhost/platform/kms/drm"
	"wavryhost/platform/kms/kmstest"
)

// nv12 is a format of two planes (drm_fourcc.h).
const nv12 = 0x3231564e

// shared returns frame n of a picture in motion as a surface of another program, whose rows are pitch bytes apart. The
// frame counts its copies to main memory.
func shared(t *testing.T, n, width, height, pitch int, modifier uint64) (*capture.Frame, *capture.Copier) {
	t.Helper()
	source := moving(n, width, height)
	rows := (height + 7) &^ 7
	pix := make([]byte, pitch*rows)
	for y := range height {
		for x := range width {
			at := y*pitch + 4*x
			if modifier == kmstest.ModifierXTiled {
				at = kmstest.XTiled(pitch, x, y)
			}
			copy(pix[at:], source.Pix[y*source.Stride+4*x:][:4])
		}
	}
	fd, err := unix.MemfdCreate("picture", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "picture")
	t.Cleanup(func() { _ = file.Close() })
	if _, err := file.Write(pix); err != nil {
		t.Fatal(err)
	}
	copier := &capture.Copier{Copy: func(_ capture.Surface, dst []byte, stride int) error {
		for y := range height {
			copy(dst[y*stride:], source.Pix[y*source.Stride:][:4*width])
		}
		return nil
	}}
	f := capture.NewSurfaceFrame(&capture.DMABuf{
		FourCC: drm.FormatXRGB8888, Modifier: modifier, Planes: []capture.Plane{{FD: fd, Stride: uint32(pitch)}},
		Buffer: uint64(n + 1), Ready: -1,
	}, copier, nil)
	f.Width, f.Height, f.Time, f.Seq, f.Damage = width, height, source.Time, source.Seq, source.Damage
	return f, copier
}

// importing returns the factory of an encoder that reads DMA-BUFs.
func importing(t testing.TB, name string, d standin.Device) encode.Factory {
	t.Helper()
	p := vaapi(t, name, d).Profile()
	p.Surfaces.Kind = capture.DMA
	return New(p, slog.New(slog.DiscardHandler))
}

// rightColors is a PSNR in dB that pictures with the matrix of BT.709 do not reach. They have 30 at most.
const rightColors = 32

// scored returns the PSNR of a decoded picture of 640x360 against frame n.
func scored(t *testing.T, dec *decoder, n int, unit encode.AccessUnit) float64 {
	t.Helper()
	pix := make([]byte, 4*640*360)
	drawMoving(pix, 640, 360, n)
	psnr, err := dec.score(n, unit.Data, pix, 640, 360)
	if err != nil {
		t.Fatal(err)
	}
	return psnr
}

// Pixels of another program's surface are encoded, in rows and tiles, at their size and scaled, and main memory never
// sees them.
func TestVAAPIEncodesSurfacesWithoutACopy(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		for _, c := range []struct {
			name          string
			width, height int
			pitch         int
			modifier      uint64
		}{
			{"rows", 640, 360, 4 * 640, 0},
			{"padded rows", 640, 360, 4*640 + 256, 0},
			{"tiles", 640, 360, 4 * 640, kmstest.ModifierXTiled},
			{"larger", 1280, 720, 4 * 1280, 0},
			{"odd", 641, 361, 4 * 644, 0},
		} {
			t.Run(c.name, func(t *testing.T) {
				d := standin.New(t)
				e := open(t, importing(t, name, d), vaapiParams)
				dec, err := newDecoder(e.Profile().Format.Codec)
				if err != nil {
					t.Fatal(err)
				}
				defer dec.free()
				before := d.Counts(t)
				for n := range 20 {
					f, copier := shared(t, n, c.width, c.height, c.pitch, c.modifier)
					unit, err := e.Encode(f, encode.Order{})
					if err != nil {
						t.Fatal(err)
					}
					if psnr := scored(t, dec, n, unit); psnr < rightColors {
						t.Errorf("frame %d: %.1f dB", n, psnr)
					}
					if copier.Copies() != 0 {
						t.Fatal("the picture was copied to main memory")
					}
				}
				if after := d.Counts(t); after.Maps != before.Maps || after.Imports != before.Imports+20 {
					t.Errorf("device counted %+v before and %+v after 20 pictures; want no map and 20 imports", before, after)
				}
			})
		}
	})
}

// What cannot be read has one error, by which the session asks for pictures in main memory. Nothing stays on the
// device.
func TestVAAPISurfacesThatCannotBeRead(t *testing.T) {
	standin.Each(t, []string{"h264_vaapi"}, func(t *testing.T, name string) {
		for _, c := range []struct {
			name, setting string
			spoil         func(*capture.DMABuf)
			text          string
		}{
			{"no planes", "", func(b *capture.DMABuf) { b.Planes = nil }, "it has 0 planes"},
			{"five planes", "", func(b *capture.DMABuf) { b.Planes = make([]capture.Plane, 5) }, "it has 5 planes"},
			{"a closed file", "", func(b *capture.DMABuf) { b.Planes[0].FD = 1 << 20 }, ""},
			{"a short file", "", func(b *capture.DMABuf) { b.Planes[0].Offset = 4096 }, "0x34325258"},
			{"short rows", "", func(b *capture.DMABuf) { b.Planes[0].Stride = 640 }, ""},
			{"a format of planes", "", func(b *capture.DMABuf) { b.FourCC = nv12 }, "0x3231564e"},
			{"an unknown format", "", func(b *capture.DMABuf) { b.FourCC = 1 }, "DRM format not supported"},
			{"an unknown layout", "", func(b *capture.DMABuf) { b.Modifier = 77 }, "modifier 0x4d"},
			{"a device that imports nothing", "import=none", func(*capture.DMABuf) {}, ""},
			{"a device without scaling", "process=none", func(*capture.DMABuf) {}, ""},
			{"a lost device", "lost", func(*capture.DMABuf) {}, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				d := standin.New(t)
				e, err := importing(t, name, d).Open(vaapiParams)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := e.Encode(moving(0, 640, 360), encode.Order{}); err != nil {
					t.Fatal(err)
				}
				d.Set(t, c.setting)
				f, _ := shared(t, 1, 640, 360, 4*640, 0)
				c.spoil(f.Surface.(*capture.DMABuf))
				_, err = e.Encode(f, encode.Order{})
				if !errors.Is(err, encode.ErrSurface) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("got %v; want an ErrSurface with %q", err, c.text)
				}
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("an error of several lines: %q", err)
				}
				if err := e.Close(); err != nil {
					t.Error(err)
				}
				if c := d.Counts(t); c.Contexts != 0 || c.Surfaces != 0 || c.Others != 0 {
					t.Errorf("left on the device: %+v", c)
				}
			})
		}
	})
}

// A picture is that of the latest frame, wherever its pixels were, also when it is encoded again and when the codec is
// opened again.
func TestVAAPITakesFramesFromBothKindsOfMemory(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		for _, price := range []encode.Price{encode.PriceFree, encode.PriceReopen} {
			d := standin.New(t)
			e := open(t, priced(importing(t, name, d), price), vaapiParams)
			dec, err := newDecoder(e.Profile().Format.Codec)
			if err != nil {
				t.Fatal(err)
			}
			defer dec.free()
			check := func(n int, f *capture.Frame) {
				t.Helper()
				unit, err := e.Encode(f, encode.Order{Time: time.Unix(1001, 0)})
				if err != nil {
					t.Fatal(err)
				}
				if psnr := scored(t, dec, n, unit); psnr < rightColors {
					t.Errorf("%v, picture %d: %.1f dB", price, n, psnr)
				}
			}
			surface := func(n int) *capture.Frame {
				f, _ := shared(t, n, 640, 360, 4*640, 0)
				return f
			}
			for n := 0; n < 12; n += 4 {
				check(n, moving(n, 640, 360))
				check(n+1, surface(n+1))
				check(n+1, nil)
				if err := e.SetRate(encode.Rate{BitsPerSecond: 3_000_000 + 100_000*n, FPS: 60}); err != nil {
					t.Fatal(err)
				}
				check(n+1, nil)
				part := moving(n+2, 640, 360)
				part.Damage = []image.Rectangle{image.Rect(0, 0, 16, 16)} // against the surface, all of it differs
				check(n+2, part)
				check(n+2, nil)
				check(n+3, surface(n+3))
			}
		}
	})
}

func TestVAAPIImportsLeaveNothing(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		d := standin.New(t)
		f, before, most := importing(t, name, d), 0, 0
		small, _ := shared(t, 0, 640, 360, 4*640, 0)
		large, _ := shared(t, 1, 1280, 720, 4*1280, 0)
		for n := range 100 {
			e, err := f.Open(vaapiParams)
			if err != nil {
				t.Fatalf("opening %d: %v", n, err)
			}
			for _, frame := range []*capture.Frame{small, large, small} {
				if _, err := e.Encode(frame.Retain(), encode.Order{}); err != nil {
					t.Fatalf("opening %d: %v", n, err)
				}
				most = max(most, d.Counts(t).Surfaces)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				before = descriptors(t)
			}
		}
		if after := descriptors(t); after != before {
			t.Errorf("got %d descriptors after 100 encoders; want %d as after one", after, before)
		}
		if c := d.Counts(t); c.Contexts != 0 || c.Surfaces != 0 || c.Others != 0 {
			t.Errorf("left on the device: %+v", c)
		}
		t.Logf("at most %d surfaces", most)
	})
}

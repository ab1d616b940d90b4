//go:build integration && linux

package x11

import (
	"context"
	"encoding/binary"
	"errors"
	"image"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wavryhost/capture"
)

// framebuffer is the memory of an X server's screen. What is written there causes no damage.
type framebuffer struct {
	pix    []byte
	stride int
}

func hiddenFramebuffer(t *testing.T, height int, screen string, args ...string) (*server, framebuffer) {
	t.Helper()
	dir := t.TempDir()
	srv := xvfb(t, screen, append(args, "-fbdir", dir)...)
	f, err := os.OpenFile(filepath.Join(dir, "Xvfb_screen0"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(mem) })
	// The header of XWD: its size comes first, the number of colors is the 20th number.
	header := binary.BigEndian.Uint32(mem) + 12*binary.BigEndian.Uint32(mem[76:])
	pix := mem[header:]
	return srv, framebuffer{pix[:len(pix)/height*height], len(pix) / height}
}

// fill writes a color behind the server's back.
func (f framebuffer) fill(r image.Rectangle, color uint32) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			binary.LittleEndian.PutUint32(f.pix[y*f.stride+4*x:], color)
		}
	}
}

// Pixels that change without damage are found, and then the display is polled: each change arrives, with its damage,
// and a still display makes no frames.
func TestChangesWithoutDamage(t *testing.T) {
	for name, demand := range map[string]capture.Demand{"with the cursor": {}, "without the cursor": withoutCursor} {
		t.Run(name, func(t *testing.T) {
			srv, fb := hiddenFramebuffer(t, 480, "640x480x24")
			s := open(t, Config{Display: srv.display, Demand: demand})
			frame(t, s).Release()
			until := func(what string, limit time.Duration, color uint32, polled bool) *capture.Frame {
				t.Helper()
				start := time.Now()
				for {
					f := frame(t, s)
					if binary.LittleEndian.Uint32(f.Pix[200*f.Stride+4*50:])&0xffffff == color {
						if took := time.Since(start); took > limit || f.Polled != polled {
							t.Errorf("%s: after %v, polled %v", what, took, f.Polled)
						}
						return f
					}
					f.Release()
				}
			}
			fb.fill(image.Rect(0, 150, 640, 350), 0x112233)
			until("the first change", 5*time.Second, 0x112233, false).Release()
			fb.fill(image.Rect(0, 150, 640, 350), 0x445566)
			until("the second change", 5*time.Second, 0x445566, true).Release()
			fb.fill(image.Rect(40, 190, 60, 210), 0x778899)
			f := until("a polled change", time.Second, 0x778899, true)
			if len(f.Damage) != 1 || f.Damage[0].Min.Y < 170 || f.Damage[0].Max.Y > 230 || !f.Exact {
				t.Errorf("damage %v, exact %v; want the rows of the change", f.Damage, f.Exact)
			}
			f.Release()
			settle(t, s, nil, 300*time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if f, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a still display: got %v, %v; want no frame", f, err)
			}
		})
	}
}

// A server that reports its damage is believed, whatever is drawn meanwhile.
func TestDamageIsBelieved(t *testing.T) {
	srv := xvfb(t, "640x480x24")
	p := paint(t, srv.display)
	s := open(t, Config{Display: srv.display})
	frame(t, s).Release()
	for n, begun := uint32(0), time.Now(); s.doubt.round < 3; n++ {
		if time.Since(begun) > patience {
			t.Fatal("nothing is checked")
		}
		if n%20 != 0 { // otherwise the display is still for a moment
			p.fill(n*0x10305, int(n%600), int(n*7%400), 30, 60)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		f, err := s.Next(ctx)
		cancel()
		if err == nil {
			f.Release()
		}
	}
	if s.doubt.misses != 0 {
		t.Errorf("%d misses", s.doubt.misses)
	}
}

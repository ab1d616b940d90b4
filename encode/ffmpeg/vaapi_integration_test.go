//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/encode/ffmpeg/standin"
)

// vaapiNames are the encoders of the driver for tests.
var vaapiNames = []string{"h264_vaapi", "hevc_vaapi", "av1_vaapi"}

// vaapi returns the factory of one of vaapiNames on a device.
func vaapi(t testing.TB, name string, d standin.Device) encode.Factory {
	t.Helper()
	p, ok := encode.FindProfile(name)
	if !ok {
		t.Fatalf("no profile %s", name)
	}
	p.Device = d.Path
	return New(p, slog.New(slog.DiscardHandler))
}

var vaapiParams = encode.Params{Width: 640, Height: 360, FPS: 60, BitsPerSecond: 4_000_000}

// moving returns frame n of a picture in motion.
func moving(n, width, height int) *capture.Frame {
	f := capture.NewFrame(nil)
	f.Width, f.Height, f.Stride, f.Pix = width, height, 4*width, make([]byte, 4*width*height)
	drawMoving(f.Pix, width, height, n)
	f.Damage = append(f.Damage, f.Bounds())
	f.Time, f.Seq = time.Unix(1000, 0).Add(time.Duration(n)*time.Second/60), uint64(n+1)
	return f
}

func TestVAAPIKeepsTheContract(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		encodetest.Run(t, vaapi(t, name, standin.New(t)))
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// Nothing of an encoder may stay on the device: neither when it is closed, nor when a rate change reopens the codec.
func TestVAAPIOpensAndCloses(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		d := standin.New(t)
		f := vaapi(t, name, d)
		p := encode.Params{Width: 128, Height: 128, FPS: 60, BitsPerSecond: 500_000}
		before, most := 0, 0
		for n := range 200 {
			e, err := f.Open(p)
			if err != nil {
				t.Fatalf("opening %d: %v", n, err)
			}
			for i := range 2 {
				if _, err := e.Encode(moving(i, 128, 128), encode.Order{}); err != nil {
					t.Fatalf("opening %d: %v", n, err)
				}
				most = max(most, d.Counts(t).Surfaces)
				if err := e.SetRate(encode.Rate{BitsPerSecond: 1_000_000 * (i + 1), FPS: 60}); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				before = descriptors(t)
			}
		}
		if after := descriptors(t); after != before {
			t.Errorf("got %d descriptors after 200 encoders; want %d as after one", after, before)
		}
		if most > 2*surfacePool {
			t.Errorf("got up to %d surfaces of one encoder; want at most %d", most, 2*surfacePool)
		}
		if c := d.Counts(t); c.Contexts != 0 || c.Surfaces != 0 || c.Others != 0 {
			t.Errorf("left on the device: %+v", c)
		}
	})
}

//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asticode/go-astiav"

	"wavryhost/encode"
	"wavryhost/encode/ffmpeg/standin"
)

// deviceNames are the encoders of all devices for tests.
var deviceNames = slices.Concat(vaapiNames, nvencNames)

// onDevice returns the factory of one of deviceNames on a device of its own.
func onDevice(t *testing.T, name string, settings ...string) encode.Factory {
	t.Helper()
	d := standin.New(t, settings...)
	if strings.HasSuffix(name, "_nvenc") {
		return nvenc(t, name, d)
	}
	return vaapi(t, name, d)
}

// The driver gets the profile, the size and the meaning of the colors, and viewers find them in the stream.
func TestStreamsOfDevicesSayWhatTheyAre(t *testing.T) {
	standin.Each(t, deviceNames, func(t *testing.T, name string) {
		f := onDevice(t, name)
		d, _ := first(t, f, f.Profile().Format.Codec)
		c := d.context
		if s, r := d.frame.ColorSpace(), d.frame.ColorRange(); s != colorSpace || r != colorRange {
			t.Errorf("matrix %v, range %v; want %v, %v", s, r, colorSpace, colorRange)
		}
		if p, curve := c.ColorPrimaries(), c.ColorTransferCharacteristic(); p != colorPrimaries || curve != colorTransfer {
			t.Errorf("primaries %v, transfer %v; want %v, %v", p, curve, colorPrimaries, colorTransfer)
		}
		if w, h := d.frame.Width(), d.frame.Height(); w != 640 || h != 360 {
			t.Errorf("%dx%d; want 640x360", w, h)
		}
		want := map[string]astiav.Profile{
			encode.CodecH264: astiav.ProfileH264ConstrainedBaseline, encode.CodecHEVC: astiav.ProfileHevcMain,
			encode.CodecAV1: astiav.ProfileAv1Main,
		}[f.Profile().Format.Codec]
		if c.Profile() != want {
			t.Errorf("profile %v; want %v", c.Profile(), want)
		}
	})
}

// Many cards encode H.264 and not the other codecs.
func TestDevicesWithoutACodec(t *testing.T) {
	standin.Each(t, deviceNames, func(t *testing.T, name string) {
		f := onDevice(t, name, "encode=h264")
		e, err := f.Open(vaapiParams)
		if f.Profile().Format == encode.H264 {
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			return
		}
		if err == nil {
			t.Fatalf("opened; closing: %v", e.Close())
		}
		if got := encode.FailureOf(err); got != encode.FailureMissing {
			t.Errorf("got %v, which is %q; want %q", err, got, encode.FailureMissing)
		}
	})
}

// The stand-in refuses a level that is too low.
func TestHEVCStreamsStateTheirLevel(t *testing.T) {
	standin.Each(t, []string{"hevc_vaapi", "hevc_nvenc"}, func(t *testing.T, name string) {
		for fps, want := range map[int]astiav.Level{30: 63, 60: 90} {
			p := encode.Params{Width: 640, Height: 360, FPS: fps, BitsPerSecond: 2_000_000}
			unit, err := open(t, onDevice(t, name), p).Encode(moving(0, 640, 360), encode.Order{})
			if err != nil {
				t.Fatal(err)
			}
			d, err := newDecoder(encode.CodecHEVC)
			if err != nil {
				t.Fatal(err)
			}
			defer d.free()
			if _, err := d.decode(unit.Data); err != nil || d.context.Level() != want {
				t.Errorf("%d frames per second: level %v, %v; want %v", fps, d.context.Level(), err, want)
			}
		}
	})
}

// A still picture leaves the rate to others.
func TestStillPicturesOfDevicesAreSmall(t *testing.T) {
	standin.Each(t, deviceNames, func(t *testing.T, name string) {
		e := open(t, onDevice(t, name), vaapiParams)
		frame := moving(0, 640, 360)
		at := frame.Time
		if _, err := e.Encode(frame, encode.Order{}); err != nil {
			t.Fatal(err)
		}
		bits := 0
		for n := range 60 {
			unit, err := e.Encode(nil, encode.Order{Time: at.Add(time.Duration(n+1) * time.Second / 60)})
			if err != nil {
				t.Fatal(err)
			}
			if n >= 30 {
				bits += 8 * len(unit.Data)
			}
		}
		if most := vaapiParams.BitsPerSecond / 2 / 4; bits > most {
			t.Errorf("30 pictures that change nothing have %d bits; want a quarter of their shares, %d, at most", bits, most)
		}
	})
}

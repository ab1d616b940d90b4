//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"cmp"
	"fmt"
	"image"
	"testing"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/encode/ffmpeg/standin"
)

// Each stream states the profile, level and size that was asked for, and that no decoder need hold a picture back. The
// graphics cards are those for tests; FFmpeg writes the parameter sets of VAAPI itself.
func TestH264StreamStatesWhatWasAskedFor(t *testing.T) {
	if !standin.Inside(t) {
		return
	}
	for _, encoder := range []struct {
		name    string
		factory func(*testing.T) encode.Factory
		highest encode.H264Profile
	}{
		{"libx264", func(t *testing.T) encode.Factory { return x264(t, nil) }, encode.High},
		{"h264_vaapi", func(t *testing.T) encode.Factory { return onDevice(t, "h264_vaapi") }, encode.ConstrainedBaseline},
		{"h264_nvenc", func(t *testing.T) encode.Factory { return onDevice(t, "h264_nvenc") }, encode.ConstrainedBaseline},
	} {
		for _, most := range []encode.H264Profile{0, encode.ConstrainedBaseline, encode.Main, encode.High} {
			t.Run(fmt.Sprintf("%s for %q", encoder.name, cmp.Or(most.String(), "any")), func(t *testing.T) {
				want := encoder.highest
				if most != 0 {
					want = min(want, most)
				}
				f := encoder.factory(t)
				for _, size := range []image.Point{{640, 360}, {642, 362}} {
					for _, level := range []int{31, 42} {
						statesWhatWasAskedFor(t, f, want, encode.Params{
							Width: size.X, Height: size.Y, FPS: 30, BitsPerSecond: 1e6, H264: most, Level: level,
						})
					}
				}
			})
		}
	}
}

func statesWhatWasAskedFor(t *testing.T, f encode.Factory, want encode.H264Profile, p encode.Params) {
	t.Helper()
	unit, err := open(t, f, p).Encode(moving(0, p.Width, p.Height), encode.Order{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := encodetest.ReadSPS(unit.Data)
	if err != nil {
		t.Fatal(err)
	}
	var profile, constraint byte
	switch want {
	case encode.ConstrainedBaseline:
		profile, constraint = 66, 0x40
	case encode.Main:
		profile = 77
	case encode.High:
		profile = 100
	}
	if s.Profile != profile || s.Constraints&constraint != constraint {
		t.Errorf("profile %s; want %v", s.ID(), want)
	}
	if int(s.Level) != p.Level || s.Width != p.Width || s.Height != p.Height {
		t.Errorf("level %d, %dx%d; want level %d, %dx%d", s.Level, s.Width, s.Height, p.Level, p.Width, p.Height)
	}
	if !s.Bounded || s.Reordered != 0 || s.Buffered > 1 {
		t.Errorf("a decoder may hold pictures back: %+v", s)
	}
}

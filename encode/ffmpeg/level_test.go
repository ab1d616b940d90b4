//go:build cgo && !noffmpeg

package ffmpeg

import (
	"testing"

	"wavryhost/encode"
)

// A decoder may refuse a stream whose level does not cover its frame rate.
func TestLevelOfHEVCCoversTheFrameRate(t *testing.T) {
	for _, c := range []struct {
		name       string
		fps, level int // level is of H.264
		want       int
	}{
		{"hevc_vaapi", 30, 0, 63},
		{"hevc_vaapi", 60, 0, 90},
		{"hevc_vaapi", 60, 31, 90},
		{"hevc_nvenc", 60, 0, 0}, // NVENC knows the frame rate
		{"h264_vaapi", 60, 31, 31},
		{"av1_vaapi", 60, 31, 0}, // libavcodec regards the frame rate
	} {
		p, ok := encode.FindProfile(c.name)
		if !ok {
			t.Fatalf("no profile %s", c.name)
		}
		e := &encoder{profile: p, params: encode.Params{
			Width: 640, Height: 360, FPS: c.fps, BitsPerSecond: 2_000_000, Level: c.level,
		}}
		if got := e.level(); got != c.want {
			t.Errorf("%s at %d frames, H.264 level %d: got level %d; want %d", c.name, c.fps, c.level, got, c.want)
		}
	}
}

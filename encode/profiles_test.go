package encode_test

import (
	"testing"

	"wavryhost/encode"
)

func TestEveryOptionHasItsReason(t *testing.T) {
	var all []encode.Profile
	for _, p := range encode.Profiles() {
		for v := range max(1, len(p.Variants)) {
			all = append(all, p.In(v))
		}
	}
	for _, p := range encode.Profiles() {
		for _, h := range p.H264 {
			one := p
			one.H264 = []encode.H264Options{h}
			all = append(all, one)
		}
	}
	for _, p := range all {
		p.Options = p.OptionsWithin(0)
		set := make(map[string]bool)
		for _, o := range p.Options {
			if o.Why == "" || o.Value == "" || set[o.Name] {
				t.Errorf("%s: option %+v has no reason or value, or is set twice", p.Name, o)
			}
			set[o.Name] = true
		}
		// Without these no encoder keeps the promise of one access unit a call and keyframes on request.
		for _, name := range []string{"g", "bf", "profile"} {
			if p.Option(name) == "" && p.Name != "libaom-av1" { // it is not opened by FFmpeg

				t.Errorf("%s: option %s is not set", p.Name, name)
			}
		}
	}
}

func TestProfilesAreHardwareFirstAndFreshEachTime(t *testing.T) {
	profiles := encode.Profiles()
	want := []struct {
		name     string
		format   encode.Format
		hardware bool
	}{
		{"h264_nvenc", encode.H264, true},
		{"h264_vaapi", encode.H264, true},
		{"h264_videotoolbox", encode.H264, true},
		{"libx264", encode.H264, false},
		{"hevc_nvenc", encode.HEVC, true},
		{"hevc_vaapi", encode.HEVC, true},
		{"hevc_videotoolbox", encode.HEVC, true},
		{"av1_nvenc", encode.AV1, true},
		{"av1_vaapi", encode.AV1, true},
		{"libaom-av1", encode.AV1, false},
		{"libvpx-vp9", encode.VP9, false},
		{"libvpx", encode.VP8, false},
	}
	if len(profiles) != len(want) {
		t.Fatalf("got %d profiles; want %d", len(profiles), len(want))
	}
	for i, p := range profiles {
		if w := want[i]; p.Name != w.name || p.Format != w.format || p.Hardware != w.hardware {
			t.Errorf("profile %d is %s (%s, hardware %v); want %+v", i, p.Name, p.Format, p.Hardware, w)
		}
		p.Options[0].Value = "changed"
	}
	if p, ok := encode.FindProfile("libx264"); !ok || p.Option("preset") != "ultrafast" {
		t.Errorf("got preset %q; want what no caller has changed", p.Option("preset"))
	}
	if _, ok := encode.FindProfile("h261"); ok {
		t.Error("found a profile that does not exist")
	}
}

func TestHighestProfileOfADecoder(t *testing.T) {
	x264, _ := encode.FindProfile("libx264")
	for most, want := range map[encode.H264Profile]string{
		0: "high", encode.ConstrainedBaseline: "baseline", encode.Main: "main", encode.High: "high",
	} {
		p := x264
		p.Options = p.OptionsWithin(most)
		if got := p.Option("profile"); got != want {
			t.Errorf("for a decoder of %q the stream is %q; want %q", most, got, want)
		}
	}
	if vaapi, _ := encode.FindProfile("h264_vaapi"); vaapi.H264Within(encode.High) != 0 {
		t.Error("an encoder of one profile names another one")
	}
}

// A rate has room for as many pictures as get their share.
func TestPicturesOfARate(t *testing.T) {
	s := encode.Share{Bits: 1000, PerPixel: 0.01}
	for _, c := range []struct{ rate, most, want int }{
		{102_160, 60, 10}, {102_159, 60, 9}, {1, 60, 1}, {1e9, 60, 60}, {1e9, 240, 240},
	} {
		if got := s.Pictures(c.rate, 1280, 720, c.most); got != c.want {
			t.Errorf("%d bit/s have room for %d pictures of at most %d; want %d", c.rate, got, c.most, c.want)
		}
	}
	if got := (encode.Share{}).Pictures(1, 7680, 4320, 60); got != 60 {
		t.Errorf("without a least share %d pictures; want 60", got)
	}
}

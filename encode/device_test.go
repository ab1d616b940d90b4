package encode_test

import (
	"testing"

	"wavryhost/encode"
)

func TestEachDeviceHasItsProfile(t *testing.T) {
	vaapi, _ := encode.FindProfile("h264_vaapi")
	nvenc, _ := encode.FindProfile("h264_nvenc")
	x264, _ := encode.FindProfile("libx264")
	const first, second = "/dev/dri/renderD128", "/dev/dri/renderD129"
	type want struct{ name, device string }
	for _, c := range []struct {
		name    string
		profile encode.Profile
		devices []string
		want    []want
	}{
		{"none is known", vaapi, nil, []want{{"h264_vaapi", ""}}},
		{"one", vaapi, []string{second}, []want{{"h264_vaapi", second}}},
		{"two", vaapi, []string{first, second}, []want{
			{"h264_vaapi@renderD128", first}, {"h264_vaapi@renderD129", second},
		}},
		{"NVIDIA cards", nvenc, []string{"0", "1"}, []want{{"h264_nvenc@0", "0"}, {"h264_nvenc@1", "1"}}},
		{"the processor", x264, []string{first, second}, []want{{"libx264", ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.profile.On(c.devices)
			if len(got) != len(c.want) {
				t.Fatalf("got %d profiles; want %d", len(got), len(c.want))
			}
			for i, p := range got {
				if w := c.want[i]; p.Name != w.name || p.Device != w.device || p.Encoder() != c.profile.Name {
					t.Errorf("got %s of %s on %q; want %s on %q", p.Name, p.Encoder(), p.Device, w.name, w.device)
				}
			}
		})
	}
}

package main

import (
	"strings"
	"testing"
)

func TestWorkingEncoders(t *testing.T) {
	const (
		card = `{"name": "h264_nvenc", "hardware": true, "why": "no device"}`
		x264 = `{"name": "libx264", "usable": true}`
		vpx  = `{"name": "libvpx-vp9", "usable": true}`
		aom  = `{"name": "libaom-av1", "usable": true}`
		bad  = `{"name": "libaom-av1", "why": "proving process: exit status 2"}`
	)
	list := func(encoders ...string) string { return "[" + strings.Join(encoders, ",") + "]" }
	for report, want := range map[string]string{
		list(card, x264, vpx, aom): "",
		list(x264, vpx, bad):       "libaom-av1 does not work: proving process: exit status 2",
		list(x264, vpx):            "only libx264, libvpx-vp9 of 3",
		"nonsense":                 "not understood",
	} {
		detail, err := workingEncoders([]byte(report))
		if want == "" && (err != nil || detail != "libx264, libvpx-vp9, libaom-av1 work") {
			t.Errorf("%s: %q, %v", report, detail, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v; want %q", report, err, want)
		}
	}
}

package main

import (
	"strings"
	"testing"
)

func TestWorkingEncoders(t *testing.T) {
	const (
		card = `{"name": "h264_nvenc", "hardware": true, "why": "no device"}`
		x264 = `{"name": "libx264", "usable": true}`
		vp9  = `{"name": "libvpx-vp9", "usable": true}`
		vp8  = `{"name": "libvpx", "usable": true}`
		aom  = `{"name": "libaom-av1", "usable": true}`
		bad  = `{"name": "libaom-av1", "why": "proving process: exit status 2"}`
	)
	list := func(encoders ...string) string { return "[" + strings.Join(encoders, ",") + "]" }
	for report, want := range map[string]string{
		list(card, x264, aom, vp9, vp8): "",
		list(x264, bad, vp9, vp8):       "libaom-av1 does not work: proving process: exit status 2",
		list(x264, vp9):                 "only libx264, libvpx-vp9 of 4",
		"nonsense":                      "not understood",
	} {
		detail, err := workingEncoders([]byte(report))
		if want == "" && (err != nil || detail != "libx264, libaom-av1, libvpx-vp9, libvpx work") {
			t.Errorf("%s: %q, %v", report, detail, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v; want %q", report, err, want)
		}
	}
}

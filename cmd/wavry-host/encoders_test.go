package main

import (
	"slices"
	"testing"

	"wavryhost/cmd/wavry-host/config"
)

// Each NVIDIA card that CUDA shows is tried as an encoder of its own.
func TestEachNVIDIACardIsTried(t *testing.T) {
	t.Setenv("CUDA_VISIBLE_DEVICES", "GPU-1,GPU-2")
	var cfg config.Config
	cfg.Encoding.Encoder, cfg.Encoding.VAAPIDevice = config.Auto, "/dev/dri/renderD128"
	profiles, err := allowed(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range profiles {
		names = append(names, p.Name)
	}
	for _, want := range []string{"h264_nvenc@0", "h264_nvenc@1", "h264_vaapi", "libx264"} {
		if !slices.Contains(names, want) {
			t.Errorf("got %v; want %s among them", names, want)
		}
	}
}

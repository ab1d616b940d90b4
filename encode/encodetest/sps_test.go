package encodetest

import (
	"encoding/hex"
	"testing"

	"wavryhost/encode"
)

// The parameter sets are x264's (Debian 12, FFmpeg 5.1.9). What they state was read with FFmpeg's trace_headers.
func TestReadSPS(t *testing.T) {
	for stream, want := range map[string]SPS{
		"000000016764001eacb405217f11260220000003002000000791e2c5d4": {100, 0, 30, 642, 362, 1, true, 0, 1},
		"000000016742c028da01e0089f970110000003001000000303ce44000f424001e84e0c20078c1950": {
			66, 0xc0, 40, 1920, 1080, 1, true, 0, 1,
		},
	} {
		data, err := hex.DecodeString(stream)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ReadSPS(data); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", stream, got, err, want)
		}
		if _, err := ReadSPS(data[:12]); err == nil {
			t.Errorf("%s: its begin alone is accepted", stream)
		}
	}
	if _, err := ReadSPS(annexB(100, encode.Params{}, false, 1)); err == nil {
		t.Error("a picture without a parameter set has one")
	}
}

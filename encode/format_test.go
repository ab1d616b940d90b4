package encode

import "testing"

func TestQuantizersOnOneScale(t *testing.T) {
	for _, c := range []struct {
		format    Format
		quantizer float64
		want      float64
	}{
		{H264, 0, 0},
		{H264, 14, 14},
		{H264, 69, 51},
		{HEVC, 36, 36},
		{VP9, 0, 0},
		{VP9, 12, 14},
		{VP9, 46, 36},
		{VP9, 63, 47},
		{AV1, 0, 0},
		{AV1, 12, 14},
		{AV1, 59, 36},
		{AV1, 255, 51},
		{VP8, 0, 0},
		{VP8, 15, 14},
		{VP8, 56, 36},
	} {
		if got := c.format.QP(c.quantizer); got != c.want {
			t.Errorf("%v: %v is %v of H.264; want %v", c.format, c.quantizer, got, c.want)
		}
	}
}
